"""The keys that work here and now, in one line.

Textual's own footer makes a widget of each key, and keeps every one it ever made: a dashboard that
stays open for weeks would grow with each screen that is opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from cohete_tui.draw import Line, width
from cohete_tui.widgets.paint import Painter

Key = tuple[str, str, str]
"""Its name for Textual, as it stands on a keyboard, and what it does."""

ALWAYS = 4
"""So many from the end (command, help, quit, ...) stay when room is short."""


class KeyBar(Widget):
    """A click on a key presses it."""

    DEFAULT_CSS = "KeyBar { height: 1; width: 1fr; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._painter = Painter(self)
        self._keys: list[Key] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._changed(self.screen)

    def render_line(self, y: int) -> Strip:
        return self._painter.strip(line_of(fitting(self._keys, self.size.width)), self.size.width)

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def on_click(self, event: events.Click) -> None:
        at = 0
        for key in fitting(self._keys, self.size.width):
            cells = width(line_of([key]))
            if at <= event.x < at + cells:
                self.app.simulate_key(key[0])
            at += cells

    def _changed(self, screen: Screen[object]) -> None:
        found = [
            (active.binding.key, self.app.get_key_display(active.binding),
             active.binding.description)
            for active in screen.active_bindings.values()
            if active.binding.show and active.enabled
        ]  # fmt: skip
        # An action with two keys is told once, with the first.
        keys = list({key[2]: key for key in reversed(found)}.values())[::-1]
        if keys != self._keys:
            self._keys = keys
            self.refresh()


def line_of(keys: Sequence[Key]) -> Line:
    """`⏎ open t view `."""
    return [span for _, shown, label in keys
            for span in ((shown, "key"), (f" {label} ", ""))]  # fmt: skip


def fitting(keys: Sequence[Key], cells: int) -> list[Key]:
    """As many as there is room for; the last ALWAYS stay, what leaves comes from before them."""
    kept, last = list(keys[:-ALWAYS]), list(keys[-ALWAYS:])
    while kept and width(line_of([*kept, *last])) > cells + 1:
        kept.pop()
    return [*kept, *last]
