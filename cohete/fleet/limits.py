"""Limits of a fleet: power, memory or heat kept below a value, one step at a time, and back.

The mean over a window decides, a ladder with hysteresis moves, `control` carries it out. A board
that does not say what is measured is treated as above its limit.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cohete.clock import Clock
from cohete.config.limits import Limit, LimitStep
from cohete.control.applying import Control, Outcome, Result, Runner
from cohete.control.change import Action
from cohete.control.commands import FreeMemory, RestartUnit, RunCommand
from cohete.fleet.holding import Hold, Kind, Release, Work
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.ladder import Ladder, Rules, move
from cohete.power.clocks import SetClocks
from cohete.power.modes import SetMode

_log = logging.getLogger("cohete.fleet")

PERIOD_S = 1.0
_UNITS = {"power_w": "W", "ram_percent": "% of memory", "temperature_c": "C"}
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
    taken: int = 0
    """Steps that were carried out, or tried."""
    done: dict[int, Result] = field(default_factory=dict)
    """By step, what came of it: only what was done is taken back."""
    task: asyncio.Task[None] | None = None
    told_all_taken: bool = False

    @property
    def words(self) -> str:
        """For a person: value, limit, step."""
        unit = _UNITS[self.limit.metric]
        value = "unknown" if self.value is None else f"{self.value:.1f}"
        of = f"step {self.taken} of {len(self.limit.steps)}" if self.taken else "no step taken"
        return f"{self.name}: {value} of {self.limit.most:g} {unit}, {of}"


class LimitKeeper:
    """Keeps the devices of a fleet below their limits until cancelled."""

    def __init__(
        self, store: FleetStore, limits: dict[str, Limit], control: Control,
        runner_of: RunnerOf, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._control = control
        self._runner_of = runner_of
        self._clock = clock
        self.limits = [
            DeviceLimit(device, name, limits[name], _rules(limits[name]))
            for device in store
            for name in device.spec.limits
            if device.spec.enabled and name in limits
        ]

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
        self._decide(each)
        device = each.device
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
        each.value = mean(device, each.limit.metric, each.limit.window_s, now)
        each.ladder = move(each.ladder, each.rules, now, each.value)
        if each.ladder.level != each.taken:
            each.task = asyncio.create_task(self._step(each))
            each.told_all_taken = False
        elif self._is_out_of_steps(each, now) and not each.told_all_taken:
            each.told_all_taken = True
            self._store.event(
                device, "limit not held", f"{each.words}, and there is no further one",
                "Take load off this board, or give the limit another step.",
            )  # fmt: skip

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
        step, owner = each.limit.steps[nth], f"limit:{each.name}:{nth}"
        action = taking(step, owner) if down else giving_back(step, owner, each.done.get(nth))
        if action is None:
            each.taken -= 1
            each.done.pop(nth, None)
            self._store.event(each.device, "limit", f"{each.words}; nothing to take back")
            return
        device = each.device
        result = await self._control.apply(device.spec, self._runner_of(device), action)
        if result.outcome in (Outcome.UNREACHED, Outcome.UNKNOWN, Outcome.INTERRUPTED):
            # Tried again once it has settled: nobody knows whether it was taken.
            now = self._clock.monotonic()
            each.ladder = replace(each.ladder, level=each.taken, moved_at_s=now)
        elif down:
            each.taken += 1
            each.done[nth] = result
        elif result.outcome.is_well:
            each.taken -= 1
            each.done.pop(nth, None)
        else:
            now = self._clock.monotonic()
            each.ladder = replace(each.ladder, level=each.taken, moved_at_s=now)
        self._tell(each, action, result)

    def _tell(self, each: DeviceLimit, action: Action, result: Result) -> None:
        kind = "limit" if result.outcome.is_well else "change failed"
        words = f": {result.words}" if result.words else ""
        text = f"{each.words}; {action.intent}: {result.outcome}{words}"
        self._store.event(each.device, kind, text)


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


def taking(step: LimitStep, owner: str) -> Action:
    """What carries a step out."""
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
    return FreeMemory()


def giving_back(step: LimitStep, owner: str, taken: Result | None) -> Action | None:
    """What takes a step back: only what was really taken; None where that is nothing."""
    if step.stop is not None:
        return Release(owner)
    if taken is None or taken.outcome is not Outcome.DONE:
        return None
    if step.run:
        return RunCommand(tuple(step.back)) if step.back else None
    if step.mode is not None:
        before = taken.before.partition(" ")[0]
        return SetMode(before) if before else None
    return SetClocks(locked=True) if step.clocks is not None else None


def _rules(limit: Limit) -> Rules:
    return Rules(
        len(limit.steps) + 1, limit.most, limit.low, limit.settle_s, limit.up_after_s,
        retry_after_s=limit.retry_after_s,
    )  # fmt: skip
