"""Thermal breakers of a fleet: fed by the samples, carried out through `control`.

Each device with a policy has one. What the breaker decides is a wish - work held, or let go - and
one task a device keeps trying to make it so: a board that cannot be reached now is told later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from cohete.clock import Clock
from cohete.config.thermal import ThermalPolicy
from cohete.control.applying import Control
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.errors import CoheteError
from cohete.fleet.ambient import IDLE_SAMPLES, ambient_c
from cohete.fleet.guarding import ANOTHER
from cohete.fleet.holding import BREAKER, Hold, Release
from cohete.fleet.reactions import policy_of, reactions_of
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.power.fan import AutomaticFan, HoldFan
from cohete.power.modes import SetMode
from cohete.thermal.breaker import BLIND_S, Breaker, BreakerState, step
from cohete.thermal.forecast import NEAR_C, Forecast, forecast
from cohete.thermal.policy import Limits, Policy, limits_of

PERIOD_S = 0.1
"""How soon after a sample it is decided: what crosses the threshold is stopped within 2 s of it,
with samples of 1 s and a board that answers within 0.9 s."""
RETRY_S = 5.0
FORECAST_PERIOD_S = 2.0
FORECAST_SAMPLES = 300
MODE_OWNER, FAN_OWNER, WORK_OWNER = "breaker:mode", "breaker:fan", "breaker:work"
REAPPLY_S = 30.0
"""While it is open, held work is looked at again so often: a board that restarts starts it."""
MOST_RETRY_S = 300.0

RunnerOf = Callable[[Device], Runner]

_log = logging.getLogger("cohete.fleet")


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
    noted: set[str] = field(default_factory=set)
    """What is noted as standing: since when is not written anew while it stands."""
    next_check_s: float = 0.0
    next_try_s: float = 0.0
    failures: int = 0
    next_forecast_s: float = 0.0
    samples: int = 0
    told: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    has_looked: bool = False
    was_live: bool = False
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
        self, store: FleetStore, control: Control, runner_of: RunnerOf, standing: Standing,
        clock: Clock, gate: Gate | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._control = control
        self._runner_of = runner_of
        self._standing = standing
        self._gate = gate or control.gate
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

    def resume(self, stands: Iterable[Taken]) -> list[Taken]:
        """Take over what an earlier Cohete changed; what belongs to no breaker is given back."""
        others: list[Taken] = []
        for taken in stands:
            each = self.by_id.get(taken.device)
            if each is None or taken.owner not in (MODE_OWNER, FAN_OWNER, WORK_OWNER):
                others.append(taken)
                continue
            each.is_held = True
            each.noted.add(taken.owner)
            # It was open: it closes at its cooldown, and not because nobody remembers.
            if each.breaker.state is BreakerState.CLOSED:
                now = self._clock.monotonic()
                reason = "it was open when the last Cohete ended"
                each.breaker = Breaker(now, now, BreakerState.COOLING, reason)
            if taken.owner == FAN_OWNER:
                each.fan_held = True
            elif taken.owner == MODE_OWNER:
                each.mode_before = taken.before
        return others

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
            if now >= each.next_check_s or each.device.samples != each.samples:
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
            # Never seen: nothing is known, and nothing of ours runs there but what was left.
            each.breaker = replace(each.breaker, since_s=now, seen_s=now)
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
            ambient_c=ambient_c(each.device, each.written.ambient, each.idle),
            trip_c=min((each_c for each_c in known if each_c is not None), default=None),
        )

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
        is_live = each.device.state is State.LIVE
        if is_live and not each.was_live:
            each.next_try_s = now
        each.was_live = is_live
        # To hold work, also a board is asked that shows nothing: it may only have lost its sensor.
        is_worth_it = is_live or (wants_hold and each.has_looked)
        if each.task is not None or now < each.next_try_s or not is_worth_it:
            return
        refusal = self._gate.refusal(each.device.spec)
        if not each.has_looked and refusal != ANOTHER:
            each.task = asyncio.create_task(self._look_for_note(each))
            return
        if each.written.on_open.is_empty and not each.is_held:
            return
        if refusal:
            text = f"its breaker is open, and this Cohete holds nothing: refused: {refusal}"
            self._tell_once(each, "change failed", wants_hold, text)
        elif wants_hold or each.is_held:
            each.next_try_s = now + RETRY_S
            each.task = asyncio.create_task(self._react(each, hold=wants_hold))

    async def _look_for_note(self, each: DeviceBreaker) -> None:
        """Whether an earlier Cohete was killed while it held work on this board.

        What the limits of this one have taken over is theirs to give back.
        """
        device = each.device
        known = self._standing.owners(device.id)
        # What was taken over from its breaker is let go once it is cool.
        left = Release(spared=(*known, BREAKER) if WORK_OWNER in known else known)
        try:
            change = await self._control.look(device.spec, self._runner_of(device), left)
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
        for action in (
            reactions_of(each.written, each.breaker.reason) if hold else self._release(each)
        ):
            if hold:
                await self._note_ahead(each, action)
            result = await self._apply(each, action)
            well = well and result.outcome.is_well
            self._remember(each, action, result, hold=hold)
            await self._note(each, action, result)
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

    async def _note_ahead(self, each: DeviceBreaker, action: Action) -> None:
        """Before it is changed: who is killed meanwhile finds out what to put back."""
        device = each.device
        if isinstance(action, Hold) and WORK_OWNER not in each.noted:
            await self._standing.note(self._taken(each, WORK_OWNER, action.intent, ""))
        elif isinstance(action, HoldFan) and not each.fan_held:
            await self._standing.note(self._taken(each, FAN_OWNER, action.intent, ""))
        elif isinstance(action, SetMode) and not each.mode_before:
            before = device.mode_name
            if before and before.casefold() != action.name.casefold():
                await self._standing.note(self._taken(each, MODE_OWNER, action.intent, before))

    async def _note(self, each: DeviceBreaker, action: Action, result: Result) -> None:
        """What stands after it."""
        outcome = result.outcome
        if isinstance(action, Hold):
            if not (outcome.changed_nothing or outcome is Outcome.ALREADY):
                each.noted.add(WORK_OWNER)
            elif WORK_OWNER not in each.noted:
                # Nothing of it ran, or nothing was done.
                await self._drop(each, WORK_OWNER)
        elif isinstance(action, Release):
            if outcome.is_well:
                await self._drop(each, WORK_OWNER)
        elif isinstance(action, SetMode):
            if not each.mode_before:
                if outcome is Outcome.ALREADY and each.written.on_open.mode is not None:
                    # Another one was set on top of it, which now gives back what was before both.
                    await self._standing.hand_on(
                        each.device.id, each.written.on_open.mode, action.name
                    )
                await self._drop(each, MODE_OWNER)
            elif MODE_OWNER not in each.noted:
                each.noted.add(MODE_OWNER)
                taken = self._taken(each, MODE_OWNER, action.intent, each.mode_before)
                await self._standing.note(taken)
        elif not each.fan_held:
            await self._drop(each, FAN_OWNER)

    async def _drop(self, each: DeviceBreaker, owner: str) -> None:
        each.noted.discard(owner)
        await self._standing.drop(each.device.id, owner)

    def _taken(self, each: DeviceBreaker, owner: str, words: str, before: str) -> Taken:
        return Taken(each.device.id, owner, words, before, self._clock.time())

    @staticmethod
    def _remember(each: DeviceBreaker, action: Action, result: Result, *, hold: bool) -> None:
        """What has to be put back later, also where it is not known whether it took."""
        ran = not (result.outcome.changed_nothing or result.outcome is Outcome.ALREADY)
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

    def _release(self, each: DeviceBreaker) -> list[Action]:
        actions: list[Action] = []
        if each.mode_before:
            device = each.device.id
            each.mode_before = self._standing.before(device, MODE_OWNER, each.mode_before)
            actions.append(SetMode(each.mode_before, only_from=each.written.on_open.mode or ""))
        if each.fan_held:
            actions.append(AutomaticFan())
        if WORK_OWNER in each.noted:
            # What this Cohete held; what another left is offered, and not begun by itself.
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
