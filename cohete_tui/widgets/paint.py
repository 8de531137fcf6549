"""From styled text to strips: the style names of `draw` as CSS component classes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from cohete_tui.draw import Line, merged

_RULES = {
    "accent": "color: $accent",
    "bar": "color: $primary",
    "border": "color: $border",
    "border-danger": "color: $error",
    "border-focus": "color: $accent; text-style: bold",
    "budget": "color: $foreground; text-style: bold",
    "cursor": "background: $row-cursor; color: $row-cursor-text; text-style: bold",
    "danger": "color: $error; text-style: bold",
    "dim": "color: $secondary",
    "good": "color: $success",
    "key": "color: $accent; text-style: bold",
    **{
        f"line-{role}": f"color: ${role}"
        for role in ("primary", "warning", "success", "error", "accent", "secondary")
    },
    "spark": "color: $primary",
    "title": "color: $foreground; text-style: bold",
    "title-focus": "color: $accent; text-style: bold",
    "track": "color: $track",
    "warn": "color: $warning",
}

PAINT_CLASSES = {f"paint--{name}" for name in _RULES}
"""An application with widgets that paint lists these as its COMPONENT_CLASSES: of a widget they
would take a node each, and again for every widget of every screen that opens."""

PAINT_CSS = "\n".join(f".paint--{name} {{ {rule}; }}" for name, rule in _RULES.items())
"""For the application's stylesheet."""


class Painter:
    """Turns lines into strips for one widget; looks each style up once a theme."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._styles: dict[tuple[str, str], Style] = {}

    def clear(self) -> None:
        """The theme changed."""
        self._styles.clear()

    def style(self, name: str, base: str = "") -> Style:
        """The terminal style of a name over `base` over the widget's own; "" adds nothing."""
        key = (name, base)
        known = self._styles.get(key)
        if known is None:
            known, app = self._widget.rich_style, self._widget.app
            for part in (base, name):
                if part:
                    known += app.get_component_styles(f"paint--{part}").partial_rich_style
            self._styles[key] = known
        return known

    def segments(self, line: Line, cells: int, base: str = "") -> list[Segment]:
        """A line as segments of exactly `cells`."""
        segments = [Segment(text, self.style(name, base)) for text, name in merged(line)]
        return Segment.adjust_line_length(segments, cells, self.style("", base))

    def strip(self, line: Line, cells: int, base: str = "") -> Strip:
        """The same as a strip."""
        return Strip(self.segments(line, cells, base), cells)

    def blank(self, cells: int) -> Strip:
        """An empty strip."""
        return Strip.blank(cells, self.style(""))


def sideways(strip: Strip, cells: int, at: int, pinned: int) -> Strip:
    """The part of a wide line that can be seen: `pinned` cells, then what lies from `at` on."""
    if at <= 0:
        return strip.crop(0, cells)
    pinned = min(pinned, cells)
    return Strip.join([strip.crop(0, pinned), strip.crop(pinned + at, at + cells)])


_WORTH_A_JUMP = 12
"""Cells that cost less to send again than to move the terminal's cursor over them."""


def differences(old: Sequence[Segment], new: Sequence[Segment]) -> list[tuple[int, int]]:
    """Where two lines of the same length differ: cells from, cells to, in order."""
    if old == new:
        return []
    before, after = [*old], [*new]
    head = _same(before, after)
    tail = _same(before[head:][::-1], after[head:][::-1])
    begin, end = _cells(after[:head]), _cells(after[: len(after) - tail])
    before, after = before[head : len(before) - tail], after[head : len(after) - tail]
    if [segment.cell_length for segment in before] != [segment.cell_length for segment in after]:
        return [(begin, end)]
    found: list[tuple[int, int]] = []
    at = begin
    for one, other in zip(before, after, strict=True):
        length = other.cell_length
        if one != other:
            if found and at - found[-1][1] < _WORTH_A_JUMP:
                found[-1] = (found[-1][0], at + length)
            else:
                found.append((at, at + length))
        at += length
    return found


def _same(before: Sequence[Segment], after: Sequence[Segment]) -> int:
    """How many segments are the same at the beginning."""
    count = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        count += 1
    return count


def _cells(segments: Sequence[Segment]) -> int:
    return sum(segment.cell_length for segment in segments)
