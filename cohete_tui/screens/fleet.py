"""The fleet: every device at once, as panes or as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from cohete.fleet.state import State
from cohete_tui.actions import Scope, bindings
from cohete_tui.layouts import LAYOUTS
from cohete_tui.ordering import FleetOrder
from cohete_tui.widgets.canvas import FleetCanvas
from cohete_tui.widgets.status import FleetHeader

if TYPE_CHECKING:
    from cohete.fleet.store import FleetStore
    from cohete_tui.app import CoheteApp

FLUSH_S = 0.5
NO_MATCH = "No device matches. Press esc to clear the filter."


class FilterInput(Input):
    """The filter's text; enter keeps it, esc clears it, both at once give the keys back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "keep filter", id="filter.keep"),
        Binding("escape", "drop", "clear filter", id="filter.drop"),
    ]

    def action_keep(self) -> None:
        """Leave the filter on."""
        self._leave()

    def action_drop(self) -> None:
        """Clear the filter."""
        self.value = ""
        self._leave()

    def _leave(self) -> None:
        screen = self.screen
        assert isinstance(screen, FleetScreen)
        screen.close_filter()


class FleetScreen(Screen[None]):
    """Header, devices, keys. Draws on its own timer: what changed and can be seen."""

    SCOPE = Scope.FLEET
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FLEET)]

    CSS = """
    FleetScreen { background: $background; }
    FleetScreen #filter { display: none; height: 1; border: none; padding: 0 1; }
    FleetScreen #filter.open { display: block; }
    FleetScreen #message { display: none; height: 1fr; padding: 1 2; color: $secondary; }
    FleetScreen.-nothing #message { display: block; }
    FleetScreen.-nothing FleetCanvas { display: none; }
    """

    def __init__(
        self, store: FleetStore, *, badges: tuple[str, ...] = (), timer: bool = True
    ) -> None:
        super().__init__()
        self.store = store
        self.order = FleetOrder(store)
        self._badges = badges
        self._timer = timer
        self._asked: set[str] = set()

    def compose(self) -> ComposeResult:
        yield FleetHeader(self.store, self.order, badges=self._badges)
        yield Static(NO_MATCH, id="message", markup=False)
        yield FleetCanvas(self.store, self.order, id="canvas")
        yield FilterInput(placeholder="name, module, mode, tag, state: all words must match",
                    id="filter", compact=True, select_on_focus=False)  # fmt: skip
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.canvas.focus()
        if self._timer:
            self.set_interval(FLUSH_S, self.flush)

    @property
    def _app(self) -> CoheteApp:
        from cohete_tui.app import CoheteApp

        assert isinstance(self.app, CoheteApp)
        return self.app

    @property
    def canvas(self) -> FleetCanvas:
        """The widget that draws the devices."""
        return self.query_one("#canvas", FleetCanvas)

    def flush(self) -> None:
        """Draw what changed since the last time; nothing while another screen is on top."""
        if not self.is_current:
            return
        if self.order.update():
            self._reorder()
        self.canvas.flush(self.store.take_changed())
        self.query_one(FleetHeader).update()
        self._ask_about_keys()

    def on_screen_resume(self) -> None:
        self.order.update(force=True)
        self._reorder()

    def _reorder(self) -> None:
        self.set_class(not self.order.devices, "-nothing")
        self.canvas.rearrange()
        self.query_one(FleetHeader).update()

    def _ask_about_keys(self) -> None:
        """Once for each host that was never seen; later `c` asks again."""
        pending = [d for d in self.store if d.key_line and d.id not in self._asked]
        connecting = any(device.state is State.CONNECTING for device in self.store)
        if pending and not connecting and not self.query_one(FilterInput).has_focus:
            self._asked.update(device.id for device in pending)
            self._app.ask_about_keys(pending)

    # Actions, in the order of the registry.

    def action_open(self) -> None:
        device = self.canvas.current
        if device is not None:
            from cohete_tui.screens.device import DeviceScreen

            screen = DeviceScreen(self.store, device.id, self.order, timer=self._timer)
            self.app.push_screen(screen, self._back_from)

    def action_toggle_view(self) -> None:
        names = [layout.name for layout in LAYOUTS]
        at = names.index(self.canvas.layout_of_fleet.name)
        self.canvas.set_layout(LAYOUTS[(at + 1) % len(LAYOUTS)]())

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("open")
        box.focus()

    def action_next_sort(self) -> None:
        self.order.next_sort()
        self._reorder()

    def action_previous_sort(self) -> None:
        self.order.next_sort(-1)
        self._reorder()

    def action_reverse(self) -> None:
        self.order.reverse = not self.order.reverse
        self.order.update(force=True)
        self._reorder()

    def action_clear(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        self.close_filter()

    def action_move(self, dx: int, dy: int) -> None:
        self.canvas.move(dx, dy)

    def action_page(self, direction: int) -> None:
        self.canvas.page(direction)

    def action_edge(self, which: int) -> None:
        self.canvas.move_to(which * (len(self.order.devices) - 1))

    def action_connect(self) -> None:
        device = self.canvas.current
        if device is not None:
            self._app.connect(device)

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.order.filter_text = event.value.strip()
        self.order.update(force=True)
        self._reorder()

    def close_filter(self) -> None:
        """Back from typing to the devices; the filter stays as it is."""
        self.query_one("#filter").remove_class("open")
        self.set_focus(self.canvas)

    def _back_from(self, device_id: str | None) -> None:
        """The cursor goes to the device that was looked at last."""
        if device_id is not None:
            self.canvas.move_to_device(self.store[device_id])

    @on(FleetCanvas.Opened)
    def _opened(self) -> None:
        self.action_open()

    @on(FleetCanvas.HeadingClicked)
    def _heading_clicked(self, event: FleetCanvas.HeadingClicked) -> None:
        self.order.sort_by(event.sort)
        self._reorder()
