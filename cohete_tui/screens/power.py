"""Power and heat of one board or several: what can be set, what is so, and how hot it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from cohete.config.control import Control
from cohete.control.change import Action
from cohete.errors import CoheteError
from cohete.fleet.breakers import DeviceBreaker
from cohete.fleet.holding import READ_NOTE, parse_note
from cohete.fleet.state import Device
from cohete.fleet.words import span
from cohete.links.commands import PROBE_LIMIT_S, look, split_sections
from cohete.power.state import state_from, state_probes
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line, wrap
from cohete_tui.power import BoardState, Offer, offers, only_shown, state_lines
from cohete_tui.screens.charted import ChartedScreen
from cohete_tui.widgets.charts import CHARTS, HistoryChart
from cohete_tui.widgets.fan import FanChart
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.rows import RowList

if TYPE_CHECKING:
    from cohete.fleet.changing import Changes
    from cohete.fleet.store import FleetStore

FLUSH_S = 0.5
_TEMPERATURE = next(chart for chart in CHARTS if chart.title == "Temperature")


class PowerScreen(ChartedScreen[None]):
    """Choose a row, see what it would run, agree, watch it run."""

    SCOPE = Scope.POWER
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.POWER)]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as its base
        (0, "-narrow"), (110, "-wide"), (150, "-widest"),
    ]  # fmt: skip
    CSS = """
    PowerScreen { background: $background; }
    PowerScreen #below { display: none; height: auto; max-height: 8; }
    PowerScreen #beside { width: 46; height: 1fr; }
    PowerScreen HistoryChart { height: 1fr; min-height: 8; }
    PowerScreen.-widest RowList { width: 84; }
    PowerScreen.-widest #beside { width: 1fr; }
    PowerScreen.-narrow #beside { display: none; }
    PowerScreen.-narrow #below { display: block; }
    """

    def __init__(self, store: FleetStore, device_ids: Sequence[str]) -> None:
        super().__init__(store)
        self.device_ids = list(device_ids)
        self._boards: dict[str, BoardState] = {}
        self._problems: dict[str, str] = {}
        self._offers: dict[str, Offer] = {}
        self._read_at: float | None = None
        self._is_looking = False

    @property
    def devices(self) -> list[Device]:
        """The boards that are meant."""
        return [self._app.store_now[device_id] for device_id in self.device_ids]

    @property
    def subject(self) -> Device:
        return self.devices[0]

    @property
    def subjects(self) -> Sequence[Device]:
        return self.devices[:1]

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain", id="title")
        with Horizontal():
            yield RowList(id="rows")
            with Vertical(id="beside"):
                yield LinesPanel(self._state, title="State")
                yield HistoryChart(_TEMPERATURE)
                yield FanChart()
        yield LinesPanel(self._state, title="State", id="below")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(FLUSH_S, self.flush)
        self._read()

    @work(exclusive=True, group="power", exit_on_error=False)
    async def _read(self) -> None:
        await asyncio.gather(*(self._read_one(device) for device in self.devices))
        self._read_at = self._app.store_now.clock.monotonic()
        self.flush()

    async def _read_one(self, device: Device) -> None:
        sudo = device.spec.sudo
        argv = look((*state_probes(sudo=sudo), READ_NOTE))
        try:
            done = await self._app.link_to(device).run(argv, timeout_s=PROBE_LIMIT_S + 5)
        except CoheteError as error:
            self._problems[device.id] = str(error)
            return
        self._problems.pop(device.id, None)
        sections = split_sections(done.stdout)
        state = state_from(device.id, sections, sudo=sudo)
        held = dict.fromkeys(held.work for held in parse_note(sections))
        self._boards[device.id] = BoardState(state, tuple(held))

    def flush(self) -> None:
        """Draw what is known."""
        if not self.is_current:
            return
        rows = self.query_one(RowList)
        warnings_c = [each.limits.warning_c for each in map(self._breaker, self.devices) if each]
        limit_c = min(warnings_c, default=None)
        changes = self._app.changes
        found = offers(
            self._boards, self._settings(), limit_c, max(30, rows.size.width - 1),
            changes.profiles(self.devices) if changes is not None else (),
            {device.profile_name for device in self.devices},
        )  # fmt: skip
        if not self._boards:
            found = []
        elif self._refusal():
            found = only_shown(found)
        self._offers = {offer.key: offer for offer in found}
        rows.show([(offer.key, offer.line) for offer in found])
        if found and self._offers[str(rows.current)].action is None:
            self._step_to_choice(1)
        for panel in self.query(LinesPanel):
            if panel.display:
                panel.update()
        board = self._boards.get(self.subject.id)
        stats = self.subject.stats
        hottest = stats.hottest if stats is not None else None
        self.query_one(FanChart).draw(
            board.power.fan if board is not None else None,
            hottest.celsius if hottest is not None else None,
        )
        self.draw_charts_in_turn()

    def _settings(self) -> Control:
        changes = self._app.changes
        return changes.settings if changes is not None else Control()

    def _breaker(self, device: Device) -> DeviceBreaker | None:
        return self._app.breaker_of(device)

    def _title(self) -> Line:
        names = self.device_ids
        who = names[0] if len(names) == 1 else f"{len(names)} boards"
        device = self.subject
        about = f"  {device.module_name}" if len(names) == 1 else f"  {', '.join(names)}"
        age = ""
        if self._is_looking:
            age = "  looking at what it would run …"
        elif self._read_at is not None:
            age = f"  read {span(self._app.store_now.clock.monotonic() - self._read_at)} ago"
        line: Line = [(f" {who}", "title"), (about, ""), (age, "dim")]
        refusal = self._refusal()
        return [*line, (f"  {refusal}", "warn")] if refusal else line

    def _refusal(self) -> str:
        """Why none of them may be changed; empty where any may."""
        changes = self._app.changes
        if changes is None:
            return "this is a recording"
        refusals = [changes.refusal(device) for device in self.devices]
        return refusals[0] if all(refusals) else ""

    def _state(self, cells: int) -> list[Line]:
        lines: list[Line] = []
        for device in self.devices[:4]:
            if len(self.devices) > 1:
                lines.append([(device.id, "title")])
            lines += state_lines(
                self._boards.get(device.id), self._breaker(device), device.limit_words.values(),
                self._problems.get(device.id, ""), cells,
            )  # fmt: skip
        if len(self.devices) > 4:
            text = f"and {len(self.devices) - 4} more"
            lines += [[(part, "dim")] for part in wrap(text, cells, 1)]
        return lines

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss()

    def action_choose(self) -> None:
        offer = self._offers.get(str(self.query_one(RowList).current))
        refusal = self._refusal()
        if refusal:
            self.notify(f"Nothing is changed: {refusal}.", severity="warning", markup=False)
        elif offer is not None and offer.action is not None and self._app.changes is not None:
            self._change(self._app.changes, offer.action)

    @work(exclusive=True, group="change", exit_on_error=False)
    async def _change(self, changes: Changes, action: Action) -> None:
        from cohete_tui.screens.change import agreed_to
        from cohete_tui.screens.running import RunningScreen, look_at_all

        devices = self.devices
        self._is_looking = True
        self.flush()
        looked = await look_at_all(changes, devices, action)
        self._is_looking = False
        self.flush()
        agreed = await agreed_to(self, action.intent, looked)
        if agreed is not None:
            running = RunningScreen(changes, action, devices, looked, reboot=agreed.reboot)
            await self.app.push_screen_wait(running)
        self._read()

    def action_read(self) -> None:
        self._read()
        self.notify("Reading again.", timeout=2, markup=False)

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
        self._step_to_choice(1 if step > 0 else -1)

    def _step_to_choice(self, direction: int) -> None:
        """Past headings to a row that can be chosen."""
        rows = self.query_one(RowList)
        for way in (direction, -direction):
            for _ in range(len(self._offers)):
                offer = self._offers.get(str(rows.current))
                if offer is not None and offer.action is not None:
                    return
                before = rows.cursor
                rows.move(way)
                if rows.cursor == before:
                    break

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose()
