"""The disks of a board as they are now: what they are, how healthy, how fast they wear."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cohete.control.looking import Runner
from cohete.errors import CoheteError
from cohete.links.commands import PROBE_LIMIT_S, look, split_sections
from cohete.storage import disks
from cohete.storage.disks import Disk, Kind, Storage
from cohete.storage.health import (
    Health,
    Reading,
    health_from,
    nvme_probe,
    smartctl_probe,
    trend_words,
)
from cohete.storage.records import read_records, write_records
from cohete.text import decode, sanitise

NEEDS_ROOT = "its health needs root to be read: `sudo: true` for the device allows it"
_TELLING = (Kind.NVME, Kind.SATA, Kind.USB)


@dataclass(frozen=True, slots=True)
class DiskState:
    """A disk, its health, and why that is unknown where it is; `trend` in words."""

    disk: Disk
    health: Health
    why: str = ""
    trend: str = ""

    @property
    def words(self) -> str:
        """Its health, for a person."""
        return "; ".join(part for part in (self.why or self.health.words, self.trend) if part)


async def read_storage(runner: Runner) -> Storage:
    """Disks, file systems, mounts; never with root. Raises LinkError, CommandError."""
    done = await runner.run(disks.reading(), timeout_s=PROBE_LIMIT_S + 5)
    return disks.look(split_sections(done.stdout))


async def read_disks(runner: Runner, *, sudo: bool) -> list[DiskState]:
    """Each disk that could tell its health. Raises LinkError, CommandError."""
    found = []
    for disk in (await read_storage(runner)).disks:
        if disk.kind not in _TELLING:
            continue
        if not sudo:
            found.append(DiskState(disk, Health(), NEEDS_ROOT))
            continue
        argv = look((nvme_probe(disk.path), smartctl_probe(disk.path)))
        done = await runner.run(argv, timeout_s=PROBE_LIMIT_S + 25)
        said = split_sections(done.stdout)
        health = health_from(said.get("nvme", b""), said.get("smartctl", b""))
        found.append(DiskState(disk, health, "" if health.is_known else _why_unknown(said)))
    return found


def with_trend(
    folder: Path, device: str, found: Sequence[DiskState], at_s: float
) -> list[DiskState]:
    """Kept beside earlier readings, and compared with them. Blocking; raises nothing."""
    records = read_records(folder, device)
    told = []
    for each in found:
        if each.health.is_known:
            name = each.disk.serial or each.disk.name
            kept = records.add_health(name, Reading(at_s, each.health))
            each = replace(each, trend=trend_words(kept))
        told.append(each)
    # A folder that cannot be written is no reason not to tell how a disk is.
    with contextlib.suppress(CoheteError):
        write_records(folder, records)
    return told


def _why_unknown(said: dict[str, bytes]) -> str:
    text = sanitise(" ".join(decode(b" ".join(said.values())).split()), 200)
    if "password is required" in text or "not allowed" in text:
        return "sudo does not allow nvme or smartctl; `cohete sudoers storage` prints the rules"
    return f"neither nvme-cli nor smartctl tells it: {text or 'nothing'}"
