"""Which power profile each board was given last, by whomever: its budget counts until the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cohete.clock import Clock
from cohete.fleet.standing import Standing, Taken

FOLDER = "chosen"
_OWNER = "profile"


class ChosenProfiles:
    """Kept in the state folder, where the dashboard and the commands find it."""

    def __init__(self, folder: Path, clock: Clock, places: Mapping[str, str]) -> None:
        self._notes = Standing(folder / FOLDER, places=places)
        self._clock = clock
        self._seen: dict[str, float] = {}

    async def choose(self, device: str, profile: str) -> None:
        """It was set. A folder that cannot be written loses no more than a budget at a restart."""
        now_s = self._clock.time()
        self._seen[device] = now_s
        await self._notes.note(Taken(device, _OWNER, profile, "", now_s))

    def news(self, devices: Iterable[str]) -> dict[str, str]:
        """Profiles by device that were set since the last call, here or elsewhere. Blocking."""
        found = {}
        for taken in self._notes.of(devices):
            if taken.since_s > self._seen.get(taken.device, 0.0):
                self._seen[taken.device] = taken.since_s
                found[taken.device] = taken.words
        return found
