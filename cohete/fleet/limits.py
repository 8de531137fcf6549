"""Limits of a fleet: power, memory or heat kept below a value, one step at a time, and back.

The mean over a window decides, a ladder with hysteresis moves, `control` carries it out. A board
that does not say what is measured is treated as above its limit. A power profile's budget is a
limit that counts as long as the board has that profile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from cohete.clock import Clock
from cohete.config.control import PowerProfile
from cohete.config.limits import Limit
from cohete.control.applying import Control
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.fleet.limited import (
    PRESSURE,
    DeviceLimit,
    giving_back,
    is_low,
    is_stopped,
    mean,
    rules_of,
    step_words,
    taking,
)
from cohete.fleet.pressure import PressureKeeper
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.ladder import move

_log = logging.getLogger("cohete.fleet")

PERIOD_S = 1.0
MOST_TRIES = 3
"""After so many tries of a step without an answer the next one is taken."""
NOT_HELD_S = 120.0
"""A limit that is exceeded for so long is told, whatever its steps are doing."""
OVER_S = 5.0
"""Between the steps that are given back once a budget counts no more."""
RunnerOf = Callable[[Device], Runner]


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
            DeviceLimit(device, name, limits[name], rules_of(limits[name]))
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
            DeviceLimit(device, f"budget-{name}", limit, rules_of(limit), profile=name)
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
        if each.taken in each.unsure and is_low(each):
            # It is needed no more: whatever came of it is given back.
            each.done[each.taken] = each.unsure.pop(each.taken)
            each.taken += 1
        is_over = each.counts and (each.value is None or each.value >= each.limit.most)
        if not is_over:
            each.over_since_s, each.is_told = None, False
        elif each.over_since_s is None:
            each.over_since_s = now
        if each.refused_step == (each.taken, True) and is_low(each):
            each.refused, each.refused_step = "", None
        if each.ladder.level != each.taken and not self._must_wait(each):
            each.task = asyncio.create_task(self._step(each))
        elif each.skipped and is_over and now - each.ladder.moved_at_s >= each.limit.settle_s:
            self._stay(each)
            if not self._gate.refusal(device.spec):
                each.task = asyncio.create_task(self._again(each))
        self._tell_not_held(each, now)

    def _tell_not_held(self, each: DeviceLimit, now: float) -> None:
        """Told once: every step was given its time, or none has helped for long."""
        if each.is_told or each.over_since_s is None:
            return
        count, settle_s = len(each.limit.steps), each.limit.settle_s
        is_out = each.taken == count and now - each.ladder.moved_at_s >= settle_s
        if is_out or now - each.over_since_s >= max(NOT_HELD_S, 2 * settle_s * (count + 1)):
            each.is_told = True
            further = ", and there is no further one" if is_out else ", and it is not held"
            self._store.event(
                each.device, "limit not held", each.words + further,
                "Take load off this board, or give the limit another step.",
            )  # fmt: skip

    def _must_wait(self, each: DeviceLimit) -> bool:
        """Whether the next step may not be taken now, or given back not yet."""
        if self._is_refused(each):
            return True
        if each.ladder.level < each.taken:
            step = each.limit.steps[each.taken - 1]
            if (step.mode is not None or step.clocks is not None) and is_stopped(each.device):
                # Nothing gives a board more power while it is too hot to work.
                self._stay(each)
                return True
        return False

    def _value(self, each: DeviceLimit, now: float) -> float | None:
        if each.limit.metric == "memory_pressure":
            watched = self._pressure.by_id[each.device.id]
            return PRESSURE[watched.told] if watched.samples else None
        return mean(each.device, each.limit.metric, each.limit.window_s, now)

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
        is_unknown = result.outcome in (Outcome.UNREACHED, Outcome.UNKNOWN, Outcome.INTERRUPTED)
        each.tries = each.tries + 1 if is_unknown else 0
        if is_unknown and down and each.tries >= MOST_TRIES and nth in each.unsure:
            # The next step may help; what may have been taken is given back with the others.
            each.tries = 0
            await self._moved(each, nth, each.unsure.pop(nth))
            each.failed.add(nth)
        elif is_unknown:
            # Tried again once it has settled: nobody knows whether it was taken.
            self._stay(each)
            if down and result.outcome is not Outcome.UNREACHED:
                each.unsure.setdefault(nth, result.before.partition(" ")[0] or before)
                await self._note(each, nth, each.unsure[nth])
            elif down and nth not in each.unsure:
                await self._standing.drop(device.id, owner)
        elif down:
            was_taken = (
                result.outcome is Outcome.DONE
                # By the try of which nobody knew.
                or (nth in each.unsure and result.outcome is Outcome.ALREADY)
                # Not as it should be, and not as it was.
                or (result.outcome is Outcome.FAILED and bool(before))
            )
            if step.mode is not None and nth not in each.unsure:
                before = result.before.partition(" ")[0]
            each.unsure.pop(nth, None)
            await self._moved(each, nth, before if was_taken else None)
            each.taken = nth + 1
            if not result.outcome.is_well:
                each.failed.add(nth)
            elif not was_taken and (step.mode is not None or step.stop is not None):
                each.skipped.add(nth)
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

    async def _again(self, each: DeviceLimit) -> None:
        """Steps that had nothing to do then may have now: somebody gave more power since."""
        for nth in sorted(each.skipped):
            if await self._helps_now(each, nth):
                return

    async def _helps_now(self, each: DeviceLimit, nth: int) -> bool:
        step, owner, device = each.limit.steps[nth], each.owner(nth), each.device
        action = taking(step, owner)
        if action is None:
            return False
        before = device.mode_name if step.mode is not None else ""
        await self._note(each, nth, before)
        result = await self._control.apply(device.spec, self._runner_of(device), action)
        if result.outcome is Outcome.ALREADY or result.outcome.changed_nothing:
            await self._standing.drop(device.id, owner)
            return False
        if step.mode is not None:
            before = result.before.partition(" ")[0] or before
        each.skipped.discard(nth)
        each.done[nth] = before
        await self._note(each, nth, before)
        self._stay(each)
        self._tell(each, action, result)
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
            each.skipped.discard(nth)
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
        told, each.told_step = each.told_step, (each.taken, result.outcome.value)
        if kind == "change failed" and told == each.told_step:
            return
        words = f": {result.words}" if result.words else ""
        text = f"{each.words}; {action.intent}: {result.outcome}{words}"
        self._store.event(each.device, kind, text)
