"""One device: cores, engines, zones, rails, its last minutes, who it is, what is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid

from cohete.errors import CoheteError
from cohete.fleet.state import State
from cohete.fleet.words import span
from cohete_tui import panels
from cohete_tui.actions import Scope, bindings
from cohete_tui.disk_lines import disk_lines
from cohete_tui.draw import Line
from cohete_tui.screens.charted import ChartedScreen
from cohete_tui.widgets.charts import CHARTS, HistoryChart
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.replay import ReplayBar
from cohete_tui.widgets.scroll import Scroll

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete.storage.reading import DiskState
    from cohete_tui.ordering import FleetOrder

FLUSH_S = 0.5
DISKS_S, DISKS_RETRY_S = 900.0, 10.0


class DeviceScreen(ChartedScreen[str]):
    """Headline, loads and sensors, charts, facts."""

    SCOPE = Scope.DEVICE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DEVICE)]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - the base class declares it so
        (0, "-narrow"),
        (76, "-normal"),
        (130, "-wide"),
    ]

    CSS = """
    DeviceScreen { background: $background; }
    DeviceScreen Scroll { height: 1fr; scrollbar-size-vertical: 1; }
    DeviceScreen #panels { grid-size: 2; grid-columns: 3fr 2fr; height: auto; grid-rows: auto; }
    DeviceScreen #charts { grid-size: 2; height: auto; grid-rows: 10; }
    DeviceScreen #beside { display: none; }
    DeviceScreen.-narrow #panels { grid-size: 1; grid-columns: 1fr; }
    DeviceScreen.-narrow #charts { grid-size: 1; }
    DeviceScreen.-wide #panels { grid-size: 3; grid-columns: 4fr 3fr 4fr; }
    DeviceScreen.-wide #beside { display: block; }
    DeviceScreen.-wide #below { display: none; }
    DeviceScreen.-wide #charts { grid-rows: 14; }
    """

    def __init__(
        self, store: FleetStore, device_id: str, order: FleetOrder, *, timer: bool = True
    ) -> None:
        super().__init__(store)
        self.device_id = device_id
        self._order = order
        self._timer = timer
        self._disks_read: Sequence[DiskState] | None = None
        self._disks_problem = ""
        self._disks_at_s = 0.0

    @property
    def device(self) -> Device:
        """The device that is shown."""
        return self.store[self.device_id]

    @property
    def subject(self) -> Device:
        return self.device

    @property
    def subjects(self) -> Sequence[Device]:
        return [self.device]

    def compose(self) -> ComposeResult:
        def now() -> float:
            return self.store.clock.monotonic()

        def identity(id_: str) -> LinesPanel:
            return LinesPanel(
                lambda cells: panels.identity(
                    self.device, now(), cells, self.store.explain(self.device)
                ),
                title="Facts and connection",
                id=id_,
            )

        yield LinesPanel(lambda cells: [self._headline(now(), cells)], classes="plain")
        with Scroll(can_focus=True):
            with Grid(id="panels"):
                yield LinesPanel(
                    lambda cells: panels.loads(
                        self.device, now(), cells, self.store.explain(self.device)
                    ),
                    title="Load and memory",
                )
                yield LinesPanel(
                    lambda cells: panels.sensors(self.device, now(), cells),
                    title="Temperature and power",
                )
                yield identity("beside")
            with Grid(id="charts"):
                for chart in CHARTS:
                    yield HistoryChart(chart)
            yield identity("below")
            if self._app.changes is not None:
                yield LinesPanel(self._disks, title="Disks", id="disks")
        if self._app.player is not None:
            yield ReplayBar(self._app.player)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Scroll).focus()
        self.call_after_refresh(self.flush)
        if self._timer:
            self.set_interval(FLUSH_S, self.flush)
        self._watch_disks()

    def flush(self) -> None:
        """Draw the newest values; charts once a second."""
        if not self.is_current:
            return
        for panel in self.query(LinesPanel):
            if panel.display:
                panel.update()
        for bar in self.query(ReplayBar):
            bar.update()
        self.draw_charts_in_turn()

    @work(exclusive=True, group="disks", exit_on_error=False)
    async def _watch_disks(self) -> None:
        """While somebody looks: health changes by the day, and asking for it wakes a disk."""
        from cohete.storage.reading import read_disks, with_trend

        while not self.store.is_kept and (changes := self._app.changes) is not None:
            device = self.device
            if device.state is State.LIVE and self.is_current:
                try:
                    link = self._app.link_to(device)
                    found = await read_disks(link, sudo=device.spec.sudo)
                    if not self._app.served:
                        kept = (changes.folder, device.id, found, self.store.clock.time())
                        found = await asyncio.to_thread(with_trend, *kept)
                    self._disks_read, self._disks_problem = found, ""
                except CoheteError as error:
                    self._disks_problem = str(error)
                self._disks_at_s = self.store.clock.monotonic()
            is_read = device.state is State.LIVE and not self._disks_problem
            await self.store.clock.sleep(DISKS_S if is_read else DISKS_RETRY_S)

    def _disks(self, cells: int) -> list[Line]:
        if self._disks_read is None and not self._disks_problem:
            is_live = self.device.state is State.LIVE
            return [[("Reading …" if is_live else "Read while the board is live.", "dim")]]
        age = span(self.store.clock.monotonic() - self._disks_at_s)
        lines = disk_lines(self._disks_read or (), self._disks_problem, cells)
        return [*lines, [(f"read {age} ago", "dim")]]

    def _headline(self, now_s: float, cells: int) -> Line:
        """Who and how; a moment that was kept says so, or it would look live."""
        if not self.store.is_kept:
            return panels.headline(self.device, now_s, cells)
        at = datetime.fromtimestamp(self.store.clock.time())  # noqa: DTZ006 - the wall clock of whoever looks
        mark = f" PAUSED at {at:%H:%M:%S} "
        return [(mark, "warn"), *panels.headline(self.device, now_s, max(0, cells - len(mark)))]

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss(self.device_id)

    def action_neighbour(self, step: int) -> None:
        devices = self._order.devices
        if self.device in devices:
            at = (devices.index(self.device) + step) % len(devices)
            self.show_device(devices[at].id)

    def show_device(self, device_id: str) -> None:
        """Show another device."""
        self.device_id = device_id
        self.forget_charts()
        self._disks_read, self._disks_problem = None, ""
        self._watch_disks()
        self.flush()

    def action_scroll(self, lines: int) -> None:
        self.query_one(Scroll).scroll_relative(y=lines, animate=False, immediate=True)

    def action_connect(self) -> None:
        self._app.connect(self.device)

    @on(ReplayBar.Sought)
    async def _sought(self, event: ReplayBar.Sought) -> None:
        await self._app.seek(event.at_ms)

    def on_jumped(self) -> None:
        """Another moment of a recording: nothing that was drawn holds."""
        self.forget_charts()
        self.flush()
