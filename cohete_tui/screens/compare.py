"""Several devices in the same charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid

from cohete.fleet.state import GLYPHS, Device
from cohete.fleet.store import FleetStore
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line
from cohete_tui.screens.charted import ChartedScreen
from cohete_tui.widgets.charts import COMPARED, HistoryChart, role_of
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.scroll import Scroll

FLUSH_S = 0.5
MOST = 6
"""More lines than this in one chart cannot be told apart."""


class CompareScreen(ChartedScreen[None]):
    """A chart for each quantity, a line for each device."""

    SCOPE = Scope.COMPARE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.COMPARE)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - the base class declares it so
    CSS = """
    CompareScreen { background: $background; }
    CompareScreen Scroll { height: 1fr; scrollbar-size-vertical: 1; }
    CompareScreen Grid { grid-size: 1; height: auto; grid-rows: 10; }
    CompareScreen.-wide Grid { grid-size: 2; grid-rows: 14; }
    """

    def __init__(self, store: FleetStore, device_ids: Sequence[str], *, timer: bool = True) -> None:
        super().__init__(store)
        self.device_ids = tuple(device_ids[:MOST])
        self._timer = timer

    @property
    def subjects(self) -> Sequence[Device]:
        return [self.store[device_id] for device_id in self.device_ids]

    @property
    def subject(self) -> Device | None:
        return None

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._legend()], classes="plain")
        with Scroll(can_focus=True), Grid():
            for chart in COMPARED:
                yield HistoryChart(chart)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Scroll).focus()
        self.call_after_refresh(self.flush)
        if self._timer:
            self.set_interval(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Draw the newest values."""
        if self.is_current:
            self.query_one(LinesPanel).update()
            self.draw_charts_in_turn()

    def _legend(self) -> Line:
        line: Line = [(" Compare", "title")]
        for nth, device in enumerate(self.subjects):
            line += [("  ", ""), ("━━ ", f"line-{role_of(nth)}"),
                     (f"{device.id} {GLYPHS[device.state]}", "")]  # fmt: skip
        return line

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        self.query_one(Scroll).scroll_relative(y=lines, animate=False, immediate=True)

    def on_jumped(self) -> None:
        """Another moment of a recording."""
        self.forget_charts()
        self.flush()
