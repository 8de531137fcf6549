"""Who may guard a board: this program, unless it is read-only or another one does already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from cohete.claim import DeviceClaims
from cohete.clock import Clock
from cohete.config.spec import DeviceSpec
from cohete.control.gate import Gate
from cohete.fleet.chosen import ChosenProfiles
from cohete.fleet.standing import Standing, Taken, taken_words
from cohete.fleet.store import FleetStore

FILE = "guards.lock"
RETRY_S = 5.0
ANOTHER = "another Cohete on this computer guards it"

Resume = Callable[[Iterable[Taken]], list[Taken]]


@dataclass(frozen=True, slots=True)
class GuardGate(Gate):
    """For breakers, limits and switches: two programs would undo what the other has done."""

    guarded: set[str] = field(default_factory=set)
    """Ids of the devices that are ours, and of which is known what an earlier Cohete left."""

    def refusal(self, spec: DeviceSpec) -> str:
        """As for any change; and one program guards a board at a time."""
        return Gate.refusal(self, spec) or ("" if spec.id in self.guarded else ANOTHER)


class Guards:
    """Takes the boards that nobody else guards, and goes on from what was left there."""

    def __init__(
        self, store: FleetStore, gate: GuardGate, claims: DeviceClaims, standing: Standing,
        resume: Sequence[Resume], clock: Clock, chosen: ChosenProfiles | None = None,
    ) -> None:  # fmt: skip
        self._chosen = chosen
        self._store = store
        self._gate = gate
        self._claims = claims
        self._standing = standing
        self._resume = resume
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: a board whose Cohete ends is taken over from it."""
        while True:
            await self._clock.sleep(RETRY_S)
            await self.take()
            await self._profiles(self._gate.guarded)

    async def _profiles(self, devices: Collection[str]) -> None:
        """What somebody gave the boards since, by a command or another dashboard."""
        if self._chosen is not None:
            for name, profile in (await asyncio.to_thread(self._chosen.news, devices)).items():
                self._store[name].profile_name = profile

    async def take(self) -> None:
        """Those that are free now. What an earlier Cohete took of them is resumed first."""
        new = [
            device.id
            for device in self._store
            if device.id not in self._gate.guarded
            and not Gate.refusal(self._gate, device.spec)
            and self._claims.take(device.spec.place)
        ]
        if not new:
            return
        await self._profiles(new)
        stands = await asyncio.to_thread(self._standing.of, new)
        self._standing.adopt(stands)
        for resume in self._resume:
            stands = resume(stands)
        self._gate.guarded.update(new)
        for taken in stands:
            device, words = self._store[taken.device], taken_words(taken)
            self._store.event(
                device, "held", f"left by an earlier Cohete: {words}",
                "Nothing configured gives it back; see `cohete standing`.",
            )  # fmt: skip
