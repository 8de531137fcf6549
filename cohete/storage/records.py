"""What was read of the disks of a board before: health over time, and the first speed. Blocking."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cohete.errors import CoheteError
from cohete.kept import keep
from cohete.storage.benchmark import Speed
from cohete.storage.health import Health, Reading

FOLDER = "storage"
MAX_BYTES = 4_000_000
KEPT = 400
"""Readings of a disk: more than a year of one a day."""
BETWEEN_S = 3600.0
"""A reading closer than this to the one before the last replaces the last."""


class _Reading(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at_s: float
    health: Health


class _Measured(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at_s: float
    speed: Speed


class Records(BaseModel):
    """Of one board: health by the serial number of a disk, the first speed by folder."""

    model_config = ConfigDict(extra="forbid")

    version: int = 1
    device: str
    health: dict[str, list[_Reading]] = Field(default={})
    baseline: dict[str, _Measured] = Field(default={})

    def add_health(self, disk: str, reading: Reading) -> list[Reading]:
        """Keep it; all readings of that disk, the oldest first."""
        kept = [Reading(each.at_s, each.health) for each in self.health.get(disk, [])]
        if len(kept) > 1 and reading.at_s - kept[-2].at_s < BETWEEN_S:
            kept.pop()
        kept = [*kept, reading][-KEPT:]
        self.health[disk] = [_Reading(at_s=each.at_s, health=each.health) for each in kept]
        return kept

    def speed_before(self, folder: str) -> tuple[float, Speed] | None:
        """When the baseline of a folder was measured, and what it was."""
        found = self.baseline.get(folder)
        return None if found is None else (found.at_s, found.speed)

    def set_baseline(self, folder: str, at_s: float, speed: Speed) -> None:
        """What later speeds are compared with."""
        self.baseline[folder] = _Measured(at_s=at_s, speed=speed)


def _path(folder: Path, device: str) -> Path:
    return folder / FOLDER / f"{quote(device, safe='')}.json"


def read_records(folder: Path, device: str) -> Records:
    """What was kept of a board; nothing where the file is none of ours."""
    path = _path(folder, device)
    try:
        if path.stat().st_size <= MAX_BYTES:
            found = Records.model_validate_json(path.read_bytes())
            if (found.version, found.device) == (1, device):
                return found
    except (OSError, ValidationError):
        pass
    return Records(device=device)


def write_records(folder: Path, records: Records) -> None:
    """Keep it, all or nothing, for nobody else to read. Raises CoheteError."""
    path = _path(folder, records.device)
    try:
        keep(path, records.model_dump_json(indent=1))
    except OSError as error:
        raise CoheteError(
            f"what was read cannot be kept: {error.strerror}", where=str(path)
        ) from None
