"""Limits of a fleet: power, memory or heat kept below a value, one step at a time, and back.

The mean over a window decides, a ladder with hysteresis moves, `control` carries it out. A board
that does not say what is measured is treated as above its limit. A power profile's budget is a
limit that counts as long as the board has that profile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cohete.clock import Clock
from cohete.config.control import PowerProfile
from cohete.config.limits import Limit, LimitStep
from cohete.control.applying import Control, Runner
from cohete.control.change import Action
from cohete.control.commands import FreeMemory, RestartUnit, RunCommand
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome, Result
from cohete.fleet.holding import Hold, Kind, Release, Work
from cohete.fleet.pressure import PressureKeeper
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.ladder import Ladder, Rules, move
from cohete.memory.pressure import Level
from cohete.power.clocks import SetClocks
from cohete.power.modes import SetMode

_log = logging.getLogger("cohete.fleet")

PERIOD_S = 1.0
OVER_S = 5.0
"""Between the steps that are given back once a budget counts no more."""
_UNITS = {"power_w": "W", "ram_percent": "% of memory", "temperature_c": "C"}
_PRESSURE = {Level.OK: 0.0, Level.WARNING: 1.0, Level.CRITICAL: 2.0}
"""Memory pressure as a number: from swapping, stalls, fragments and the slope to exhaustion."""
RunnerOf = Callable[[Device], Runner]


@dataclass(slots=True)
class DeviceLimit:
    """One limit of one device, and how far down its steps it is."""

    device: Device
    name: str
    limit: Limit
    rules: Rules
    ladder: Ladder = field(default_factory=Ladder)
    value: float | None = None
    profile: str = ""
    """The power profile whose budget it is; empty for a limit that always counts."""
    taken: int = 0
    """Steps that were carried out, or tried."""
    done: dict[int, str] = field(default_factory=dict)
    """By step that was done, how it was before: only what was done is taken back."""
    failed: set[int] = field(default_factory=set)
    unsure: dict[int, str] = field(default_factory=dict)
    """Steps of which nobody knows whether they were taken, and how it was before."""
    task: asyncio.Task[None] | None = None
    told_all_taken: bool = False
    refused: str = ""
    """Why a step is not taken."""
    refused_step: tuple[int, bool] | None = None
    """Which one that is, and whether down: told once."""

    @property
    def words(self) -> str:
        """For a person: value, limit, step."""
        of = f"step {self.taken} of {len(self.limit.steps)}" if self.taken else "no step taken"
        if self.failed:
            of += f", {len(self.failed)} failed"
        if self.refused:
            of += f", refused: {self.refused}"
        if self.limit.metric == "memory_pressure":
            levels = [str(level) for level in _PRESSURE]
            value = "unknown" if self.value is None else levels[int(self.value)]
            return f"{self.name}: memory pressure {value}, {of}"
        unit = _UNITS[self.limit.metric]
        value = "unknown" if self.value is None else f"{self.value:.1f}"
        return f"{self.name}: {value} of {self.limit.most:g} {unit}, {of}"

    @property
    def counts(self) -> bool:
        """Whether it is kept now."""
        return self.profile in ("", self.device.profile_name)

    def owner(self, nth: int) -> str:
        """Who gives back what its nth step took."""
        return f"limit:{self.name}:{nth}"


class LimitKeeper:
    """Keeps the devices of a fleet below their limits until cancelled."""

    def __init__(
        self, store: FleetStore, limits: Mapping[str, Limit], control: Control,
        runner_of: RunnerOf, pressure: PressureKeeper, standing: Standing, clock: Clock,
        profiles: Mapping[str, PowerProfile] | None = None, gate: Gate | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._control = control
        self._runner_of = runner_of
        self._pressure = pressure
        self._standing = standing
        self._gate = gate or control.gate
        self._clock = clock
        self.limits = [
            DeviceLimit(device, name, limits[name], _rules(limits[name]))
            for device in store
            for name in device.spec.limits
            if device.spec.enabled and name in limits
        ]
        budgets = {
            name: profile.budget.limit
            for name, profile in (profiles or {}).items()
            if profile.budget is not None
        }
        self.limits += [
            DeviceLimit(device, f"budget-{name}", limit, _rules(limit), profile=name)
            for device in store
            for name, limit in budgets.items()
            if device.spec.enabled
        ]

    def resume(self, stands: Iterable[Taken]) -> list[Taken]:
        """Take over the steps an earlier Cohete took; what belongs to no limit is given back.

        A step that reads otherwise now is another one.
        """
        by_owner = {
            (each.device.id, each.owner(nth)): (each, nth)
            for each in self.limits
            for nth in range(len(each.limit.steps))
        }
        others: list[Taken] = []
        now = self._clock.monotonic()
        for taken in stands:
            each, nth = by_owner.get((taken.device, taken.owner), (None, 0))
            if each is None or taken.words != step_words(each.limit.steps[nth]):
                others.append(taken)
                continue
            each.done[nth] = taken.before
            each.taken = max(each.taken, nth + 1)
            each.ladder = replace(each.ladder, level=each.taken, moved_at_s=now)
        return others

    async def run(self) -> None:
        """Decide once a second, and carry out."""
        try:
            while True:
                await self._clock.sleep(PERIOD_S)
                for each in self.limits:
                    try:
                        self.look(each)
                    except Exception as error:  # noqa: BLE001 - one limit must never end others
                        _log.error("limit %s of %s", each.name, each.device.id, exc_info=error)
        finally:
            tasks = [each.task for each in self.limits if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look(self, each: DeviceLimit) -> None:
        """One decision; what it asks for is begun."""
        device = each.device
        if not each.counts and not each.taken:
            device.limit_words.pop(each.name, None)
            return
        self._decide(each)
        words = each.words
        if device.state is not State.LIVE:
            words = f"{each.name}: not measured, the board is {device.state}"
        device.limit_words[each.name] = words

    def _decide(self, each: DeviceLimit) -> None:
        device = each.device
        if device.state is not State.LIVE or device.reading is None:
            return
        if each.task is not None and not each.task.done():
            return
        now = self._clock.monotonic()
        each.value = self._value(each, now)
        if each.counts:
            each.ladder = move(each.ladder, each.rules, now, each.value)
        elif now - each.ladder.moved_at_s >= OVER_S:
            each.ladder = replace(each.ladder, level=each.taken - 1, moved_at_s=now)
        if each.taken in each.unsure and _is_low(each):
            # It is needed no more: whatever came of it is given back.
            each.done[each.taken] = each.unsure.pop(each.taken)
            each.taken += 1
        if each.refused_step == (each.taken, True) and _is_low(each):
            each.refused, each.refused_step = "", None
        if each.ladder.level != each.taken and not self._is_refused(each):
            each.task = asyncio.create_task(self._step(each))
            each.told_all_taken = False
        elif self._is_out_of_steps(each, now) and not each.told_all_taken:
            each.told_all_taken = True
            self._store.event(
                device, "limit not held", f"{each.words}, and there is no further one",
                "Take load off this board, or give the limit another step.",
            )  # fmt: skip

    def _value(self, each: DeviceLimit, now: float) -> float | None:
        if each.limit.metric == "memory_pressure":
            watched = self._pressure.by_id[each.device.id]
            return _PRESSURE[watched.told] if watched.samples else None
        return mean(each.device, each.limit.metric, each.limit.window_s, now)

    @staticmethod
    def _is_out_of_steps(each: DeviceLimit, now: float) -> bool:
        """Whether every step was given its time and was not enough."""
        return (
            each.taken == len(each.limit.steps)
            and (each.value is None or each.value >= each.limit.most)
            and now - each.ladder.moved_at_s >= each.limit.settle_s
        )

    async def _step(self, each: DeviceLimit) -> None:
        """One step down or up."""
        down = each.ladder.level > each.taken
        nth = each.taken if down else each.taken - 1
        step, owner, device = each.limit.steps[nth], each.owner(nth), each.device
        if down:
            action = taking(step, owner)
            before = each.unsure.get(nth, device.mode_name if step.mode is not None else "")
            if (before or step.stop is not None) and nth not in each.unsure:
                # Before it is changed: who is killed meanwhile finds out what to give back. Only
                # what is harmless to give back where it was never taken.
                await self._note(each, nth, before)
        else:
            # What another power profile has set is not set back.
            sets = step.mode is not None or step.clocks is not None
            each.done = {
                at: self._standing.before(device.id, each.owner(at), kept)
                for at, kept in each.done.items()
            }
            action = None if sets and not each.counts else giving_back(step, owner, each.done, nth)
            before = ""
        if action is None:
            await self._moved(each, nth, "" if down else None)
            words = step.warn if down else "nothing to take back"
            self._store.event(device, "limit", f"{each.words}; {words}")
            return
        result = await self._control.apply(device.spec, self._runner_of(device), action)
        if result.outcome in (Outcome.UNREACHED, Outcome.UNKNOWN, Outcome.INTERRUPTED):
            # Tried again once it has settled: nobody knows whether it was taken.
            self._stay(each)
            if down and result.outcome is not Outcome.UNREACHED:
                each.unsure.setdefault(nth, result.before.partition(" ")[0] or before)
                await self._note(each, nth, each.unsure[nth])
            elif down and nth not in each.unsure:
                await self._standing.drop(device.id, owner)
        elif down:
            was_taken = result.outcome is Outcome.DONE or (
                # By the try of which nobody knew.
                nth in each.unsure and result.outcome is Outcome.ALREADY
            )
            if step.mode is not None and nth not in each.unsure:
                before = result.before.partition(" ")[0]
            each.unsure.pop(nth, None)
            await self._moved(each, nth, before if was_taken else None)
            each.taken = nth + 1
            if not result.outcome.is_well:
                each.failed.add(nth)
        elif result.outcome.is_well:
            if step.mode is not None and result.outcome is Outcome.ALREADY:
                # Another one was set on top of it, which now gives back what was before both.
                await self._standing.hand_on(device.id, step.mode, each.done.get(nth, ""))
            await self._moved(each, nth, None)
        else:
            self._stay(each)
        self._tell(each, action, result)

    def _is_refused(self, each: DeviceLimit) -> bool:
        """Whether its next step may not be taken now; it is tried again, and told once."""
        down = each.ladder.level > each.taken
        nth = each.taken if down else each.taken - 1
        step = each.limit.steps[nth]
        refusal = self._gate.refusal(each.device.spec)
        if not refusal or (down and taking(step, each.owner(nth)) is None):
            each.refused, each.refused_step = "", None
            return False
        self._stay(each)
        if each.refused_step != (nth, down):
            each.refused_step = nth, down
            words = step_words(step) if down else f"take back: {step_words(step)}"
            text = f"{each.words}; {words}: refused: {refusal}"
            self._store.event(each.device, "change failed", text)
        each.refused = refusal
        return True

    def _stay(self, each: DeviceLimit) -> None:
        now = self._clock.monotonic()
        each.ladder = replace(each.ladder, level=each.taken, moved_at_s=now)

    async def _moved(self, each: DeviceLimit, nth: int, before: str | None) -> None:
        """The nth step was done with this before it; None where it stands no more."""
        if before is None:
            each.taken = nth
            each.done.pop(nth, None)
            each.failed.discard(nth)
            await self._standing.drop(each.device.id, each.owner(nth))
        else:
            each.taken = nth + 1
            each.done[nth] = before
            await self._note(each, nth, before)

    async def _note(self, each: DeviceLimit, nth: int, before: str) -> None:
        words, owner = step_words(each.limit.steps[nth]), each.owner(nth)
        await self._standing.note(Taken(each.device.id, owner, words, before, self._clock.time()))

    def _tell(self, each: DeviceLimit, action: Action, result: Result) -> None:
        kind = "limit" if result.outcome.is_well else "change failed"
        words = f": {result.words}" if result.words else ""
        text = f"{each.words}; {action.intent}: {result.outcome}{words}"
        self._store.event(each.device, kind, text)


def _is_low(each: DeviceLimit) -> bool:
    """Whether none of its steps is needed."""
    return each.value is not None and each.value <= each.limit.low


def mean(device: Device, metric: str, window_s: float, now_s: float) -> float | None:
    """The mean of a series over the window; None where nothing in it is known."""
    history = device.history
    total = count = 0.0
    # More than there are at the pace that was asked for: samples may come in lumps.
    last = int(2 * window_s / device.interval_s) + 2
    times, values = history.times(last), history.values(metric, last)
    for at, value in zip(reversed(times), reversed(values), strict=True):
        if now_s - at > window_s:
            break
        if not math.isnan(value):
            total += value
            count += 1
    return total / count if count else None


def taking(step: LimitStep, owner: str) -> Action | None:
    """What carries a step out; None for one that only warns."""
    if step.run:
        return RunCommand(tuple(step.run))
    if step.mode is not None:
        return SetMode(step.mode)
    if step.clocks is not None:
        return SetClocks(locked=False)
    if step.restart is not None:
        return RestartUnit(step.restart)
    if step.stop is not None:
        return Hold((Work(Kind.UNIT, step.stop),), "it is over a limit", owner)
    return FreeMemory() if step.free_memory else None


def step_words(step: LimitStep) -> str:
    """A step for a person, the same for the same step."""
    action = taking(step, "limit")
    return step.warn if action is None else action.intent


def giving_back(step: LimitStep, owner: str, done: Mapping[int, str], nth: int) -> Action | None:
    """What takes a step back: only what was really taken; None where that is nothing."""
    if step.stop is not None:
        return Release(owner)
    if nth not in done:
        return None
    if step.run:
        return RunCommand(tuple(step.back)) if step.back else None
    if step.mode is not None:
        return SetMode(done[nth], only_from=step.mode) if done[nth] else None
    return SetClocks(locked=True) if step.clocks is not None else None


def _rules(limit: Limit) -> Rules:
    return Rules(
        len(limit.steps) + 1, limit.most, limit.low, limit.settle_s, limit.up_after_s,
        retry_after_s=limit.retry_after_s,
    )  # fmt: skip
