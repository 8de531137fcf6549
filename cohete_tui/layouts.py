"""Where devices lie on the fleet screen: as a wall of panes or as a table. Pure.

Coordinates are lines and cells from the top left of everything there is to scroll over, below
the heading. A new way to lay out the fleet is one more class with these methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cohete.fleet.state import Device
from cohete_tui import columns, tiles
from cohete_tui.draw import Line

Box = tuple[int, int, int, int]
"""x, y, width, height."""


class Layout(Protocol):
    """Places devices and draws one."""

    name: str

    def arrange(self, devices: Sequence[Device], cells: int) -> None:
        """Prepare for these devices in this width."""
        ...

    def heading(self, sort: str, *, reverse: bool) -> list[Line]:
        """Lines that do not scroll."""
        ...

    def height(self) -> int:
        """Lines there are to scroll over."""
        ...

    def box(self, place: int) -> Box:
        """Where the device at this place of the order lies."""
        ...

    def place_at(self, x: int, y: int) -> int | None:
        """Which place is there."""
        ...

    def places(self, first: int, last: int) -> range:
        """Places of which something lies in lines `first` to `last`."""
        ...

    def row(self, y: int) -> list[tuple[int, int]]:
        """Places in a line, each with the line of its drawing."""
        ...

    def draw(self, device: Device, now_s: float, *, focused: bool) -> list[Line]:
        """A device as lines."""
        ...

    def cells(self, place: int) -> int:
        """Width of the drawing at this place."""
        ...

    def step(self, dx: int, dy: int) -> int:
        """How far in the order an arrow key goes."""
        ...

    def sort_at(self, x: int) -> str:
        """The way to order that belongs to this part of the heading; empty for none."""
        ...


class PaneLayout:
    """Tiles of equal width, as many beside each other as fit."""

    name = "panes"

    def __init__(self) -> None:
        self._count = 0
        self._columns = 1
        self._cells = tiles.MIN_WIDTH

    def arrange(self, devices: Sequence[Device], cells: int) -> None:
        self._count = len(devices)
        self._columns = max(1, min(self._count or 1, cells // tiles.MIN_WIDTH))
        self._cells = max(20, cells // self._columns)

    def heading(self, sort: str, *, reverse: bool) -> list[Line]:
        return []

    def height(self) -> int:
        return -(-self._count // self._columns) * tiles.HEIGHT

    def box(self, place: int) -> Box:
        row, column = divmod(place, self._columns)
        return column * self._cells, row * tiles.HEIGHT, self._cells, tiles.HEIGHT

    def place_at(self, x: int, y: int) -> int | None:
        column = x // self._cells
        place = y // tiles.HEIGHT * self._columns + column
        return place if column < self._columns and 0 <= place < self._count else None

    def places(self, first: int, last: int) -> range:
        begin = max(0, first // tiles.HEIGHT * self._columns)
        return range(begin, min(self._count, (last // tiles.HEIGHT + 1) * self._columns))

    def row(self, y: int) -> list[tuple[int, int]]:
        row, line = divmod(y, tiles.HEIGHT)
        first = row * self._columns
        return [(place, line) for place in range(first, min(self._count, first + self._columns))]

    def draw(self, device: Device, now_s: float, *, focused: bool) -> list[Line]:
        return tiles.tile(device, now_s, self._cells, focused=focused)

    def cells(self, place: int) -> int:
        return self._cells

    def step(self, dx: int, dy: int) -> int:
        return dx + dy * self._columns

    def sort_at(self, x: int) -> str:
        return ""


class TableLayout:
    """One line a device, under a heading."""

    name = "table"

    def __init__(self) -> None:
        self._count = 0
        self._cells = 80
        self._shown: list[columns.Column] = []

    def arrange(self, devices: Sequence[Device], cells: int) -> None:
        self._count = len(devices)
        self._cells = cells
        self._shown = columns.fitting(devices, cells)

    def heading(self, sort: str, *, reverse: bool) -> list[Line]:
        return [columns.title_line(self._shown, sort, reverse=reverse)]

    def height(self) -> int:
        return self._count

    def box(self, place: int) -> Box:
        return 0, place, self._cells, 1

    def place_at(self, x: int, y: int) -> int | None:
        return y if 0 <= y < self._count else None

    def places(self, first: int, last: int) -> range:
        return range(max(0, first), min(self._count, last + 1))

    def row(self, y: int) -> list[tuple[int, int]]:
        return [(y, 0)] if 0 <= y < self._count else []

    def draw(self, device: Device, now_s: float, *, focused: bool) -> list[Line]:
        return [columns.row_line(device, now_s, self._shown)]

    def cells(self, place: int) -> int:
        return self._cells

    def step(self, dx: int, dy: int) -> int:
        return dy

    def sort_at(self, x: int) -> str:
        at = 1
        for column in self._shown:
            if at <= x < at + column.cells + 2:
                return column.sort
            at += column.cells + 2
        return ""


LAYOUTS: tuple[type[PaneLayout] | type[TableLayout], ...] = (PaneLayout, TableLayout)
