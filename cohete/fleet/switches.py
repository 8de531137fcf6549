"""Boards that switch their power profile by themselves, and back; how fast back is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cohete.clock import Clock
from cohete.config.control import Control as ControlSettings
from cohete.config.control import Power
from cohete.config.switches import Switch
from cohete.control.applying import Control
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome
from cohete.errors import ConfigError
from cohete.fleet.alerts import AlertBook, Rule
from cohete.fleet.chosen import ChosenProfiles
from cohete.fleet.desired import profile_named
from cohete.fleet.limited import is_stopped
from cohete.fleet.query import QueryError, parse_query
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore

PERIOD_S = 0.5
RETRY_S = 30.0
GRACE_S = 90.0
"""After a start: facts are read once a minute."""

RunnerOf = Callable[[Device], Runner]


@dataclass(slots=True)
class DeviceSwitch:
    """What one device should be like and what it was switched to."""

    wanted: str = ""
    done: str = ""
    is_unsure: bool = False
    """Whether it was noted by an earlier Cohete, which may have ended before it was done."""
    stood: set[str] = field(default_factory=set)
    """Switches that are noted for it."""
    since_s: float = 0.0
    next_try_s: float = 0.0
    task: asyncio.Task[None] | None = None
    told_refusal: bool = False
    back_s: list[float] = field(default_factory=list)
    """How long each way back to work took, in seconds."""


class SwitchKeeper:
    """Switches the devices that name a switch, until cancelled."""

    def __init__(
        self, store: FleetStore, switches: Mapping[str, Switch], power: Power,
        settings: ControlSettings, control: Control, runner_of: RunnerOf, standing: Standing,
        clock: Clock, gate: Gate | None = None, chosen: ChosenProfiles | None = None,
    ) -> None:  # fmt: skip
        self._chosen = chosen
        self._store = store
        self._switches = dict(switches)
        self._power = power
        self._settings = settings
        self._control = control
        self._runner_of = runner_of
        self._standing = standing
        self._gate = gate or control.gate
        self._clock = clock
        self._book = AlertBook([_rule(name, switch) for name, switch in switches.items()])
        self.by_id = {
            device.id: DeviceSwitch()
            for device in store
            if device.spec.enabled and any(name in switches for name in device.spec.switches)
        }

    def resume(self, stands: Iterable[Taken]) -> list[Taken]:
        """Take over what an earlier Cohete switched; what belongs to no switch is given back."""
        others: list[Taken] = []
        for taken in stands:
            kind, _, name = taken.owner.partition(":")
            each = self.by_id.get(taken.device)
            if kind != "switch" or name not in self._switches or each is None:
                others.append(taken)
            else:
                now = self._clock.monotonic()
                each.done = each.wanted = name
                each.is_unsure = True
                each.stood.add(name)
                each.since_s = now
                # What it depends on is only known once the board has been read again.
                rule = next(rule for rule in self._book.rules if rule.name == name)
                self._book.resume(rule, taken.device, now, GRACE_S)
                self._store[taken.device].profile_name = self._switches[name].profile
        return others

    async def run(self) -> None:
        """Look twice a second, and carry out."""
        try:
            while True:
                await self._clock.sleep(PERIOD_S)
                self.look()
        finally:
            tasks = [each.task for each in self.by_id.values() if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Which profile each device should have now; what differs is begun."""
        now = self._clock.monotonic()
        devices = [self._store[name] for name in self.by_id]
        self._book.look(devices, now, self._clock.time())
        holding = {(alert.rule.name, alert.device) for alert in self._book.firing}
        for device in devices:
            each = self.by_id[device.id]
            wanted = next(
                (name for name in device.spec.switches if (name, device.id) in holding), ""
            )
            if wanted != each.wanted:
                each.wanted, each.since_s, each.next_try_s = wanted, now, now
            refusal = self._gate.refusal(device.spec)
            is_due = each.wanted != each.done or each.is_unsure
            if is_due and is_stopped(device):
                # Whatever the profile: a board that is too hot to work gets no other one.
                continue
            if refusal and is_due:
                if not each.told_refusal:
                    each.told_refusal = True
                    text = f"{wanted}: its power profile is left: refused: {refusal}"
                    self._store.event(device, "change failed", text)
                continue
            if (
                is_due
                and device.state is State.LIVE
                and now >= each.next_try_s
                and (each.task is None or each.task.done())
            ):
                each.next_try_s = now + RETRY_S
                each.task = asyncio.create_task(self._switch(device, each, wanted))

    async def _switch(self, device: Device, each: DeviceSwitch, wanted: str) -> None:
        name = self._profile(device, wanted or each.done, back=not wanted)
        profile = profile_named(name, self._power, self._settings, [device.spec])
        was, owner = each.done, f"switch:{wanted}"
        if wanted:
            words = f"{profile.intent}, while {self._switches[wanted].when}"
            await self._standing.note(Taken(device.id, owner, words, "", self._clock.time()))
            each.stood.add(wanted)
        result = await self._control.apply(device.spec, self._runner_of(device), profile)
        took_s = self._clock.monotonic() - each.since_s
        why = wanted or f"{each.done} is over"
        if result.outcome.is_well:
            if not wanted:
                each.back_s.append(took_s)
            each.done = wanted
            each.is_unsure = False
            device.profile_name = name
            if self._chosen is not None and not wanted:
                await self._chosen.choose(device.id, name)
            for old in sorted(each.stood - {wanted}):
                await self._standing.drop(device.id, f"switch:{old}")
                each.stood.discard(old)
            if was != wanted or result.outcome is not Outcome.ALREADY:
                text = f"{why}: power profile {name} after {took_s:.1f} s"
                self._store.event(device, "switch", text)
        else:
            if wanted and wanted != was and result.outcome.changed_nothing:
                await self._standing.drop(device.id, owner)
                each.stood.discard(wanted)
            text = f"{why}: {profile.intent}: {result.outcome}: {result.words}"
            self._store.event(device, "change failed", text)

    def _profile(self, device: Device, switch: str, *, back: bool) -> str:
        written = self._switches[switch]
        if not back:
            return written.profile
        return written.back or device.spec.power_profile or "balanced"


def _rule(name: str, switch: Switch) -> Rule:
    try:
        query = parse_query(switch.when)
    except QueryError as error:
        raise ConfigError(f"the switch {name}: {error.what}", hint=error.hint) from None
    return Rule(name, query, for_s=switch.for_s, clear_s=switch.back_after_s)
