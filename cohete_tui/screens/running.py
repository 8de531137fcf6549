"""A change while it runs: one line a board, what it does now, what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from cohete.control.change import Action, Change
from cohete.control.outcome import Outcome, Result
from cohete.errors import CoheteError, LinkError
from cohete.fleet.actions import action_as_dict
from cohete.fleet.changing import Changes
from cohete.fleet.rollout import Rollout, RolloutFile
from cohete.fleet.state import Device
from cohete_tui.actions import Scope, bindings
from cohete_tui.changing import Looked, result_line, to_do
from cohete_tui.draw import Line, spread, wrap
from cohete_tui.screens.base import CoheteScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.rows import RowList

FLUSH_S = 0.25


class RunningScreen(CoheteScreen[bool]):
    """Applies an action to the boards somebody agreed to; closes with whether all is well."""

    SCOPE = Scope.CHANGE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.CHANGE)]
    CSS = "RunningScreen { background: $background; }"

    def __init__(
        self,
        changes: Changes,
        action: Action,
        devices: Sequence[Device],
        looked: Looked,
        *,
        reboot: bool,
    ) -> None:
        super().__init__()
        self._changes = changes
        self._action = action
        self._devices = {device.id: device for device in devices}
        self._looked = looked
        self._reboot = reboot
        self._doing: dict[str, str] = {}
        self._over = False
        # First those on which something runs: a canary that is already so proves nothing.
        names = tuple(dict.fromkeys([*to_do(looked), *self._devices]))
        clock = changes.control.clock
        record = None
        if len(names) > 1:
            record = RolloutFile.new(changes.folder, clock, action_as_dict(action))
        self.rollout = Rollout(names, changes.rules, clock, record)

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title(cells)], classes="plain")
        yield RowList(id="rows")
        yield LinesPanel(self._foot, classes="plain", id="foot")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(FLUSH_S, self.flush)
        self.flush()
        self._run()

    @work(exit_on_error=False)
    async def _run(self) -> None:
        try:
            await self.rollout.run(self._apply)
        finally:
            self._over = True
        record = self.rollout.record
        if record is not None and record.is_over:
            await asyncio.to_thread(record.remove)
        self.flush()

    async def _apply(self, name: str) -> Result:
        looked = self._looked[name]

        def progress(text: str) -> None:
            self._doing[name] = text

        if isinstance(looked, CoheteError):
            # Nobody has seen what would run there.
            outcome = Outcome.UNREACHED if isinstance(looked, LinkError) else Outcome.REFUSED
            words = f"{looked.what}. {looked.hint}" if looked.hint else looked.what
            return Result(name, self._action.intent, outcome, words)
        return await self._changes.apply(
            self._devices[name],
            self._action,
            shown=looked,
            reboot=self._reboot,
            progress=progress,
        )

    def flush(self) -> None:
        """Draw what is so now."""
        if not self.is_current:
            return
        rows = self.query_one(RowList)
        cells = max(20, rows.size.width - 1)
        waiting = f"not begun: {self.rollout.stopped}" if self.rollout.stopped else "waiting"
        rows.show(
            [
                (
                    name,
                    result_line(
                        name, self.rollout.results.get(name),
                        self._doing.get(name, "looking") if name in self.rollout.running else "",
                        waiting, cells,
                    ),
                )
                for name in self.rollout.devices
            ]
        )  # fmt: skip
        for panel in self.query(LinesPanel):
            panel.update()

    def _title(self, cells: int) -> Line:
        done = len(self.rollout.results)
        well = sum(result.outcome.is_well for result in self.rollout.results.values())
        parts = f"{done} of {len(self._devices)}"
        state = f"{well} well, {done - well} not" if done - well else "all well so far"
        if self._over:
            state = "over, all well" if self.rollout.is_well else f"over: {well} well"
        left: Line = [(f" {self._action.intent}", "title")]
        return spread(left, [(f"  {parts}  {state} ", "")], cells)

    def _foot(self, cells: int) -> list[Line]:
        """What somebody has to know in full: the result under the cursor, how to go on."""
        name = self.query_one(RowList).current
        result = self.rollout.results.get(str(name))
        lines: list[Line] = []
        if result is not None:
            lines += [[(text, "")] for text in wrap(str(result), cells, 6)]
        if self._over and not self.rollout.is_well and self.rollout.record is not None:
            text = f"Go on later with: cohete rollout resume {self.rollout.record.name}"
            lines += [[(part, "dim")] for part in wrap(text, cells, 2)]
        return lines or [[("esc begins no further board", "dim")]]

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        if self._over:
            self.dismiss(self.rollout.is_well)
        else:
            self.rollout.stopped = self.rollout.stopped or "you stopped it"
            self.notify("No further board is begun; those that run are finished.", markup=False)

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
        self.flush()


async def look_at_all(
    changes: Changes, devices: Sequence[Device], action: Action
) -> dict[str, Change | CoheteError]:
    """What the action means on each device, or why it means nothing there."""

    async def one(device: Device) -> Change | CoheteError:
        refusal = changes.refusal(device)
        if refusal:
            return CoheteError(refusal)
        try:
            return await changes.look(device, action)
        except CoheteError as error:
            return error

    found = await asyncio.gather(*(one(device) for device in devices))
    return {device.id: each for device, each in zip(devices, found, strict=True)}
