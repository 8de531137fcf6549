"""A list of lines with a cursor, drawn line by line; the cursor stays on its row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cohete_tui.draw import Line
from cohete_tui.widgets.paint import Painter

Rows = Sequence[tuple[Hashable, Line]]


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows as (key, line)."""

    class Opened(Message):
        """The row under the cursor was clicked twice."""

    DEFAULT_CSS = """
    RowList { height: 1fr; width: 1fr; background: $background; overflow-x: hidden;
        scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._painter = Painter(self)
        self._rows: list[tuple[Hashable, Line]] = []
        self._key: Hashable = None
        self._touched = False

    @property
    def cursor(self) -> int:
        """Place of the cursor."""
        return next((nth for nth, (key, _) in enumerate(self._rows) if key == self._key), 0)

    @property
    def current(self) -> Hashable:
        """Key of the row under the cursor; None where there is none."""
        return self._rows[self.cursor][0] if self._rows else None

    def show(self, rows: Rows) -> None:
        """Show these rows; until somebody moves it, the cursor stays on top."""
        if list(rows) == self._rows:
            return
        self._rows = list(rows)
        if not self._touched:
            self._key = None
        self._key = self.current
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows))
        self._bring_into_view()
        self.refresh()

    def select(self, key: Hashable) -> None:
        """Put the cursor on a row, if it is there."""
        if any(known == key for known, _ in self._rows):
            self._touched = True
            self._key = key
            self._bring_into_view()
            self.refresh()

    def move(self, step: int) -> None:
        """Some rows up or down."""
        if self._rows:
            self._touched = True
            place = max(0, min(len(self._rows) - 1, self.cursor + step))
            self._key = self._rows[place][0]
            self._bring_into_view()
            self.refresh()

    def render_line(self, y: int) -> Strip:
        cells = self.scrollable_content_region.width
        place = y + int(self.scroll_y)
        if place >= len(self._rows):
            return self._painter.blank(cells)
        key, line = self._rows[place]
        return self._painter.strip(line, cells, "cursor" if key == self._key else "")

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """What lies below may have grown over the cursor."""
        self._bring_into_view()

    def on_click(self, event: events.Click) -> None:
        place = event.y + int(self.scroll_y)
        if place < len(self._rows):
            self.move(place - self.cursor)
            if event.chain > 1:
                self.post_message(self.Opened())

    def _bring_into_view(self) -> None:
        place, lines, top = self.cursor, self.size.height, int(self.scroll_y)
        if place < top:
            self.scroll_to(y=place, animate=False, force=True)
        elif lines and place >= top + lines:
            self.scroll_to(y=place - lines + 1, animate=False, force=True)
