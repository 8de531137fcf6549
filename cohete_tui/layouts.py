"""Where devices and group headings lie on the fleet screen: as a wall of panes or as a table. Pure.

Coordinates are lines and cells from the top left of everything there is to scroll over, below
the heading. A new way to lay out the fleet is one more class with these methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from cohete.fleet.state import Device
from cohete_tui import columns, tiles
from cohete_tui.draw import Line
from cohete_tui.groups import heading_line
from cohete_tui.ordering import Group, Row

Box = tuple[int, int, int, int]
"""x, y, width, height."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a row is drawn besides what it says."""

    focused: bool = False
    marked: bool = False


@dataclass(frozen=True, slots=True)
class _Band:
    """Rows that lie beside each other: places `first` to before `end`, from line `y` on."""

    y: int
    height: int
    first: int
    end: int


class Layout(ABC):
    """Places rows in bands from top to bottom and draws one row."""

    name: str

    def __init__(self) -> None:
        self._bands: list[_Band] = []
        self._tops: list[int] = []
        self._band_of: list[int] = []
        self._rows: Sequence[Row] = ()
        self._full = 80

    @abstractmethod
    def arrange(self, rows: Sequence[Row], cells: int) -> None:
        """Prepare for these rows in this width."""

    @abstractmethod
    def cells(self, place: int) -> int:
        """Width of the drawing at this place."""

    @abstractmethod
    def draw_device(self, device: Device, now_s: float, look: Look) -> list[Line]:
        """A device as lines."""

    def heading(self, sort: str, *, reverse: bool) -> list[Line]:
        """Lines that do not scroll."""
        return []

    def sort_at(self, x: int) -> str:
        """The way to order that belongs to this part of the heading; empty for none."""
        return ""

    def full_cells(self, cells: int) -> int:
        """Cells a line takes where `cells` are visible; more of them scroll sideways."""
        return cells

    def pinned_cells(self) -> int:
        """Cells at the left that do not scroll sideways."""
        return 0

    def draw(self, row: Row, now_s: float, look: Look) -> list[Line]:
        """A row as lines."""
        if isinstance(row, Group):
            return [heading_line(row, self._full, focused=look.focused)]
        return self.draw_device(row, now_s, look)

    def height(self) -> int:
        """Lines there are to scroll over."""
        return self._bands[-1].y + self._bands[-1].height if self._bands else 0

    def box(self, place: int) -> Box:
        """Where the row at this place of the order lies."""
        if not self._bands:
            return 0, 0, self._full, 1
        band = self._bands[self._band_of[place]]
        cells = self.cells(place)
        return (place - band.first) * cells, band.y, cells, band.height

    def place_at(self, x: int, y: int) -> int | None:
        """Which place is there."""
        band = self._band_at(y)
        if band is None:
            return None
        place = band.first + x // self.cells(band.first)
        return place if place < band.end else None

    def places(self, first: int, last: int) -> range:
        """Places of which something lies in lines `first` to `last`."""
        if not self._bands or last < 0:
            return range(0)
        begin = max(0, bisect_right(self._tops, max(0, first)) - 1)
        end = max(0, bisect_right(self._tops, last) - 1)
        return range(self._bands[begin].first, self._bands[end].end)

    def row(self, y: int) -> list[tuple[int, int]]:
        """Places in a line, each with the line of its drawing."""
        band = self._band_at(y)
        return [(place, y - band.y) for place in range(band.first, band.end)] if band else []

    def neighbour(self, place: int, dx: int, dy: int) -> int | None:
        """The place an arrow key leads to; None at the edge."""
        if not self._bands:
            return None
        if dx:
            target = place + dx
            return target if 0 <= target < len(self._rows) else None
        at = self._band_of[place]
        if not 0 <= at + dy < len(self._bands):
            return None
        here, there = self._bands[at], self._bands[at + dy]
        # A shorter row is entered at its end.
        return there.first + min(place - here.first, there.end - there.first - 1)

    def page(self, place: int, lines: int) -> int:
        """The place in the same column so many lines further down, or up."""
        x, top, _, _ = self.box(place)
        places = self.places(*[max(0, min(self.height() - 1, top + lines))] * 2)
        beside = [each for each in places if self.box(each)[0] <= x]
        return (beside or list(places))[-1]

    def _band_at(self, y: int) -> _Band | None:
        at = bisect_right(self._tops, y) - 1
        if at < 0:
            return None
        band = self._bands[at]
        return band if y < band.y + band.height else None

    def _place(self, rows: Sequence[Row], columns: int, height: int) -> None:
        """Bands of up to `columns` devices of `height` lines; a heading has a line to itself."""
        self._rows = rows
        self._bands = []
        self._band_of = []
        y = place = 0
        while place < len(rows):
            end, tall = place + 1, 1
            if isinstance(rows[place], Device):
                tall = height
                while end < min(len(rows), place + columns) and isinstance(rows[end], Device):
                    end += 1
            self._band_of += [len(self._bands)] * (end - place)
            self._bands.append(_Band(y, tall, place, end))
            place, y = end, y + tall
        self._tops = [band.y for band in self._bands]


class PaneLayout(Layout):
    """Tiles of equal width, as many beside each other as fit."""

    name = "panes"

    def __init__(self) -> None:
        super().__init__()
        self._columns = 1
        self._cells = tiles.MIN_WIDTH

    def arrange(self, rows: Sequence[Row], cells: int) -> None:
        grouped = any(isinstance(row, Group) for row in rows)
        most = len(rows) if rows and not grouped else cells
        self._columns = max(1, min(most, cells // tiles.MIN_WIDTH))
        self._cells = max(20, cells // self._columns)
        self._full = cells
        self._place(rows, self._columns, tiles.HEIGHT)

    def draw_device(self, device: Device, now_s: float, look: Look) -> list[Line]:
        return tiles.tile(device, now_s, self._cells, focused=look.focused, marked=look.marked)

    def cells(self, place: int) -> int:
        return self._full if isinstance(self._rows[place], Group) else self._cells


class TableLayout(Layout):
    """One line a device, under a heading. `wide` shows every column and scrolls sideways."""

    name = "table"

    def __init__(self, *, wide: bool = False) -> None:
        super().__init__()
        self.wide = wide
        self._shown: list[columns.Column] = []

    def arrange(self, rows: Sequence[Row], cells: int) -> None:
        devices = [row for row in rows if isinstance(row, Device)]
        self._shown = columns.everything(devices) if self.wide else columns.fitting(devices, cells)
        self._full = self.full_cells(cells)
        self._place(rows, 1, 1)

    def heading(self, sort: str, *, reverse: bool) -> list[Line]:
        return [columns.title_line(self._shown, sort, reverse=reverse)]

    def full_cells(self, cells: int) -> int:
        needed = 1 + sum(column.cells + 2 for column in self._shown)
        return max(cells, needed) if self.wide else cells

    def pinned_cells(self) -> int:
        return 3 + self._shown[0].cells if self.wide and self._shown else 0

    def draw_device(self, device: Device, now_s: float, look: Look) -> list[Line]:
        return [columns.row_line(device, now_s, self._shown, marked=look.marked)]

    def cells(self, place: int) -> int:
        return self._full

    def sort_at(self, x: int) -> str:
        at = 1
        for column in self._shown:
            if at <= x < at + column.cells + 2:
                return column.sort
            at += column.cells + 2
        return ""
