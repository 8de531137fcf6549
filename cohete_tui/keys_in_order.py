"""Keys that come faster than screens open, over a slow connection or pasted: one after the other,
each to what the one before it led to.

Textual sends every key at once to what has the focus. In `:theme light` the letters would still go
to the fleet behind the line that `:` opens, and be keys there.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.driver import Driver
from textual.screen import ModalScreen, Screen, ScreenResultType

LONGEST_S = 1.0
"""What a key does is waited for no longer: whatever happens, the next one comes."""


class Question(ModalScreen[ScreenResultType]):
    """A dialog whose answer does something: what was typed before it could be read is no answer."""

    asked_at_s = math.inf

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self._is_asked)

    def _is_asked(self) -> None:
        self.asked_at_s = min(self.asked_at_s, events.Event().time)


class KeysInOrder(App[None], inherit_bindings=False):
    """One key at a time: the next is looked at when the last has done what it does."""

    def __init__(self, driver_class: type[Driver] | None = None) -> None:
        super().__init__(driver_class=driver_class)
        self._keys: deque[events.Key] = deque()
        self._turn = 0
        """The number of the key that is acting; those that waited for another are not heard."""
        self._is_acting = False
        self._commands = 0
        """Typed commands that still run: the next key may be meant for what they show."""
        self._waited_for: asyncio.TimerHandle | None = None

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and self.screen_stack:
            self._keys.append(event)
            if not self._is_acting:
                await self._next_key()
        else:
            await super().on_event(event)

    async def _on_key(self, event: events.Key) -> None:
        """A key no widget wanted: before Textual looks whether it is bound."""
        if self._is_too_early(event):
            event.prevent_default()

    def keys_wait(self) -> None:
        """A command begins to run; `keys_go_on` when it has, at most LONGEST_S."""
        self._commands += 1

    def keys_go_on(self) -> None:
        """A command has run."""
        self._commands = max(0, self._commands - 1)
        if self.screen_stack:
            self.screen.call_after_refresh(self.call_later, self._acted, self._turn)

    async def _next_key(self) -> None:
        while self._keys:
            event = self._keys.popleft()
            if self._is_too_early(event):
                continue
            self._is_acting = True
            self._turn += 1
            self._waited_for = asyncio.get_running_loop().call_later(
                LONGEST_S, self._give_up, self._turn
            )
            target, before = self.focused or self.screen, self.screen
            await super().on_event(event)
            self._climb(self._turn, target, before, has_acted=False)
            return

    def _climb(
        self, turn: int, node: DOMNode | None, before: Screen[object], *, has_acted: bool
    ) -> None:
        """A key goes from a widget up to here, and so does what it makes one say: first behind the
        one, then behind the other."""
        while node is not None and node is not self:
            parent = node.parent
            if node.call_later(self._climb, turn, parent, before, has_acted=has_acted):
                return
            node = parent
        if turn != self._turn or not self.screen_stack:
            return
        if not has_acted:
            self.call_later(self._climb, turn, self.focused, before, has_acted=True)
        elif self.screen is before:
            self.call_later(self._acted, turn)
        else:
            self.screen.call_after_refresh(self.call_later, self._acted, turn)

    async def _acted(self, turn: int) -> None:
        if turn != self._turn or not self._is_acting or self._commands:
            return
        self._is_acting = False
        if self._waited_for is not None:
            self._waited_for.cancel()
        await self._next_key()

    def _give_up(self, turn: int) -> None:
        self._commands = 0
        self.call_later(self._acted, turn)

    def _is_too_early(self, event: events.Key) -> bool:
        screen = self.screen if self.screen_stack else None
        return isinstance(screen, Question) and event.time < screen.asked_at_s
