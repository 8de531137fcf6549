"""A log that follows its end, wraps or scrolls sideways, and shows what is searched for."""

from __future__ import annotations

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cohete.device.logs import LogLines
from cohete_tui.draw import Line
from cohete_tui.widgets.paint import Painter

SIDE_CELLS = 20


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines by place; only what is visible is drawn."""

    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; background: $background; overflow-x: hidden;
        scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    def __init__(self, lines: LogLines, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._painter = Painter(self)
        self.lines = lines
        self.following = True
        self.wrap = False
        self.words = ""
        self._found: int | None = None
        self._shown = -1
        self._first = 0
        self._rows: list[tuple[int, int]] = []

    @property
    def _cells(self) -> int:
        return max(1, self.scrollable_content_region.width)

    def update(self) -> None:
        """Draw what came since."""
        if self._shown == self.lines.count:
            return
        dropped = self.lines.first - self._first
        self._lay_out()
        if self._found is not None:
            self._found = self._found - dropped if self._found >= dropped else None
        if not self.following and dropped > 0 and not self.wrap:
            # What is looked at stays where it is while old lines leave at the top.
            self.scroll_to(y=max(0, self.scroll_y - dropped), animate=False, force=True)

    def show(self, lines: LogLines) -> None:
        """Another log, from its end."""
        self.lines = lines
        self.following = True
        self._found = None
        self._lay_out()

    def lay_out(self) -> None:
        """Another width, wrapping or search."""
        self._lay_out()

    def find(self, words: str, step: int) -> bool:
        """Go to the next line with these words; False where there is none."""
        self.update()
        self.words = words
        total = len(self.lines)
        at = self._place_of(int(self.scroll_y)) if self._found is None else self._found + step
        place = self.lines.find(words, at % total, step) if total else None
        self._found = place
        if place is not None:
            self.following = False
            self._show(place)
        self.refresh()
        return place is not None

    def search_for(self, words: str) -> None:
        """Mark these words; the next `find` begins at what is visible."""
        self.words = words
        self._found = None
        self.refresh()

    def move(self, lines: int) -> None:
        """Some lines up or down; up stops following, the end begins it again."""
        last = max(0, len(self._rows) - self.size.height)
        y = max(0, min(last, int(self.scroll_y) + lines))
        self.following = y >= last and lines > 0
        self.scroll_to(y=y, animate=False, force=True)

    def sideways(self, step: int) -> None:
        """Show what lies further to the right, or to the left again."""
        x = max(0, int(self.scroll_x) + SIDE_CELLS * step)
        if not self.wrap:
            self.scroll_to(x=x, animate=False, force=True)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        cells = self._cells
        row = y + int(self.scroll_y)
        if row >= len(self._rows):
            return self._painter.blank(cells)
        place, part = self._rows[row]
        text = self.lines[place]
        begin = part * cells if self.wrap else int(self.scroll_x)
        base = "cursor" if place == self._found else ""
        return self._painter.strip(marked(text[begin : begin + cells], self.words), cells, base)

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        self._shown, self._first = self.lines.count, self.lines.first
        cells = self._cells
        if self.wrap:
            self._rows = [
                (place, part)
                for place, text in enumerate(self.lines)
                for part in range(max(1, -(-len(text) // cells)))
            ]
            width = cells
        else:
            self._rows = [(place, 0) for place in range(len(self.lines))]
            width = max([cells, *map(len, self.lines)])
        self.virtual_size = Size(width, len(self._rows))
        if self.following:
            self.scroll_to(y=max(0, len(self._rows) - self.size.height), animate=False, force=True)
        self.refresh()

    def _place_of(self, row: int) -> int:
        return self._rows[min(row, len(self._rows) - 1)][0] if self._rows else 0

    def _show(self, place: int) -> None:
        row = next((nth for nth, (at, _) in enumerate(self._rows) if at == place), None)
        if row is None:
            return
        top, height = int(self.scroll_y), self.size.height
        if not top <= row < top + height:
            self.scroll_to(y=max(0, row - height // 2), animate=False, force=True)


def marked(text: str, words: str) -> Line:
    """A line in which the words stand out."""
    if not words:
        return [(text, "")]
    line: Line = []
    lower, needle = text.casefold(), words.casefold()
    at = 0
    while len(lower) == len(text) and (found := lower.find(needle, at)) >= 0:
        line += [(text[at:found], ""), (text[found : found + len(needle)], "accent")]
        at = found + len(needle)
    return [*line, (text[at:], "")]
