"""Keys that come faster than screens open, over a slow connection or pasted: each goes where the
one before it led.

Textual sends a key at once to what has the focus. In `:theme light` the letters would still go to
the fleet behind the line that `:` opens, and be keys there.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from weakref import WeakKeyDictionary

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.driver import Driver
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

LONGEST_S = 1.0
"""What a key did is waited for no longer: whatever happens, those after it are acted upon."""


class KeysInOrder(App[None], inherit_bindings=False):
    """One key is acted upon after the other, and letters go into the line that is open by then."""

    def __init__(self, driver_class: type[Driver] | None = None) -> None:
        super().__init__(driver_class=driver_class)
        self._aimed: WeakKeyDictionary[events.Event, Widget] = WeakKeyDictionary()
        """What had the focus when a key came."""
        self._held: deque[events.Key] = deque()
        self._acting_since_s: float | None = None
        self._awaited: events.Key | None = None
        """A key that was sent on, and is no letter: it comes back, and acts, before the next."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and self.screen_stack:
            self._aimed[event] = self.focused or self.screen
        await super().on_event(event)

    async def _on_key(self, event: events.Key) -> None:
        """A key nothing on the screen wanted: before Textual looks whether it is bound."""
        if event is self._awaited:
            self._awaited = None
            self._acts()
        elif self._acting_since_s is not None:
            event.prevent_default()
            self._held.append(event)
            if monotonic() - self._acting_since_s >= LONGEST_S:
                self._awaited = None
                self.call_later(self._go_on)
        elif self._is_sent_on(event):
            event.prevent_default()
        else:
            self._acts()

    def _acts(self) -> None:
        self._acting_since_s = monotonic()
        self.call_later(self._climb, self.focused, self.screen)

    def _climb(self, node: DOMNode | None, before: Screen[object]) -> None:
        """What it made a widget say goes up to here: this goes the same way, behind it."""
        while node is not None and node is not self:
            parent = node.parent
            if node.call_later(self._climb, parent, before):
                return
            node = parent
        if self.screen is before:
            self.call_later(self._go_on)
        else:
            self.screen.call_after_refresh(self.call_later, self._go_on)

    async def _go_on(self) -> None:
        """With what came meanwhile."""
        self._acting_since_s = None
        while self._held and self._awaited is None:
            event = self._held.popleft()
            if not self._is_sent_on(event):
                self._acts()
                await super()._on_key(event)
                return

    def _is_sent_on(self, event: events.Key) -> bool:
        """Whether it was meant for a line that was not open yet, and is now."""
        aimed, here = self._aimed.pop(event, None), self.focused
        if aimed is None or aimed is here or not isinstance(here, Input):
            return False
        again = events.Key(event.key, event.character)
        self._aimed[again] = here
        if not event.is_printable:
            self._awaited, self._acting_since_s = again, monotonic()
        here._forward_event(again)  # noqa: SLF001 - as Textual's App does
        return True
