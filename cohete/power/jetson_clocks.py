"""NVIDIA's jetson_clocks: what its `--show` says on every release. Pure.

Formats: R28 (`Gonvernor=`), R32 and R35 (`cpu0: Online=1 ...`), R36 (two blanks), R38 and R39 (no
`Online=`, a line `Online CPUs: 0-5, Offline CPUs:`). It has no word for "on": clocks are locked
where the lowest allowed clock equals the highest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from cohete.text import sanitise

MAX_CHARS = 65_536
_CPU = re.compile(r"^cpu(\d{1,3}):([^\n]{1,400})$", re.MULTILINE | re.ASCII)
_PART = re.compile(r"^(GPU|EMC)\b([^\n]{1,400})$", re.MULTILINE | re.ASCII)
_FIELD = re.compile(r"\b(Online|MinFreq|MaxFreq|CurrentFreq|FreqOverride)=(\d{1,12})", re.ASCII)
_OFFLINE = re.compile(r"Offline CPUs: ?([0-9,-]{0,200})", re.ASCII)
_FAN = re.compile(r"^(?:FAN|Fan)[^\n]{1,120}$", re.MULTILINE)


class Lock(StrEnum):
    """Whether clocks are held at their highest."""

    LOCKED = "locked"
    FREE = "not locked"
    PARTLY = "partly locked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClockRange:
    """The clocks of one unit in MHz."""

    name: str
    min_mhz: float
    max_mhz: float
    current_mhz: float | None

    @property
    def is_held(self) -> bool:
        """Whether nothing but the highest is allowed."""
        return self.min_mhz >= self.max_mhz


@dataclass(frozen=True, slots=True)
class Clocks:
    """What jetson_clocks shows: the cores that are online, GPU, memory."""

    cpus: tuple[ClockRange, ...]
    gpu: ClockRange | None
    emc: ClockRange | None
    emc_override: bool | None
    fan: str

    @property
    def lock(self) -> Lock:
        """From the cores, the GPU and the memory's override, whichever it shows."""
        held = [core.is_held for core in self.cpus]
        if self.gpu is not None:
            held.append(self.gpu.is_held)
        if not held:
            return Lock.UNKNOWN
        if all(held):
            return Lock.PARTLY if self.emc_override is False else Lock.LOCKED
        return Lock.PARTLY if any(held) or self.emc_override else Lock.FREE


def parse_clocks(text: str) -> Clocks:
    """What `jetson_clocks --show` printed; what it does not show is unknown. Never raises."""
    text = text[:MAX_CHARS]
    offline = _numbers(match[1]) if (match := _OFFLINE.search(text)) else set()
    cpus = []
    for number, rest in _CPU.findall(text):
        fields = dict(_FIELD.findall(rest))
        if fields.get("Online") == "0" or int(number) in offline:
            continue
        found = _range(f"cpu{number}", fields, 1_000)
        if found is not None:
            cpus.append(found)
    parts = {name: dict(_FIELD.findall(rest)) for name, rest in reversed(_PART.findall(text))}
    override = parts.get("EMC", {}).get("FreqOverride")
    fan = _FAN.search(text)
    return Clocks(
        tuple(sorted(cpus, key=lambda core: int(core.name[3:]))),
        _range("GPU", parts.get("GPU", {}), 1_000_000),
        _range("EMC", parts.get("EMC", {}), 1_000_000),
        None if override is None else override != "0",
        sanitise(fan[0], 120) if fan else "",
    )


def _range(name: str, fields: dict[str, str], per_mhz: int) -> ClockRange | None:
    """kHz for cores, Hz for the rest."""
    if "MinFreq" not in fields or "MaxFreq" not in fields:
        return None
    current = fields.get("CurrentFreq")
    return ClockRange(
        name,
        int(fields["MinFreq"]) / per_mhz,
        int(fields["MaxFreq"]) / per_mhz,
        None if current is None else int(current) / per_mhz,
    )


def _numbers(text: str) -> set[int]:
    """The numbers of a kernel list such as `6-7` or `1,3`."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit() and int(last or first) < 1024:
            found.update(range(int(first), int(last or first) + 1))
    return found
