"""The devices of the fleet screen, drawn line by line; the cursor stays on its device."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from textual import events
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete_tui.layouts import Layout, Look, PaneLayout, TableLayout
from cohete_tui.marks import Marks
from cohete_tui.ordering import FleetOrder, Group, Row, devices_of
from cohete_tui.turns import Turns
from cohete_tui.widgets.drawn import DrawnRows
from cohete_tui.widgets.paint import Painter, differences, sideways


class FleetCanvas(ScrollView, can_focus=True, inherit_bindings=False):
    """A wall of panes or a table, as its layout says. Costs what is visible, not what exists."""

    class Opened(Message):
        """The row under the cursor was clicked twice."""

    class HeadingClicked(Message):
        """The heading over a column was clicked."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    DEFAULT_CSS = """
    FleetCanvas { height: 1fr; width: 1fr; background: $background;
        overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1; }
    """

    def __init__(self, store: FleetStore, order: FleetOrder, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.store = store
        self.order = order
        self._painter = Painter(self)
        self.layout_of_fleet: Layout = PaneLayout()
        self.marks = Marks()
        self.cursor_id: str | None = None
        self._touched = False
        self._turns = Turns()
        self._places: dict[str, int] = {}
        self._drawn = DrawnRows()

    @property
    def cursor(self) -> int:
        """Place of the cursor's row; the first place where it is not shown."""
        return self._places.get(self.cursor_id or "", 0)

    @property
    def current_row(self) -> Row | None:
        """The device or the group heading under the cursor."""
        rows = self.order.rows
        return rows[self.cursor] if rows else None

    @property
    def current(self) -> Device | None:
        """The device under the cursor; None on a heading."""
        row = self.current_row
        return row if isinstance(row, Device) else None

    @property
    def chosen(self) -> list[Device]:
        """What an action takes: the marked devices that the filter shows, else the cursor's."""
        return self.marks.of(self.order.matching) or devices_of(self.current_row)

    def show_store(self, store: FleetStore) -> None:
        """Draw another store's devices: the live ones, or a moment that was kept."""
        self.store = store
        self._turns.clear()
        self.rearrange()

    def set_layout(self, layout: Layout) -> None:
        """Lay the same devices out in another way; the cursor stays where it is."""
        self.layout_of_fleet = layout
        self.rearrange()

    def move_to(self, place: int) -> None:
        """Put the cursor on a place of the order and bring it into view."""
        rows = self.order.rows
        if not rows:
            return
        self._touched = True
        before = self.current_row
        now_on = rows[max(0, min(len(rows) - 1, place))]
        self.cursor_id = now_on.id
        self._bring_into_view()
        if before is not None:
            self._redraw(before.id)
        self._redraw(now_on.id)

    def move_to_device(self, device: Device) -> None:
        """Put the cursor on a device, if it is shown."""
        if device.id in self._places:
            self.move_to(self._places[device.id])

    def move(self, dx: int, dy: int) -> None:
        """An arrow key: to the neighbour, or sideways where the table is wider than the screen."""
        if dx and self._hidden_cells:
            self.scroll_to(x=self.scroll_x + 8 * dx, animate=False, force=True)
            self.refresh()
            return
        if dx and isinstance(self.layout_of_fleet, TableLayout):
            return
        target = self.layout_of_fleet.neighbour(self.cursor, dx, dy)
        if target is not None:
            self.move_to(target)

    def page(self, direction: int) -> None:
        """A page up or down: as many rows as are visible."""
        if self.order.rows:
            lines = max(1, self.size.height - self._heading_height)
            self.move_to(self.layout_of_fleet.page(self.cursor, direction * max(1, lines - 1)))

    def redraw_marks(self) -> None:
        """Draw the rows again whose mark is another than it was drawn with."""
        for row in self._visible_rows():
            known = self._drawn.get(row.id)
            if known is not None and known[0][1] != self._look(row):
                self._redraw(row.id)

    def rearrange(self) -> None:
        """Order or size changed: everything has a new place."""
        rows = self.order.rows
        self._places = {row.id: place for place, row in enumerate(rows)}
        if rows and not (self._touched and self.cursor_id in self._places):
            # Until somebody moves it, the cursor stays on top, where trouble is.
            self.cursor_id = next((row.id for row in rows if isinstance(row, Device)), rows[0].id)
        self._drawn.clear()
        layout = self.layout_of_fleet
        layout.arrange(rows, self._cells)
        self.virtual_size = Size(
            layout.full_cells(self._cells), layout.height() + self._heading_height
        )
        self._bring_into_view()
        self.refresh()

    def flush(self, changed: Iterable[int], limit: int | None = None) -> int:
        """Draw what is visible and due, at most `limit` rows; how many were drawn."""
        due = self._turns.take(self._visible_rows(), changed, self.store.clock.monotonic(), limit)
        for row in due:
            self._redraw(row.id)
        return len(due)

    def render_line(self, y: int) -> Strip:
        cells = self._cells
        layout = self.layout_of_fleet
        full = layout.full_cells(cells)
        at, pinned = min(int(self.scroll_x), full - cells), layout.pinned_cells()
        heading = self._heading_height
        if y < heading:
            order = self.order
            lines = layout.heading(order.sort.name, reverse=order.reverse)
            return sideways(self._painter.strip(lines[y], full), cells, at, pinned)
        row = layout.row(y - heading + int(self.scroll_y))
        line = [segment for place, nth in row for segment in self._drawn_of(place)[nth]]
        if not line:
            return self._painter.blank(cells)
        drawn = Segment.adjust_line_length(line, full, self._painter.style(""))
        return sideways(Strip(drawn, full), cells, at, pinned)

    def notify_style_update(self) -> None:
        self._painter.clear()
        self._drawn.clear()
        super().notify_style_update()

    def on_resize(self, event: events.Resize) -> None:
        self.rearrange()

    def on_click(self, event: events.Click) -> None:
        y = event.y - self._heading_height
        if y < 0:
            sort = self.layout_of_fleet.sort_at(event.x + int(self.scroll_x))
            if sort:
                self.post_message(self.HeadingClicked(sort))
            return
        place = self.layout_of_fleet.place_at(event.x, y + int(self.scroll_y))
        if place is None:
            return
        self.move_to(place)
        if event.chain > 1 and self.current_row is not None:
            self.post_message(self.Opened())

    def _visible_rows(self) -> list[Row]:
        top = int(self.scroll_y)
        last = top + self.size.height - self._heading_height - 1
        rows = self.order.rows
        return [rows[place] for place in self.layout_of_fleet.places(top, last)]

    @property
    def _hidden_cells(self) -> int:
        return self.layout_of_fleet.full_cells(self._cells) - self._cells

    @property
    def _cells(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _heading_height(self) -> int:
        return len(self.layout_of_fleet.heading("", reverse=False))

    def _drawn_of(self, place: int) -> list[list[Segment]]:
        row = self.order.rows[place]
        look = self._look(row)
        key = (row.version if isinstance(row, Device) else row.devices, look)
        known = self._drawn.get(row.id)
        if known is not None and known[0] == key:
            return known[1]
        layout, cells = self.layout_of_fleet, self.layout_of_fleet.cells(place)
        flat = isinstance(layout, TableLayout) or isinstance(row, Group)
        base = "cursor" if look.focused and flat else ""
        lines = layout.draw(row, self.store.clock.monotonic(), look)
        drawn = [self._painter.segments(line, cells, base) for line in lines]
        self._drawn.make_room(self._visible_rows)
        self._drawn[row.id] = (key, drawn)
        return drawn

    def _look(self, row: Row) -> Look:
        return Look(self._places.get(row.id) == self.cursor, row.id in self.marks)

    def _redraw(self, row_id: str) -> None:
        place = self._places.get(row_id)
        if place is None:
            return
        before = self._drawn.pop(row_id, None)
        region = self._region(place).translate(Offset(0, -int(self.scroll_y)))
        if before is None:
            self.refresh(region)
            return
        # Of a pane mostly a few numbers are others: every cell and style that is sent costs.
        for nth, (old, new) in enumerate(zip(before[1], self._drawn_of(place), strict=True)):
            for begin, end in differences(old, new):
                self.refresh(Region(region.x + begin, region.y + nth, end - begin, 1))

    def _region(self, place: int) -> Region:
        x, y, width, height = self.layout_of_fleet.box(place)
        return Region(x, y + self._heading_height, width, height)

    def _bring_into_view(self) -> None:
        """Scroll by as little as shows the cursor's device whole."""
        if not self.order.rows or not self.size.height:
            return
        _, y, _, height = self.layout_of_fleet.box(self.cursor)
        lines = self.size.height - self._heading_height
        top = int(self.scroll_y)
        if y < top or height > lines:
            self.scroll_to(y=y, animate=False, force=True)
        elif y + height > top + lines:
            self.scroll_to(y=y + height - lines, animate=False, force=True)
