"""What a device does: its processes, its network, its disks."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from cohete.device.activity import Activity, Counters, between, counters_from
from cohete.errors import CoheteError
from cohete.fleet.state import Device
from cohete.fleet.words import span
from cohete.hardware import Family
from cohete.links.commands import PROBE_LIMIT_S, activity, split_sections
from cohete_tui.actions import Scope, bindings
from cohete_tui.activity import SORTS, heading, ordered, process_line, traffic_lines
from cohete_tui.draw import Line
from cohete_tui.screens.base import FilteredScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.rows import RowList

FLUSH_S = 0.5
FIRST_S, PERIOD_S = 1.0, 3.0
"""Until the second reading, which makes rates of the first; then this often."""


class ActivityScreen(FilteredScreen[None]):
    """Reads as long as it is shown, over the connection that is there."""

    SCOPE = Scope.ACTIVITY
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.ACTIVITY)]
    CSS = """
    ActivityScreen { background: $background; }
    ActivityScreen #note { height: auto; padding: 0 1; color: $secondary; background: $panel; }
    """

    def __init__(self, device_id: str) -> None:
        super().__init__()
        self.device_id = device_id
        self._sort = SORTS[0]
        self._problem = ""
        self._before: Counters | None = None
        self._read_at: float | None = None
        self._activity: Activity | None = None

    @property
    def device(self) -> Device:
        """The device that is looked at."""
        return self._app.store_now[self.device_id]

    @property
    def list_widget(self) -> Widget:
        return self.query_one(RowList)

    def words_changed(self) -> None:
        self.flush()

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain", id="title")
        yield LinesPanel(self._traffic, title="Network and disks")
        yield LinesPanel(lambda cells: [heading(self._sort, cells)], classes="plain", id="heading")
        yield RowList(id="rows")
        yield Static("", id="note", markup=False)
        yield Prompt("words of a name or a number: all must occur", id="filter", classes="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(FLUSH_S, self._redraw_age)
        self._watch()

    def _redraw_age(self) -> None:
        self.query_one("#title", LinesPanel).update()

    @work(exclusive=True, group="activity", exit_on_error=False)
    async def _watch(self) -> None:
        while True:
            await self._read()
            self.flush()
            first = self._activity is not None and self._activity.span_s is None
            await self._app.store_now.clock.sleep(FIRST_S if first else PERIOD_S)

    async def _read(self) -> None:
        device = self.device
        module = device.facts.module if device.facts else None
        thor = module is not None and module.family is Family.THOR
        argv = activity(sudo=device.spec.sudo, thor=thor)
        try:
            done = await self._app.link_to(device).run(argv, timeout_s=PROBE_LIMIT_S + 5)
        except CoheteError as error:
            self._problem = str(error)
            self._before = None
            return
        counters = counters_from(split_sections(done.stdout))
        self._activity = between(self._before, counters)
        self._before = counters
        self._read_at = self._app.store_now.clock.monotonic()
        self._problem = "" if counters.processes else "this device does not tell its processes"

    def flush(self) -> None:
        """Draw what was read last."""
        if self._activity is not None:
            found = ordered(self._activity, self._sort, self.words)
            self.query_one(RowList).show(
                [(process.pid, process_line(process)) for process in found]
            )
        for panel in self.query(LinesPanel):
            panel.update()
        self.query_one("#note", Static).update(self._problem or self._gpu_note())

    def _title(self) -> Line:
        line: Line = [(f" {self.device_id}", "title"), ("  processes", "")]
        if self._activity is not None and self._read_at is not None:
            age_s = self._app.store_now.clock.monotonic() - self._read_at
            line.append((f"  {len(self._activity.processes)}, {span(age_s)} ago", "dim"))
        else:
            line.append(("  reading…", "dim"))
        if self.words:
            line.append((f"  /{self.words}", "accent"))
        return line

    def _traffic(self, cells: int) -> list[Line]:
        return traffic_lines(self._activity, cells) if self._activity is not None else [[]]

    def _gpu_note(self) -> str:
        """Why no GPU memory is known."""
        if self._activity is None or self._activity.gpu_known:
            return ""
        if self.device.spec.sudo:
            return (
                "GPU memory by process: sudo may not read it. The rule it needs: "
                "/usr/bin/cat /sys/kernel/debug/nvmap/iovmm/clients"
            )
        return "GPU memory by process needs root on this board: sudo: true and its rule (README)."

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        if not self.clear_words():
            self.dismiss()

    def action_next_sort(self) -> None:
        self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
        self.flush()

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
