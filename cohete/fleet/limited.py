"""A limit of one device: how far down its steps it is, and what a step means as a change. Pure."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cohete.config.limits import Limit, LimitStep
from cohete.control.change import Action
from cohete.control.commands import FreeMemory, RestartUnit, RunCommand
from cohete.fleet.holding import Hold, Kind, Release, Work
from cohete.fleet.state import Device
from cohete.ladder import Ladder, Rules
from cohete.memory.pressure import Level
from cohete.power.clocks import SetClocks
from cohete.power.modes import SetMode
from cohete.thermal.breaker import BreakerState

_UNITS = {"power_w": "W", "ram_percent": "% of memory", "temperature_c": "C"}
PRESSURE = {Level.OK: 0.0, Level.WARNING: 1.0, Level.CRITICAL: 2.0}
"""Memory pressure as a number: from swapping, stalls, fragments and the slope to exhaustion."""


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
    skipped: set[int] = field(default_factory=set)
    """Steps there was nothing to do for when it was their turn: looked at again while needed."""
    tries: int = 0
    """How often the next step was tried without an answer."""
    over_since_s: float | None = None
    is_told: bool = False
    """Whether it was told that the limit is not held."""
    told_step: tuple[int, str] | None = None
    """The step, and what came of it, that was told last."""
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
            levels = [str(level) for level in PRESSURE]
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


def is_stopped(device: Device) -> bool:
    """Whether its breaker lets no work run."""
    return device.breaker in (BreakerState.OPEN, BreakerState.COOLING)


def is_low(each: DeviceLimit) -> bool:
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
        return SetMode(step.mode, only_down=True)
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


def rules_of(limit: Limit) -> Rules:
    return Rules(
        len(limit.steps) + 1, limit.most, limit.low, limit.settle_s, limit.up_after_s,
        retry_after_s=limit.retry_after_s,
    )  # fmt: skip
