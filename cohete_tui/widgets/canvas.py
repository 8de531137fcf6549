"""The devices of the fleet screen, drawn line by line; the cursor stays on its device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete_tui.layouts import Layout, PaneLayout
from cohete_tui.ordering import FleetOrder
from cohete_tui.widgets.paint import PAINT_CLASSES, Painter

AGE_STEP_S = 1.0
"""How often a device is drawn anew only because what it shows gets older."""


class FleetCanvas(ScrollView, can_focus=True):
    """A wall of panes or a table, as its layout says. Costs what is visible, not what exists."""

    class Opened(Message):
        """A device was clicked twice."""

        def __init__(self, device: Device) -> None:
            super().__init__()
            self.device = device

    class HeadingClicked(Message):
        """The heading over a column was clicked."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    COMPONENT_CLASSES: ClassVar[set[str]] = PAINT_CLASSES
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
        self.cursor_id: str | None = None
        self._touched = False
        self._places: dict[int, int] = {}
        self._drawn_at: dict[int, float] = {}
        self._strips: dict[int, tuple[tuple[object, ...], list[Strip]]] = {}

    @property
    def cursor(self) -> int:
        """Place of the cursor's device; the first place where it is not shown."""
        if self.cursor_id is None or self.cursor_id not in self.store:
            return 0
        return self._places.get(self.store[self.cursor_id].index, 0)

    @property
    def current(self) -> Device | None:
        """The device under the cursor."""
        devices = self.order.devices
        return devices[self.cursor] if devices else None

    def set_layout(self, layout: Layout) -> None:
        """Lay the same devices out in another way; the cursor stays where it is."""
        self.layout_of_fleet = layout
        self.rearrange()

    def move_to(self, place: int) -> None:
        """Put the cursor on a place of the order and bring it into view."""
        devices = self.order.devices
        if not devices:
            return
        self._touched = True
        before = self.current
        now_on = devices[max(0, min(len(devices) - 1, place))]
        self.cursor_id = now_on.id
        self._bring_into_view()
        if before is not None:
            self._redraw(before)
        self._redraw(now_on)

    def move_to_device(self, device: Device) -> None:
        """Put the cursor on a device, if it is shown."""
        if device.index in self._places:
            self.move_to(self._places[device.index])

    def move(self, dx: int, dy: int) -> None:
        """An arrow key."""
        target = self.cursor + self.layout_of_fleet.step(dx, dy)
        if 0 <= target < len(self.order.devices):
            self.move_to(target)

    def page(self, direction: int) -> None:
        """A page up or down: as many rows as are visible."""
        top = self.layout_of_fleet.box(self.cursor)[1]
        lines = max(1, self.size.height - self._heading_height)
        places = self.layout_of_fleet.places(top, top + lines - 1)
        step = max(1, len(places) - self.layout_of_fleet.step(0, 1))
        self.move_to(self.cursor + direction * step)

    def rearrange(self) -> None:
        """Order or size changed: everything has a new place."""
        devices = self.order.devices
        self._places = {device.index: place for place, device in enumerate(devices)}
        if devices and not (self._touched and self._is_shown(self.cursor_id)):
            # Until somebody moves it, the cursor stays on top, where trouble is.
            self.cursor_id = devices[0].id
        self._strips.clear()
        layout = self.layout_of_fleet
        cells = self._cells
        layout.arrange(devices, cells)
        self.virtual_size = Size(cells, layout.height() + self._heading_height)
        self._bring_into_view()
        self.refresh()

    def flush(self, changed: Iterable[int]) -> None:
        """Draw what is visible and has changed, or has not been drawn for AGE_STEP_S."""
        wanted = set(changed)
        now = self.store.clock.monotonic()
        for device in self.visible_devices():
            at = device.index
            if at in wanted or now - self._drawn_at.get(at, 0.0) >= AGE_STEP_S:
                self._drawn_at[at] = now
                self._redraw(device)

    def visible_devices(self) -> list[Device]:
        """Devices of which something can be seen."""
        top = int(self.scroll_y)
        last = top + self.size.height - self._heading_height - 1
        devices = self.order.devices
        return [devices[place] for place in self.layout_of_fleet.places(top, last)]

    def render_line(self, y: int) -> Strip:
        cells = self._cells
        heading = self._heading_height
        if y < heading:
            order = self.order
            lines = self.layout_of_fleet.heading(order.sort.name, reverse=order.reverse)
            return self._painter.strip(lines[y], cells)
        row = self.layout_of_fleet.row(y - heading + int(self.scroll_y))
        strips = [self._strips_of(place)[line] for place, line in row]
        if not strips:
            return self._painter.blank(cells)
        return Strip.join(strips).adjust_cell_length(cells, self._painter.style(""))

    def notify_style_update(self) -> None:
        self._painter.clear()
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self, event: events.Resize) -> None:
        self.rearrange()

    def on_click(self, event: events.Click) -> None:
        y = event.y - self._heading_height
        if y < 0:
            sort = self.layout_of_fleet.sort_at(event.x)
            if sort:
                self.post_message(self.HeadingClicked(sort))
            return
        place = self.layout_of_fleet.place_at(event.x, y + int(self.scroll_y))
        if place is None:
            return
        self.move_to(place)
        if event.chain > 1 and self.current is not None:
            self.post_message(self.Opened(self.current))

    def _is_shown(self, device_id: str | None) -> bool:
        return device_id in self.store and self.store[str(device_id)].index in self._places

    @property
    def _cells(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _heading_height(self) -> int:
        return len(self.layout_of_fleet.heading("", reverse=False))

    def _strips_of(self, place: int) -> list[Strip]:
        device = self.order.devices[place]
        focused = place == self.cursor
        key = (device.version, focused)
        known = self._strips.get(device.index)
        if known is not None and known[0] == key:
            return known[1]
        layout = self.layout_of_fleet
        cells = layout.cells(place)
        base = "cursor" if focused and layout.name == "table" else ""
        lines = layout.draw(device, self.store.clock.monotonic(), focused=focused)
        strips = [self._painter.strip(line, cells, base) for line in lines]
        self._strips[device.index] = (key, strips)
        return strips

    def _redraw(self, device: Device) -> None:
        place = self._places.get(device.index)
        if place is None:
            return
        self._strips.pop(device.index, None)
        self.refresh(self._region(place).translate(-self.scroll_offset))

    def _region(self, place: int) -> Region:
        x, y, width, height = self.layout_of_fleet.box(place)
        return Region(x, y + self._heading_height, width, height)

    def _bring_into_view(self) -> None:
        """Scroll by as little as shows the cursor's device whole."""
        if not self.order.devices or not self.size.height:
            return
        _, y, _, height = self.layout_of_fleet.box(self.cursor)
        lines = self.size.height - self._heading_height
        top = int(self.scroll_y)
        if y < top or height > lines:
            self.scroll_to(y=y, animate=False, force=True)
        elif y + height > top + lines:
            self.scroll_to(y=y + height - lines, animate=False, force=True)
