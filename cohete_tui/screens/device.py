"""One device: cores, engines, zones, rails, its last minutes, who it is, what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid

from cohete_tui import panels
from cohete_tui.actions import Scope, bindings
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
    from cohete_tui.ordering import FleetOrder

FLUSH_S = 0.5


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
        if self._app.player is not None:
            yield ReplayBar(self._app.player)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Scroll).focus()
        self.call_after_refresh(self.flush)
        if self._timer:
            self.set_interval(FLUSH_S, self.flush)

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
