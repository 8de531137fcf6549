"""What a disk says of its own health: wear, spare, errors, and how fast it wears. Pure.

Formats: `nvme smart-log -o json` (nvme-cli 1.x and 2.x: temperatures in kelvin, `percent_used` or
`percentage_used`, 128-bit counters as numbers or text) and `smartctl -j -a` (smartmontools 7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cohete.control.change import as_root
from cohete.control.sudoers import Feature
from cohete.links.commands import Probe

NVME = "/usr/sbin/nvme"
SMARTCTL = "/usr/sbin/smartctl"
WORN_PERCENT = 90
DEVICES = ("/dev/nvme0n1", "/dev/sda")
"""Disks a board usually has: what sudo rules are written for."""
UNIT_BYTES = 512_000
"""NVMe counts what was written in thousands of 512 bytes."""
_WARNINGS = (
    "the spare is below its threshold",
    "too hot or too cold",
    "its reliability is degraded",
    "it is read-only now",
    "its volatile memory's backup has failed",
    "its persistent memory is read-only",
)
"""Bits of `critical_warning`, the lowest first (NVM Express base specification, SMART log page)."""


@dataclass(frozen=True, slots=True)
class Health:
    """None is unknown. `wear_percent` may pass 100; `written` is bytes over its life."""

    wear_percent: int | None = None
    spare_percent: int | None = None
    spare_threshold_percent: int | None = None
    critical_warning: int | None = None
    media_errors: int | None = None
    temperature_c: float | None = None
    power_on_hours: int | None = None
    unsafe_shutdowns: int | None = None
    written: int | None = None
    passed: bool | None = None

    @property
    def is_known(self) -> bool:
        """Whether it said anything."""
        return any(
            value is not None
            for value in (self.wear_percent, self.critical_warning, self.media_errors, self.passed)
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What has to be told; empty where all is well."""
        found = [
            words
            for bit, words in enumerate(_WARNINGS)
            if self.critical_warning is not None and self.critical_warning >> bit & 1
        ]
        if self.critical_warning and self.critical_warning >> len(_WARNINGS):
            found.append(f"it warns with code {self.critical_warning:#04x}")
        if self.passed is False and not found:
            found.append("its own check says that it fails")
        if self.wear_percent is not None and self.wear_percent >= WORN_PERCENT:
            found.append(f"{self.wear_percent} % of its life is used")
        low = self.spare_threshold_percent
        is_short = low is not None and self.spare_percent is not None and self.spare_percent <= low
        if is_short and _WARNINGS[0] not in found:
            found.append(_WARNINGS[0])
        if self.media_errors:
            found.append(f"{self.media_errors} times data could not be read or written")
        return tuple(found)

    @property
    def words(self) -> str:
        """For a person, the most telling first."""
        parts = []
        if self.wear_percent is not None:
            parts.append(f"{self.wear_percent} % worn")
        if self.spare_percent is not None:
            parts.append(f"spare {self.spare_percent} %")
        if self.written is not None:
            parts.append(f"{self.written / 1e12:.1f} TB written")
        if self.temperature_c is not None:
            parts.append(f"{self.temperature_c:.0f} C")
        if self.power_on_hours is not None:
            parts.append(f"{self.power_on_hours} h on")
        return ", ".join(parts) or "unknown"


def nvme_probe(device: str) -> Probe:
    """Ask nvme-cli; root only."""
    ask = as_root(NVME, "smart-log", device, "-o", "json")
    return Probe("nvme", ("timeout", "10", *ask))


def smartctl_probe(device: str) -> Probe:
    """Ask smartmontools; root only."""
    return Probe("smartctl", ("timeout", "10", *as_root(SMARTCTL, "-j", "-a", device)))


def rules_for(device: str) -> tuple[str, ...]:
    """The sudo rules that reading it needs."""
    return (f"{NVME} smart-log {device} -o json", f"{SMARTCTL} -j -a {device}")


def feature() -> Feature:
    """What reading the health of every disk needs as root."""
    rules = tuple(rule for device in DEVICES for rule in rules_for(device))
    return Feature("storage", "read the health of disks", rules)


def health_from(nvme: bytes, smartctl: bytes) -> Health:
    """From whichever of the two said something. Never raises."""
    found = _from_nvme(_object(nvme))
    return found if found.is_known else _from_smartctl(_object(smartctl))


def _object(raw: bytes) -> Mapping[str, object]:
    # Both may print warnings before their document.
    start = raw.find(b"{")
    try:
        found = json.loads(raw[start:]) if start >= 0 else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_nvme(log: Mapping[str, object]) -> Health:
    warning = log.get("critical_warning")
    if isinstance(warning, dict):
        warning = warning.get("value")
    kelvin = _number(log.get("temperature"))
    written = _number(log.get("data_units_written"))
    return Health(
        _number(log.get("percent_used", log.get("percentage_used"))),
        _number(log.get("avail_spare", log.get("available_spare"))),
        _number(log.get("spare_thresh", log.get("available_spare_threshold"))),
        _number(warning),
        _number(log.get("media_errors")),
        None if kelvin is None else kelvin - 273.0,
        _number(log.get("power_on_hours")),
        _number(log.get("unsafe_shutdowns")),
        None if written is None else written * UNIT_BYTES,
    )


def _from_smartctl(report: Mapping[str, object]) -> Health:
    log = _inner(report, "nvme_smart_health_information_log")
    celsius = _number(_inner(report, "temperature").get("current"))
    written = _number(log.get("data_units_written"))
    passed = _inner(report, "smart_status").get("passed")
    return Health(
        _number(log.get("percentage_used")),
        _number(log.get("available_spare")),
        _number(log.get("available_spare_threshold")),
        _number(log.get("critical_warning")),
        _number(log.get("media_errors")),
        None if celsius is None else float(celsius),
        _number(_inner(report, "power_on_time").get("hours")),
        _number(log.get("unsafe_shutdowns")),
        None if written is None else written * UNIT_BYTES,
        passed if isinstance(passed, bool) else None,
    )


def _inner(report: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < 1 << 128 else None
    if isinstance(value, str) and value.replace(",", "").isascii():
        text = value.replace(",", "")
        return int(text) if text.isdigit() and len(text) < 40 else None
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """Health at a wall clock time in s."""

    at_s: float
    health: Health


def wear_per_day(readings: Sequence[Reading]) -> float | None:
    """Percent of its life a day, from the first reading to the last; None within a day."""
    known = [each for each in readings if each.health.wear_percent is not None]
    if len(known) < 2 or known[-1].at_s - known[0].at_s < 86_400:
        return None
    used = (known[-1].health.wear_percent or 0) - (known[0].health.wear_percent or 0)
    return 86_400 * used / (known[-1].at_s - known[0].at_s)


def trend_words(readings: Sequence[Reading]) -> str:
    """How fast it wears, and what came since; empty where nothing can be told."""
    rate = wear_per_day(readings)
    parts = []
    if rate is not None and rate > 0:
        left = 100 - (readings[-1].health.wear_percent or 0)
        parts.append(f"worn out in about {max(0.0, left) / rate:.0f} days at this rate")
    if len(readings) > 1:
        before, now = readings[-2].health, readings[-1].health
        if before.media_errors is not None and now.media_errors is not None:
            new = now.media_errors - before.media_errors
            if new > 0:
                parts.append(f"{new} new media errors")
    return ", ".join(parts)
