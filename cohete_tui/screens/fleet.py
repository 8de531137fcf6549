"""The fleet: every device at once, as panes or as a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import Static

from cohete.fleet.export import copy_text
from cohete.fleet.state import State
from cohete.fleet.words import counted
from cohete_tui.actions import Scope, bindings
from cohete_tui.fleet_commands import FLEET_COMMANDS
from cohete_tui.layouts import PaneLayout, TableLayout
from cohete_tui.ordering import Group
from cohete_tui.screens.arranging import NO_MATCH, ArrangedScreen
from cohete_tui.summary import summary
from cohete_tui.widgets.canvas import FleetCanvas
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.replay import ReplayBar
from cohete_tui.widgets.status import FleetHeader, Status

if TYPE_CHECKING:
    from cohete.config.schema import Dashboard
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore

RATES_S = (0.25, 0.5, 1.0, 2.0, 5.0)
"""How often the screen can be drawn."""

TINY = (40, 10)
"""Cells and lines below which only a summary is drawn."""

FLUSH_S = 0.5
FILTER_HINT = "words, temp>80, tag:lab, mode:maxn, name~cam, !lost: all must hold"


class FleetScreen(ArrangedScreen):
    """Header, devices, keys. Draws on its own timer: what changed and can be seen."""

    SCOPE = Scope.FLEET
    TYPED = FLEET_COMMANDS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FLEET)]

    CSS = """
    FleetScreen { background: $background; }
    FleetScreen #problem { display: none; height: 1; padding: 0 1; color: $error; }
    FleetScreen.-problem #problem { display: block; }
    FleetScreen #message { display: none; height: 1fr; padding: 1 2; color: $secondary; }
    FleetScreen.-nothing #message { display: block; }
    FleetScreen.-nothing FleetCanvas { display: none; }
    FleetScreen #summary { display: none; }
    FleetScreen.-tiny #summary { display: block; height: 1fr; }
    FleetScreen.-tiny FleetCanvas, FleetScreen.-tiny #message, FleetScreen.-tiny KeyBar {
        display: none; }
    """

    def __init__(
        self,
        store: FleetStore,
        start: Dashboard | None = None,
        *,
        badges: tuple[str, ...] = (),
        timer: bool = True,
    ) -> None:
        super().__init__(store)
        self.live_store = store
        self._badges = badges
        self._timer = timer
        self._start = start
        self._rate_s = start.rate_s if start is not None else FLUSH_S
        self._flushing: Timer | None = None
        self._asked: set[str] = set()

    def compose(self) -> ComposeResult:
        yield FleetHeader(self.order, self._status)
        yield Static(NO_MATCH, id="message", markup=False)
        yield LinesPanel(
            lambda cells: summary(self.order.matching, cells), classes="plain", id="summary"
        )
        yield FleetCanvas(self.store, self.order, id="canvas")
        yield Static("", id="problem", markup=False)
        if self._app.player is not None:
            yield ReplayBar(self._app.player)
        yield Prompt(FILTER_HINT, id="filter", classes="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self.canvas.focus()
        if self._start is not None:
            self._begin_as(self._start)
        self.set_rate(self._rate_s)

    def _begin_as(self, start: Dashboard) -> None:
        """What the configuration says about this screen."""
        self.order.begin_as(start)
        if start.view != "panes":
            self.canvas.set_layout(TableLayout(wide=start.view == "wide"))
        self.query_one("#filter", Prompt).value = start.filter
        self.reorder()

    @property
    def subject(self) -> Device | None:
        return self.canvas.current

    @property
    def is_paused(self) -> bool:
        """Whether a kept moment is shown instead of now."""
        return self.store is not self.live_store

    def flush(self) -> None:
        """Draw what changed since the last time; nothing while another screen is on top."""
        if not self.is_current:
            return
        changed = self.live_store.take_changed()
        if not self.is_paused:
            if self.order.update():
                self.redraw()
            link = self._app.link
            link.drawn(self.canvas.flush(changed, link.rows_allowed(self._rate_s)))
        self.query_one(FleetHeader).update()
        if self.has_class("-tiny"):
            self.query_one("#summary", LinesPanel).update()
        for bar in self.query(ReplayBar):
            bar.update()
        self._ask_about_keys()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < TINY[0] or event.size.height < TINY[1], "-tiny")

    def on_screen_resume(self) -> None:
        self.order.update(force=True)
        self.redraw()

    def _status(self) -> Status:
        """What the header says besides the totals."""
        paused_s = None
        if self.is_paused:
            paused_s = self.live_store.clock.monotonic() - self.store.clock.monotonic()
        return Status(
            self.store,
            marked=len(self.canvas.marks.of(self.store)),
            new_events=self._app.event_log.new_trouble(self.live_store.events),
            slow_kbps=self._app.link.slow_kbps,
            paused_s=paused_s,
            rate_s=None if self._rate_s == FLUSH_S else self._rate_s,
            badges=self._badges + self._app.running,
        )

    def set_rate(self, seconds: float) -> None:
        """Draw this often."""
        self._rate_s = seconds
        if self._flushing is not None:
            self._flushing.stop()
        if self._timer:
            self._flushing = self.set_interval(seconds, self.flush)
        self.query_one(FleetHeader).update()

    def _ask_about_keys(self) -> None:
        """Once for each host that was never seen; later `c` asks again."""
        pending = [d for d in self.live_store if d.key_line and d.id not in self._asked]
        connecting = any(device.state is State.CONNECTING for device in self.live_store)
        if pending and not connecting and not self.query_one("#filter").has_focus:
            self._asked.update(device.id for device in pending)
            self._app.ask_about_keys(pending)

    # Actions, in the order of the registry.

    def action_open(self) -> None:
        row = self.canvas.current_row
        if isinstance(row, Group):
            self._fold(row, folded=not row.folded)
        elif row is not None:
            self.open_device(row.id)

    def open_device(self, device_id: str) -> None:
        """Show one device on a screen of its own."""
        from cohete_tui.screens.device import DeviceScreen

        screen = DeviceScreen(self.store, device_id, self.order, timer=self._timer)
        self.app.push_screen(screen, self._back_from)

    def action_toggle_view(self) -> None:
        table = isinstance(self.canvas.layout_of_fleet, TableLayout)
        self.canvas.set_layout(PaneLayout() if table else TableLayout())

    def action_wide(self) -> None:
        layout = self.canvas.layout_of_fleet
        wide = isinstance(layout, TableLayout) and layout.wide
        self.canvas.set_layout(TableLayout(wide=not wide))

    def action_compare(self) -> None:
        from cohete_tui.screens.compare import MOST, CompareScreen

        devices = self.canvas.chosen
        if len(devices) < 2:
            self.notify("Mark the devices to compare first: space.", timeout=4, markup=False)
            return
        if len(devices) > MOST:
            self.notify(f"The first {MOST} of {len(devices)} are shown.", timeout=4, markup=False)
        names = [device.id for device in devices]
        self.app.push_screen(CompareScreen(self.store, names, timer=self._timer))

    def action_pause(self) -> None:
        if self._app.player is not None:
            self._app.action_play_pause()
            return
        self.store = self.live_store if self.is_paused else self.live_store.snapshot()
        self.order.watch(self.store)
        self.canvas.show_store(self.store)
        self.redraw()

    def action_rate(self, step: int) -> None:
        at = min(range(len(RATES_S)), key=lambda nth: abs(RATES_S[nth] - self._rate_s))
        self.set_rate(RATES_S[max(0, min(len(RATES_S) - 1, at - step))])
        self.notify(f"Drawn every {self._rate_s:g} s.", timeout=2, markup=False)

    def action_copy(self) -> None:
        self._copy("rows")

    def action_copy_json(self) -> None:
        self._copy("json")

    def _copy(self, kind: str) -> None:
        devices = self.canvas.chosen
        if not devices:
            return
        text = copy_text(devices, self.store, as_json=kind == "json")
        self.app.copy_to_clipboard(text)
        self.notify(
            f"{counted(devices)} copied, where the terminal allows it. ctrl+s writes a file.",
            timeout=4,
            markup=False,
        )

    def action_export(self) -> None:
        stamp = datetime.fromtimestamp(self.store.clock.time())  # noqa: DTZ006 - a name for whoever looks
        self._app.type_command(f"export fleet-{stamp:%Y%m%d-%H%M%S}.csv")

    def action_move(self, dx: int, dy: int) -> None:
        row = self.canvas.current_row
        if dx and isinstance(row, Group):
            self._fold(row, folded=dx < 0)
        else:
            self.canvas.move(dx, dy)

    def action_page(self, direction: int) -> None:
        self.canvas.page(direction)

    def action_edge(self, which: int) -> None:
        self.canvas.move_to(which * (len(self.order.rows) - 1))

    def action_connect(self) -> None:
        for device in self.canvas.chosen:
            self._app.connect(device)

    def _back_from(self, device_id: str | None) -> None:
        """The cursor goes to the device that was looked at last."""
        if device_id is not None and device_id in self.store:
            self.canvas.move_to_device(self.store[device_id])

    @on(ReplayBar.Sought)
    async def _sought(self, event: ReplayBar.Sought) -> None:
        await self._app.seek(event.at_ms)

    def on_jumped(self) -> None:
        """Another moment of a recording: nothing that was drawn holds."""
        self.reorder()
        self.flush()

    @on(FleetCanvas.Opened)
    def _opened(self) -> None:
        self.action_open()
