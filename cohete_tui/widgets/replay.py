"""The time bar of a recording: where it is, how fast it goes, how much there is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cohete_tui.draw import Line, width
from cohete_tui.widgets.paint import Painter

if TYPE_CHECKING:
    from cohete.fleet.player import Player

_DONE, _LEFT, _HERE = "━", "─", "◆"


class ReplayBar(Widget):
    """One line; a click on it jumps there."""

    class Sought(Message):
        """Somebody clicked a moment."""

        def __init__(self, at_ms: int) -> None:
            super().__init__()
            self.at_ms = at_ms

    DEFAULT_CSS = "ReplayBar { height: 1; width: 1fr; background: $panel; }"

    def __init__(self, player: Player) -> None:
        super().__init__()
        self._painter = Painter(self)
        self._player = player
        self._line: Line = []

    def update(self) -> None:
        """Draw again if it says something else."""
        line, _, _ = self._content()
        if line != self._line:
            self._line = line
            self.refresh()

    def render_line(self, y: int) -> Strip:
        line, _, _ = self._content()
        return self._painter.strip(line, self.size.width)

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def on_click(self, event: events.Click) -> None:
        _, begin, cells = self._content()
        source = self._player.source
        if cells > 1 and begin <= event.x < begin + cells:
            share = (event.x - begin) / (cells - 1)
            span_ms = source.end_ms - source.begin_ms
            self.post_message(self.Sought(source.begin_ms + round(share * span_ms)))

    def _content(self) -> tuple[Line, int, int]:
        """The line, and where the bar begins in it and how long it is."""
        player = self._player
        source = player.source
        state = "end" if player.ended else "▶" if player.playing else "paused"
        left: Line = [
            (f" {state} {player.speed:g}x  ", "accent"),
            (f"{_clock(player.now_ms)} ", ""),
        ]
        right: Line = [(f" {_clock(source.end_ms)} ", "dim")]
        cells = max(0, self.size.width - width(left) - width(right))
        span_ms = max(1, source.end_ms - source.begin_ms)
        at = round((player.now_ms - source.begin_ms) / span_ms * max(0, cells - 1))
        bar: Line = []
        if cells > 2:
            bar = [(_DONE * at, "bar"), (_HERE, "accent"), (_LEFT * (cells - at - 1), "track")]
        return [*left, *bar, *right], width(left), cells


def _clock(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000).strftime("%d %b %H:%M:%S")  # noqa: DTZ006 - the wall clock of whoever looks
