"""One device: cores, engines, zones, rails, its last minutes, who it is, what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer

from cohete_tui import panels
from cohete_tui.actions import Scope, bindings
from cohete_tui.widgets.charts import CHARTS, HistoryChart
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.replay import ReplayBar

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete_tui.app import CoheteApp
    from cohete_tui.ordering import FleetOrder

FLUSH_S = 0.5
CHART_S = 1.0


class DeviceScreen(Screen[str]):
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
    DeviceScreen VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
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
        super().__init__()
        self.store = store
        self.device_id = device_id
        self._order = order
        self._timer = timer
        self._charted_at = 0.0

    @property
    def _app(self) -> CoheteApp:
        from cohete_tui.app import CoheteApp

        assert isinstance(self.app, CoheteApp)
        return self.app

    @property
    def device(self) -> Device:
        """The device that is shown."""
        return self.store[self.device_id]

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

        yield LinesPanel(
            lambda cells: [panels.headline(self.device, now(), cells)], classes="plain"
        )
        with VerticalScroll(can_focus=True):
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
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
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
        now = self.store.clock.monotonic()
        if now - self._charted_at >= CHART_S:
            self._charted_at = now
            for chart in self.query(HistoryChart):
                chart.draw(self.device, now)

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss(self.device_id)

    def action_neighbour(self, step: int) -> None:
        devices = self._order.devices
        if self.device in devices:
            at = (devices.index(self.device) + step) % len(devices)
            self.device_id = devices[at].id
            self._charted_at = 0.0
            self.flush()

    def show_device(self, device_id: str) -> None:
        """Show another device."""
        self.device_id = device_id
        self._charted_at = 0.0
        self.flush()

    def action_events(self) -> None:
        self._app.show_events()

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False, immediate=True)

    def action_shell(self) -> None:
        self._app.open_shell(self.device)

    def action_connect(self) -> None:
        self._app.connect(self.device)

    @on(ReplayBar.Sought)
    async def _sought(self, event: ReplayBar.Sought) -> None:
        await self._app.seek(event.at_ms)

    def on_jumped(self) -> None:
        """Another moment of a recording: nothing that was drawn holds."""
        self._charted_at = 0.0
        self.flush()
