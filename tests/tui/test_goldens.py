"""What is drawn by hand, as plain text beside the test: a change of a cell shows in a diff.

`COHETE_RENEW=1 pytest tests/tui/test_goldens.py` writes the files anew; read the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cohete.device.activity import between, counters_from
from cohete.fleet.store import FleetStore
from cohete_tui import activity, panels
from cohete_tui.columns import everything, fitting, row_line, title_line
from cohete_tui.draw import Line, bar, sparkline
from cohete_tui.groups import heading_line
from cohete_tui.ordering import FleetOrder, Group
from cohete_tui.summary import summary
from cohete_tui.tiles import tile
from cohete_tui.widgets.status import Status, chips, resources_line, totals_line
from tests.device.test_activity import SECTIONS
from tests.tui.support import mixed_store

FOLDER = Path(__file__).parent / "goldens"


def text(lines: list[Line]) -> str:
    return "\n".join("".join(part for part, _ in line).rstrip() for line in lines)


def tiles(store: FleetStore) -> list[str]:
    now_s = store.clock.monotonic()
    return [
        text(tile(device, now_s, cells, focused=False)) for cells in (38, 60) for device in store
    ]


def table(store: FleetStore) -> list[str]:
    now_s = store.clock.monotonic()
    found = []
    for shown in (
        fitting(store.devices, 78),
        fitting(store.devices, 150),
        everything(store.devices),
    ):
        rows = [title_line(shown, "temp", reverse=False)]
        rows += [row_line(device, now_s, shown) for device in store]
        found.append(text(rows))
    return found


def device_panels(store: FleetStore) -> list[str]:
    now_s = store.clock.monotonic()
    found = []
    for device in store:
        why = store.explain(device)
        for cells in (44, 76):
            found += [
                text([panels.headline(device, now_s, cells)]),
                text(panels.loads(device, now_s, cells, why)),
                text(panels.sensors(device, now_s, cells)),
                text(panels.identity(device, now_s, cells, why)),
            ]
    return found


def fleet_lines(store: FleetStore) -> list[str]:
    order = FleetOrder(store)
    order.group("tag")
    groups = [row for row in order.rows if isinstance(row, Group)]
    lines = [heading_line(group, 78, focused=False) for group in groups]
    lines += [totals_line(store.totals()), resources_line(store.totals())]
    order.set_filter("temp>50 !lost")
    status = Status(store, marked=2, new_events=3, slow_kbps=38.2, paused_s=75, rate_s=2.0,
                    badges=("REC 2.1MB",))  # fmt: skip
    lines.append(chips(status, order))
    return [text(lines), text(summary(store.devices, 38)), text(summary(store.devices, 20))]


def small_parts(store: FleetStore) -> list[str]:
    shares = (None, 0.0, 0.004, 0.1, 0.5, 0.86, 0.97, 1.0, 1.4)
    bars = [bar(share, 20) for share in shares] + [bar(0.5, 20, budget=0.8)]
    values = [float("nan"), 0, 1, 2, 5, 9, 4]
    sparks = [sparkline(values, cells, low=0, high=9) for cells in (3, 7, 12)]
    return [text(bars), "\n".join(f"|{spark}|" for spark in sparks)]


def processes(store: FleetStore) -> list[str]:
    later = {
        **SECTIONS,
        "uptime": b"1003.50 1.0\n",
        "processes": b"42 40 100 systemd\n77 700 90000 detect (yolo) x\n",
    }
    found = between(counters_from(SECTIONS), counters_from(later))
    lines = []
    for sort in activity.SORTS:
        lines.append(activity.heading(sort, 70))
        lines += [activity.process_line(each) for each in activity.ordered(found, sort, "")]
    return [text(lines), text(activity.traffic_lines(found, 70))]


DRAWN: dict[str, Callable[[FleetStore], list[str]]] = {
    "tiles": tiles,
    "table": table,
    "device": device_panels,
    "fleet": fleet_lines,
    "parts": small_parts,
    "processes": processes,
}


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn(name: str) -> None:
    drawn = "\n\n".join(DRAWN[name](mixed_store())) + "\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("COHETE_RENEW"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn)
    assert drawn == path.read_text()
