"""What was taken of boards by itself and is not given back yet, so that a restart goes on from it.

A file each in the state folder: switches, limits and breakers note what they change before they
change it, and remove the note once it was given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cohete.kept import keep

FOLDER = "standing"
MAX_FILES = 100_000
MAX_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that was changed for as long as something holds.

    `owner` says who gives it back: `switch:NAME`, `limit:NAME:STEP`, `breaker:mode`, `breaker:fan`.
    `words` say what was done, `before` how it was (empty where nothing has to be put back or it is
    not known); `since_s` is wall clock time.
    """

    device: str
    owner: str
    words: str
    before: str
    since_s: float
    place: str = ""
    """Where the board was: another one of the same name is another board."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = 1
    device: str
    owner: str
    words: str
    before: str
    since_s: float
    place: str = ""


class Standing:
    """The notes in a state folder. A folder that cannot be written is told, and is no error.

    `places` says where each device is; without it a device is known by its name alone.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None] = lambda _: None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder / FOLDER
        self._tell = tell
        self._places = places
        self._lock = asyncio.Lock()
        self._known: dict[tuple[str, str], Taken] = {}

    def of(self, devices: Iterable[str]) -> list[Taken]:
        """What stands of these devices. Blocking. Never raises."""
        names, places = set(devices), self._places
        return [
            taken
            for taken in self.read()
            if taken.device in names
            and (places is None or taken.place == places.get(taken.device, ""))
        ]

    def read(self) -> list[Taken]:
        """Everything that stands, the oldest first. Blocking. Never raises."""
        found: list[Taken] = []
        with contextlib.suppress(OSError):
            for path in sorted(self.folder.glob("*.json"))[:MAX_FILES]:
                with contextlib.suppress(OSError, ValidationError):
                    if path.stat().st_size > MAX_BYTES:
                        continue
                    read = _Document.model_validate_json(path.read_bytes())
                    taken = Taken(
                        read.device, read.owner, read.words, read.before, read.since_s, read.place
                    )
                    if read.version == 1 and path == self._path(taken):
                        found.append(taken)
        return sorted(found, key=lambda each: (each.since_s, each.device, each.owner))

    def adopt(self, stands: Iterable[Taken]) -> None:
        """Know what an earlier Cohete noted as if it were our own."""
        for taken in stands:
            self._known[taken.device, taken.owner] = taken

    def before(self, device: str, owner: str, otherwise: str) -> str:
        """How it was before this owner changed it, as far as that was ever known."""
        taken = self._known.get((device, owner))
        return otherwise if taken is None or not taken.before else taken.before

    def owners(self, device: str) -> tuple[str, ...]:
        """Who has changed something of a device, and gives it back."""
        return tuple(owner for name, owner in self._known if name == device)

    async def hand_on(self, device: str, was: str, now: str) -> None:
        """What would be given back to `was` is given back to `now` instead.

        For whoever had set `was` and gives it back while others have set something on top of it.
        """
        for taken in list(self._known.values()):
            if taken.device == device and taken.before.casefold() == was.casefold() != "":
                await self.note(replace(taken, before=now))

    async def note(self, taken: Taken) -> None:
        """Keep it, all or nothing, for nobody else to read."""
        if self._places is not None:
            taken = replace(taken, place=self._places.get(taken.device, ""))
        self._known[taken.device, taken.owner] = taken
        await self._do(lambda: self.write(taken))

    async def drop(self, device: str, owner: str) -> None:
        """It was given back."""
        self._known.pop((device, owner), None)
        place = (self._places or {}).get(device, "")
        await self._do(lambda: self.remove(Taken(device, owner, "", "", 0.0, place)))

    def write(self, taken: Taken) -> None:
        """As `note`, blocking. Raises OSError."""
        keep(self._path(taken), _Document(**asdict(taken)).model_dump_json())

    def remove(self, taken: Taken) -> None:
        """As `drop`, blocking. Raises OSError."""
        self._path(taken).unlink(missing_ok=True)

    async def _do(self, work: Callable[[], None]) -> None:
        async with self._lock:
            try:
                await asyncio.to_thread(work)
            except OSError as error:
                self._tell(f"what is taken of boards cannot be noted: {error.strerror}")

    def _path(self, taken: Taken) -> Path:
        key = f"{taken.place}\0{taken.device}\0{taken.owner}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / f"{digest[:40]}.json"


def taken_words(taken: Taken) -> str:
    """For a person: what was done, by what, how it was."""
    before = f", before that {taken.before}" if taken.before else ""
    return f"{taken.words} ({taken.owner}){before}"
