"""What can be typed after `:` on the fleet screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cohete.errors import CoheteError
from cohete.fleet.export import export_text, write_export
from cohete.fleet.query import NUMBERS, TEXTS, parse_query
from cohete.fleet.words import counted
from cohete_tui.commands import Command, one_of
from cohete_tui.layouts import PaneLayout, TableLayout
from cohete_tui.ordering import GROUPINGS, SORTS
from cohete_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.screen import Screen

    from cohete_tui.screens.fleet import FleetScreen

RATES_S = (0.25, 60.0)
VIEWS = ("panes", "table", "wide")


def _on(screen: Screen[object]) -> FleetScreen:
    return cast("FleetScreen", screen)


def _filter(screen: Screen[object], argument: str) -> None:
    parse_query(argument)
    screen.query_one("#filter", Prompt).value = argument


def _sort(screen: Screen[object], argument: str) -> None:
    fleet = _on(screen)
    fleet.order.sort = one_of(argument, {sort.name: sort for sort in SORTS}, "column")
    fleet.reorder()


def _group(screen: Screen[object], argument: str) -> None:
    fleet = _on(screen)
    fleet.order.group(one_of(argument, {name or "none": name for name in GROUPINGS}, "grouping"))
    fleet.reorder()


def _view(screen: Screen[object], argument: str) -> None:
    name = one_of(argument, {view: view for view in VIEWS}, "view")
    _on(screen).canvas.set_layout(
        PaneLayout() if name == "panes" else TableLayout(wide=name == "wide")
    )


def _mark(screen: Screen[object], argument: str) -> None:
    fleet = _on(screen)
    matching = parse_query(argument).of(fleet.store, fleet.store.clock.monotonic())
    fleet.canvas.marks.add(matching)
    fleet.marks_changed()


async def _export(screen: Screen[object], argument: str) -> None:
    if not argument:
        raise CoheteError("export needs a file name", hint="As in :export fleet.csv")
    fleet = _on(screen)
    path = await asyncio.to_thread(Path(argument).expanduser)
    devices = fleet.canvas.marks.of(fleet.order.matching) or fleet.order.matching
    text = export_text(devices, fleet.store, path.suffix.removeprefix(".").lower())
    await asyncio.to_thread(write_export, path, text)
    fleet.notify(f"{counted(devices)} written to {path}.", timeout=6, markup=False)


def _rate(screen: Screen[object], argument: str) -> None:
    least, most = RATES_S
    try:
        seconds = float(argument)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= most:
        raise CoheteError(f"{argument!r} is no rate", hint=f"Seconds, {least:g} to {most:g}.")
    _on(screen).set_rate(seconds)


def _open(screen: Screen[object], argument: str) -> None:
    fleet = _on(screen)
    known = {device.id: device for device in fleet.store}
    fleet.open_device(one_of(argument, known, "device").id)


def _devices(screen: Screen[object]) -> list[str]:
    return [device.id for device in _on(screen).store]


FLEET_COMMANDS = (
    Command("filter", "TERMS", "Show only devices that match: temp>80 tag:lab !lost", _filter,
            lambda screen: [*(f"{name}:" for name in TEXTS), *(f"{name}>" for name in NUMBERS)]),
    Command("sort", "COLUMN", "Order by a column", _sort,
            lambda screen: [sort.name for sort in SORTS]),
    Command("group", "tag|site|module|none", "Group devices under headings", _group,
            lambda screen: [name or "none" for name in GROUPINGS]),
    Command("view", "panes|table|wide", "How devices are laid out", _view, lambda screen: VIEWS),
    Command("mark", "TERMS", "Mark the devices that match", _mark),
    Command("export", "FILE.csv|.json|.md", "Write what is shown, or what is marked, to a file",
            _export, writes=True),
    Command("rate", "SECONDS", "How often the screen is drawn", _rate),
    Command("open", "DEVICE", "Open a device", _open, _devices),
)  # fmt: skip
