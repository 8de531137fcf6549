"""One device: cores, engines, zones, rails, its last minutes, who it is, what is unknown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid
from textual.widgets import Footer

from cohete.fleet.state import State
from cohete.fleet.words import span
from cohete_tui import panels
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line
from cohete_tui.screens.base import DeviceActions
from cohete_tui.widgets.charts import CHARTS, HistoryChart, Shown
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.replay import ReplayBar
from cohete_tui.widgets.scroll import Scroll
from cohete_tui.window import POINTS, Points, Window, ago, from_disk, from_memory

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete_tui.ordering import FleetOrder

FLUSH_S = 0.5
DISK_S = 10.0
"""How often the disk is asked again for a stretch that goes on."""

_MAX_EVENT_TICKS = 20
CHART_S = 1.0


class DeviceScreen(DeviceActions[str]):
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
        super().__init__()
        self.store = store
        self.device_id = device_id
        self._order = order
        self._timer = timer
        self._charted_at = 0.0
        self._window = Window()
        self._kept: Points | None = None
        self._asked_at = -DISK_S

    @property
    def device(self) -> Device:
        """The device that is shown."""
        return self.store[self.device_id]

    @property
    def subject(self) -> Device:
        return self.device

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
        yield Footer(show_command_palette=False, compact=True)

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
        now = self.store.clock.monotonic()
        if now - self._charted_at >= CHART_S:
            self._charted_at = now
            self._draw_charts(now)

    def _headline(self, now_s: float, cells: int) -> Line:
        """Who and how; a moment that was kept says so, or it would look live."""
        if not self.store.is_kept:
            return panels.headline(self.device, now_s, cells)
        at = datetime.fromtimestamp(self.store.clock.time())  # noqa: DTZ006 - the wall clock of whoever looks
        mark = f" PAUSED at {at:%H:%M:%S} "
        return [(mark, "warn"), *panels.headline(self.device, now_s, max(0, cells - len(mark)))]

    def _draw_charts(self, now_s: float) -> None:
        window = self._window
        if window.needs_disk and now_s - self._asked_at >= DISK_S:
            self._asked_at = now_s
            self._ask_disk()
        points = self._kept or from_memory(self.device, now_s, window)
        now_wall_s = self.store.clock.time()
        events = tuple(
            event.wall_s - now_wall_s
            for event in self.store.events
            if event.device == self.device_id
            and -window.back_s - window.span_s <= event.wall_s - now_wall_s <= -window.back_s
        )
        shown = Shown(window, points, events[-_MAX_EVENT_TICKS:], self._note(now_s))
        for chart in self.query(HistoryChart):
            chart.draw(shown)

    def _note(self, now_s: float) -> str:
        """What the values in the titles are: read at a moment, of the past, or old."""
        window = self._window
        if window.cross_s is not None:
            wall_s = self.store.clock.time() - window.cross_s
            return datetime.fromtimestamp(wall_s).strftime("%d %b %H:%M:%S")  # noqa: DTZ006 - the wall clock of whoever looks
        if window.back_s:
            return ago(window.back_s)
        age_s = None if self.device.state is State.LIVE else self.device.age_s(now_s)
        return "" if age_s is None else f"{span(age_s)} ago"

    @work(exclusive=True, group="past", exit_on_error=False)
    async def _ask_disk(self) -> None:
        """Fetch what was kept; the charts show it as soon as it is there."""
        window, device = self._window, self.device
        now_ms = int(self.store.clock.time() * 1000)
        from_ms = now_ms - int((window.back_s + window.span_s) * 1000)
        to_ms = now_ms - int(window.back_s * 1000) + 1000
        step_ms = max(1000, int(window.span_s * 1000 / POINTS))
        past = await self._app.past(device.id, from_ms, to_ms, step_ms)
        if past is None or window != self._window or device is not self.device:
            return
        total_mb = device.stats.ram_total_mb if device.stats is not None else None
        self._kept = from_disk(past, now_ms, total_mb)
        self._draw_charts(self.store.clock.monotonic())

    def _look_at(self, window: Window) -> None:
        moved = (window.span_s, window.back_s) != (self._window.span_s, self._window.back_s)
        self._window = window
        if moved or not window.needs_disk:
            self._kept = None
            self._asked_at = -DISK_S
        self._draw_charts(self.store.clock.monotonic())

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
        self._kept = None
        self._asked_at = -DISK_S
        self._charted_at = 0.0
        self.flush()

    def action_scroll(self, lines: int) -> None:
        self.query_one(Scroll).scroll_relative(y=lines, animate=False, immediate=True)

    def action_zoom(self, step: int) -> None:
        self._look_at(self._window.zoom(step))
        self.notify(f"Charts show {ago(self._window.span_s)[1:]}.", timeout=2, markup=False)

    def action_pan(self, step: int) -> None:
        self._look_at(self._window.pan(step))

    def action_cross(self, step: int) -> None:
        self._look_at(self._window.cross(step))

    def action_now(self) -> None:
        self._look_at(Window(self._window.span_s))

    def action_connect(self) -> None:
        self._app.connect(self.device)

    @on(ReplayBar.Sought)
    async def _sought(self, event: ReplayBar.Sought) -> None:
        await self._app.seek(event.at_ms)

    def on_jumped(self) -> None:
        """Another moment of a recording: nothing that was drawn holds."""
        self._kept = None
        self._charted_at = 0.0
        self.flush()
