"""Thermal breakers of a fleet: fed by the samples, carried out through `control`.

Each device with a policy has one. What the breaker decides is a wish - work held, or let go - and
one task a device keeps trying to make it so: a board that cannot be reached now is told later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cohete.clock import Clock
from cohete.config.thermal import Reactions, ThermalPolicy
from cohete.control.applying import Control, Outcome, Result, Runner
from cohete.control.change import Action
from cohete.errors import CoheteError
from cohete.fleet.holding import BREAKER, Hold, Kind, Release, Work
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.power.fan import AutomaticFan, HoldFan
from cohete.power.modes import SetMode
from cohete.thermal.breaker import BLIND_S, Breaker, BreakerState, step
from cohete.thermal.forecast import NEAR_C, Forecast, forecast
from cohete.thermal.policy import Ambient, Limits, Pair, Policy, estimated_ambient_c, limits_of

PERIOD_S = 0.25
RETRY_S = 5.0
FORECAST_PERIOD_S = 2.0
FORECAST_SAMPLES = 300
IDLE_GPU_PERCENT = 5
IDLE_SAMPLES, IDLE_EVERY_S, IDLE_FORGET_S, IDLE_LEAST = 120, 30.0, 3600.0, 4
"""Of an idle board: how many temperatures are kept, how often, for how long, and are enough."""
REAPPLY_S = 30.0
"""While it is open, held work is looked at again so often: a board that restarts starts it."""
MOST_RETRY_S = 300.0
FAN_HOLD_S = 3600

RunnerOf = Callable[[Device], Runner]

_log = logging.getLogger("cohete.fleet")


def policy_of(name: str, written: ThermalPolicy) -> Policy:
    """A policy as the core wants it, from the configuration."""
    ambient = written.ambient
    return Policy(
        name,
        Pair(written.threshold_c, written.cooldown_c),
        written.check_interval_ms / 1000,
        written.warning_margin_c,
        {mode: Pair(each.threshold_c, each.cooldown_c) for mode, each in written.modes.items()},
        None if ambient is None else Ambient(ambient.reference_c, ambient.per_c, ambient.most_c),
    )


def works_of(reactions: Reactions) -> tuple[Work, ...]:
    """What an open breaker holds."""
    return (
        *(Work(Kind.UNIT, name) for name in reactions.stop),
        *(Work(Kind.FROZEN, name) for name in reactions.freeze),
        *(Work(Kind.CONTAINER, name) for name in reactions.pause),
        *(Work(Kind.PROCESS, name) for name in reactions.signal),
    )


@dataclass(slots=True)
class DeviceBreaker:
    """The breaker of one device, and how far its wish is carried out."""

    device: Device
    written: ThermalPolicy
    policy: Policy
    breaker: Breaker
    limits: Limits
    ahead: Forecast = field(default_factory=lambda: Forecast(None, 0.0))
    is_held: bool = False
    """Whether anything may be held because of it: from the first try until all was let go."""
    wish: bool = False
    """Whether it should be held."""
    mode_before: str = ""
    fan_held: bool = False
    next_check_s: float = 0.0
    next_try_s: float = 0.0
    failures: int = 0
    next_forecast_s: float = 0.0
    samples: int = 0
    told: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    has_looked: bool = False
    idle: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=IDLE_SAMPLES))
    """When it was idle lately, and how warm then."""

    @property
    def words(self) -> str:
        """State and why, for a person."""
        breaker = self.breaker
        if breaker.reason and breaker.state is not BreakerState.CLOSED:
            return f"{breaker.state}: {breaker.reason}"
        if self.ahead.words:
            return f"{breaker.state}, {self.ahead.words}"
        return f"{breaker.state}, warm" if breaker.is_warning else str(breaker.state)


class BreakerKeeper:
    """Runs the breakers of a fleet until cancelled."""

    def __init__(
        self, store: FleetStore, control: Control, runner_of: RunnerOf, clock: Clock
    ) -> None:
        self._store = store
        self._control = control
        self._runner_of = runner_of
        self._clock = clock
        now = clock.monotonic()
        self.by_id: dict[str, DeviceBreaker] = {}
        for device in store:
            written = device.spec.thermal
            if written is not None and device.spec.enabled:
                policy = policy_of(device.spec.thermal_name, written)
                self.by_id[device.id] = DeviceBreaker(
                    device, written, policy, Breaker(now, now), limits_of(policy)
                )

    async def run(self) -> None:
        """Decide and carry out, until cancelled. What is held then stays held, and noted."""
        try:
            while True:
                now = self._clock.monotonic()
                for each in self.by_id.values():
                    self._one(each, now)
                await self._clock.sleep(PERIOD_S)
        finally:
            tasks = [each.task for each in self.by_id.values() if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _one(self, each: DeviceBreaker, now: float) -> None:
        try:
            if now >= each.next_check_s:
                self.check(each, now)
            self._carry_out(each, now)
        except Exception as error:  # noqa: BLE001 - one board must never end the breakers of others
            _log.error("breaker of %s", each.device.id, exc_info=error)
            self._tell_once(each, "bug", True, f"its breaker failed: {type(error).__name__}")

    def check(self, each: DeviceBreaker, now: float) -> None:
        """One decision from the newest sample."""
        device = each.device
        each.next_check_s = now + each.policy.interval_s
        if device.stats is None:
            # Never seen: nothing is known, and nothing of ours runs there.
            each.breaker = Breaker(now, now)
            return
        is_new = device.samples != each.samples
        each.samples = device.samples
        each.limits = self._limits(each)
        before = each.breaker
        blind_s = max(BLIND_S, 3 * device.interval_s)
        zones = device.stats.zones if is_new else ()
        each.breaker = step(before, each.limits, now, zones, fresh=is_new, blind_s=blind_s)
        if is_new and now >= each.next_forecast_s:
            each.next_forecast_s = now + FORECAST_PERIOD_S
            each.ahead = self._forecast(each)
        device.breaker = each.breaker.state
        self._tell(each, before)
        if each.breaker != before:
            self._store.touch(device)

    def _limits(self, each: DeviceBreaker) -> Limits:
        device = each.device
        facts = device.facts
        known = [facts.throttle_c] if facts is not None else []
        if facts is not None and facts.module is not None:
            known.append(facts.module.throttle_c)
        return limits_of(
            each.policy,
            mode=device.mode_name,
            ambient_c=self._ambient_c(each),
            trip_c=min((each_c for each_c in known if each_c is not None), default=None),
        )

    @staticmethod
    def _ambient_c(each: DeviceBreaker) -> float | None:
        """The air around the board from what the policy names: a number, a zone, the idle board."""
        source = each.written.ambient
        stats, reading = each.device.stats, each.device.reading
        if source is None or stats is None or reading is None:
            return None
        if source.temperature_c is not None:
            return source.temperature_c
        if source.zone is not None:
            wanted = source.zone.casefold()
            found = (zone.celsius for zone in stats.zones if zone.name.casefold() == wanted)
            return next(found, None)
        if source.idle_rise_c is None:
            return None
        now = each.device.stats_at
        is_idle = reading.gpu_percent is not None and reading.gpu_percent <= IDLE_GPU_PERCENT
        is_due = not each.idle or now - each.idle[-1][0] >= IDLE_EVERY_S
        if is_idle and is_due and reading.hottest_c is not None:
            each.idle.append((now, reading.hottest_c))
        lately = [celsius for at, celsius in each.idle if now - at <= IDLE_FORGET_S]
        if len(lately) < IDLE_LEAST:
            return None
        # An estimate may lower the limits and never raises them.
        ambient_c = estimated_ambient_c(min(lately), source.idle_rise_c)
        return max(source.reference_c, ambient_c)

    @staticmethod
    def _forecast(each: DeviceBreaker) -> Forecast:
        history, threshold_c = each.device.history, each.limits.threshold_c
        celsius = each.breaker.celsius
        if celsius is None or celsius < threshold_c - NEAR_C:
            return Forecast(None, 0.0)
        times = history.times(FORECAST_SAMPLES)
        return forecast(times, history.values("temperature_c", FORECAST_SAMPLES), threshold_c)

    def _tell(self, each: DeviceBreaker, before: Breaker) -> None:
        """What is new, as events: each once until it is over."""
        after, device = each.breaker, each.device
        if after.state is not before.state and after.state is not BreakerState.COOLING:
            text = f"breaker {after.state}"
            reason = f": {after.reason}" if after.reason else ""
            kind = "breaker" if after.state is BreakerState.OPEN else "cooled"
            if after.state is not BreakerState.CLOSED or before.state is BreakerState.HALF_OPEN:
                self._store.event(device, kind, text + reason)
        self._tell_once(
            each, "warm", after.is_warning,
            f"{after.zone} at {after.celsius or 0:.1f} C, the breaker opens above "
            f"{each.limits.threshold_c:g} C",
        )  # fmt: skip
        near = each.ahead.is_near and after.state is BreakerState.CLOSED
        self._tell_once(each, "forecast", near, f"over-temperature ahead: {each.ahead.words}")

    def _tell_once(self, each: DeviceBreaker, kind: str, holds: bool, text: str) -> None:
        if holds and kind not in each.told:
            each.told.add(kind)
            self._store.event(each.device, kind, text)
        elif not holds and each.breaker.celsius is not None:
            below = each.limits.warning_c - 1.0
            if each.breaker.celsius < below or kind == "forecast":
                each.told.discard(kind)

    def _carry_out(self, each: DeviceBreaker, now: float) -> None:
        if each.task is not None and each.task.done():
            task, each.task = each.task, None
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        wants_hold = not each.breaker.allows_work
        if wants_hold is not each.wish:
            each.wish, each.failures, each.next_try_s = wants_hold, 0, now
        if each.written.on_open.is_empty or each.task is not None:
            return
        if now < each.next_try_s or each.device.state is not State.LIVE:
            return
        refusal = self._control.gate.refusal(each.device.spec)
        if not each.has_looked:
            each.task = asyncio.create_task(self._look_for_note(each))
        elif refusal:
            text = f"its breaker is open, and nothing is held: refused: {refusal}"
            self._tell_once(each, "change failed", wants_hold, text)
        elif wants_hold or each.is_held:
            each.next_try_s = now + RETRY_S
            each.task = asyncio.create_task(self._react(each, hold=wants_hold))

    async def _look_for_note(self, each: DeviceBreaker) -> None:
        """Whether an earlier Cohete was killed while it held work on this board."""
        device = each.device
        try:
            change = await self._control.look(device.spec, self._runner_of(device), Release())
        except CoheteError:
            each.next_try_s = self._clock.monotonic() + RETRY_S
            return
        each.has_looked = True
        if not change.is_done:
            self._store.event(
                device, "held", f"{change.before}, by a Cohete that ended before it let it go",
                f"Let it go with `cohete breaker release {device.id}`.",
            )  # fmt: skip

    async def _react(self, each: DeviceBreaker, *, hold: bool) -> None:
        """Carry out what the breaker wishes: every part, whatever came of the others."""
        if hold:
            each.is_held = True
        well = True
        for action in self._hold(each) if hold else self._release(each):
            result = await self._apply(each, action)
            well = well and result.outcome.is_well
            self._remember(each, action, result, hold=hold)
        now = self._clock.monotonic()
        if not well:
            each.failures += 1
            each.next_try_s = now + min(MOST_RETRY_S, RETRY_S * 2 ** (each.failures - 1))
            return
        each.failures = 0
        each.told -= {name for name in each.told if name.startswith("failed")}
        if hold:
            each.next_try_s = now + REAPPLY_S
        else:
            each.is_held = False

    @staticmethod
    def _remember(each: DeviceBreaker, action: Action, result: Result, *, hold: bool) -> None:
        """What has to be put back later, also where it is not known whether it took."""
        ran = result.outcome not in (Outcome.REFUSED, Outcome.UNREACHED, Outcome.UNCHANGED)
        if isinstance(action, SetMode):
            before = result.before.partition(" ")[0]
            if not hold and result.outcome.is_well:
                each.mode_before = ""
            elif hold and ran and before and before.casefold() != action.name.casefold():
                each.mode_before = each.mode_before or before
        elif isinstance(action, HoldFan):
            each.fan_held = each.fan_held or ran
        elif isinstance(action, AutomaticFan) and result.outcome.is_well:
            each.fan_held = False

    def _hold(self, each: DeviceBreaker) -> list[Action]:
        reactions = each.written.on_open
        actions: list[Action] = []
        if works := works_of(reactions):
            actions.append(Hold(works, each.breaker.reason))
        if reactions.fan is not None:
            actions.append(HoldFan(reactions.fan, FAN_HOLD_S))
        if reactions.mode is not None:
            actions.append(SetMode(reactions.mode))
        return actions

    def _release(self, each: DeviceBreaker) -> list[Action]:
        actions: list[Action] = []
        if each.mode_before:
            actions.append(SetMode(each.mode_before))
        if each.fan_held:
            actions.append(AutomaticFan())
        if works_of(each.written.on_open):
            actions.append(Release(BREAKER))
        return actions

    async def _apply(self, each: DeviceBreaker, action: Action) -> Result:
        device = each.device
        result = await self._control.apply(device.spec, self._runner_of(device), action)
        if result.outcome is Outcome.DONE:
            self._store.event(device, "change", f"{action.intent}: done")
        elif not result.outcome.is_well:
            key = f"failed {action.intent}"
            if key not in each.told:
                each.told.add(key)
                text = f"{action.intent}: {result.outcome}: {result.words}"
                self._store.event(device, "change failed", text)
        return result
