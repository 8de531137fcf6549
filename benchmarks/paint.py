"""What drawing alone costs: Cohete's fleet screen beside a DataTable and a widget for every number.

All three show the same devices, fed in their own process from parsed lines at 1 Hz, without SSH, in
a pty of 200x50. What the feed costs without a screen is measured in the same way and taken off.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import DataTable, Static

from benchmarks.terminal import Terminal, spread
from cohete.clock import SystemClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.errors import LinkError
from cohete.fleet.alerting import AlertKeeper
from cohete.fleet.changing import Changes
from cohete.fleet.garbage import keep_tidy
from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete.fleet.words import ROW_TITLES, row
from cohete.links.base import Link
from cohete.simulator.board import TegraStatsRun
from cohete.simulator.scenario import build
from cohete.tegra import TegraStats, parse

SETTLE_S, WATCH_S = 65.0, 12.0
"""After a minute what stays is looked through for garbage no more, in all of them."""
KEYS = 40
DRAWN_S = 0.5
"""How often the baselines draw: as often as Cohete does."""
WIDGET_DEVICES = 200
"""With a widget for each number more devices than this take minutes to mount."""


def samples() -> list[TegraStats]:
    """What the boards of a calm fleet print, five times each."""
    boards = build("calm", SystemClock(), 40).boards
    runs = [TegraStatsRun(board, root=False) for board in boards]
    parsed = [parse(run.line()) for _ in range(5) for run in runs]
    return [stats for stats in parsed if stats is not None]


class Feed:
    """A fleet whose devices all say something once a second; no SSH, no parsing."""

    def __init__(self, count: int) -> None:
        host = Target("10.0.0.7", "nvidia")
        specs = [DeviceSpec(f"dev-{nth:04}", host) for nth in range(count)]
        self.store = FleetStore(specs, SystemClock(), "bench")
        self.changes: Changes | None = None
        self.alerts: AlertKeeper | None = None
        self._samples = samples()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        devices = self.store.devices
        begin, told = time.monotonic(), 0
        while True:
            await asyncio.sleep(0.01)
            due = int((time.monotonic() - begin) * len(devices))
            for nth in range(told, due):
                sample = self._samples[(nth * 7 + nth // len(devices)) % len(self._samples)]
                self.store.apply(devices[nth % len(devices)], sample)
            told = due

    # What the dashboard wants of a session.

    def start(self) -> None:
        tidying = keep_tidy(self.store.clock)
        self._tasks = [asyncio.create_task(self.run()), asyncio.create_task(tidying)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def accept_key(self, device: Device) -> None:
        """There are no keys here."""

    def breaker_of(self, device: Device) -> None:
        return None

    def retry(self, device_id: str) -> None:
        """There is nothing to try."""

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> None:
        """Nothing is kept."""

    def link(self, device: Device) -> Link:
        raise LinkError("there is no device", where=device.id)

    def shell_argv(self, device: Device) -> list[str]:
        return []


class Baseline(App[None]):
    """What all baselines have: the feed, a timer, q."""

    BINDINGS: ClassVar = [("q", "quit", "quit")]

    def __init__(self, count: int) -> None:
        super().__init__()
        self.feed = Feed(count)

    def on_mount(self) -> None:
        self.feed.start()
        self.set_interval(DRAWN_S, self.draw)

    def draw(self) -> None:
        """Show what changed."""

    def changed(self) -> Iterable[tuple[Device, tuple[str, ...]]]:
        now_s = self.feed.store.clock.monotonic()
        for index in self.feed.store.take_changed():
            device = self.feed.store.devices[index]
            yield device, row(device, now_s)


class Nothing(Baseline):
    """The feed without a screen."""


class Table(Baseline):
    """Textual's DataTable, a row for each device."""

    def compose(self) -> ComposeResult:
        table: DataTable[str] = DataTable(cursor_type="row")
        now_s = self.feed.store.clock.monotonic()
        keys = table.add_columns(*ROW_TITLES)
        for device in self.feed.store:
            table.add_row(*row(device, now_s), key=device.id)
        self._cells = keys
        yield table

    def draw(self) -> None:
        table = self.query_one(DataTable)
        for device, cells in self.changed():
            for key, text in zip(self._cells, cells, strict=True):
                table.update_cell(device.id, key, text)


class Widgets(Baseline):
    """A widget for each number."""

    CSS = """
    .row { layout: horizontal; height: 1; }
    .row Static { width: 1fr; height: 1; }
    """

    def compose(self) -> ComposeResult:
        now_s = self.feed.store.clock.monotonic()
        self._cells: dict[str, list[Static]] = {}
        with VerticalScroll():
            for device in self.feed.store:
                self._cells[device.id] = [Static(text) for text in row(device, now_s)]
                with Container(classes="row"):
                    yield from self._cells[device.id]

    def draw(self) -> None:
        for device, cells in self.changed():
            for widget, text in zip(self._cells[device.id], cells, strict=True):
                widget.update(text)


def child(kind: str, count: int) -> None:
    """One of the programs that are measured."""
    if kind == "cohete":
        from cohete.loop import run
        from cohete_tui.app import CoheteApp
        from cohete_tui.launch import Launch

        async def shown() -> None:
            feed = Feed(count)
            feed.start()
            await CoheteApp(Launch(None), session=feed).run_async()

        run(shown())
    else:
        {"nothing": Nothing, "table": Table, "widgets": Widgets}[kind](count).run()


def opened(kind: str, count: int) -> Terminal:
    code = f"from benchmarks.paint import child; child({kind!r}, {count})"
    return Terminal([sys.executable, "-c", code])


def measure(name: str, kind: str, count: int, alone: float, *, keys: bytes = b"") -> None:
    with opened(kind, count) as screen:
        screen.read_for(SETTLE_S)
        if keys:
            screen.type(keys)
            screen.read_for(2)
        share, rate = screen.watch(WATCH_S)
        down, up = (b"j", b"k") if kind == "cohete" else (b"\x1b[B", b"\x1b[A")
        steps = [screen.key_ms(down if nth % 4 < 2 else up) for nth in range(KEYS)]
        down, up = b"\x1b[6~", b"\x1b[5~"
        pages = [screen.key_ms(down if nth % 8 < 4 else up) for nth in range(KEYS)]
        print(
            f"{name}: {count} devices, drawing {100 * (share - alone):.1f} % of a core, "
            f"{rate:.1f} kB/s; arrow {spread(steps)}, page {spread(pages)}",
            flush=True,
        )


def feed_alone(count: int) -> float:
    with opened("nothing", count) as screen:
        screen.read_for(SETTLE_S)
        return screen.watch(WATCH_S)[0]


def main() -> None:
    print("limits: drawing 10 % of a core, 30 kB/s, key to paint p95 40 ms")
    alone = feed_alone(1000)
    measure("cohete, panes", "cohete", 1000, alone)
    measure("cohete, table", "cohete", 1000, alone, keys=b"t")
    measure("DataTable", "table", 1000, alone)
    few = feed_alone(WIDGET_DEVICES)
    measure("cohete, table", "cohete", WIDGET_DEVICES, few, keys=b"t")
    measure("a widget for each number", "widgets", WIDGET_DEVICES, few)
    many = feed_alone(5000)
    measure("cohete, panes", "cohete", 5000, many)
    measure("cohete, table", "cohete", 5000, many, keys=b"t")
