"""Temperatures of a board from the kernel's own files: zones, and the points where it acts.

Format: `grep -s .` of the thermal zones in sysfs, `path:value`; thousandths of a degree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.links.commands import Probe
from cohete.tegra.rules import NOT_THE_MODULE, hottest_zone
from cohete.tegra.stats import Zone
from cohete.text import decode, sanitise

_ZONES = "/sys/class/thermal/thermal_zone*"
THERMAL = Probe("thermal", ("sh", "-c", f"grep -s . {_ZONES}/type {_ZONES}/temp"))
_LINE = re.compile(
    r"^/sys/class/thermal/thermal_zone(\d{1,3})/(?:(type)|(temp)|trip_point_(\d{1,2})_(type|temp))"
    r":(.{1,64})$",
    re.MULTILINE | re.ASCII,
)
_SUFFIX = re.compile(r"[-_]?(thermal|therm|die)$", re.IGNORECASE)
_LOWEST_C, _HIGHEST_C = -40.0, 200.0
MAX_ZONES = 64
LOWEST_THROTTLE_C = 60.0
"""Nothing is throttled below; what says so is about something else, or cut off."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A point where the kernel acts: passive throttles, critical switches the board off."""

    zone: str
    kind: str
    celsius: float


def zones_from(section: bytes) -> list[Zone]:
    """Zones with a value that can be true; a gated or broken one has None. Never raises."""
    names: dict[str, str] = {}
    values: dict[str, float | None] = {}
    for number, is_type, is_temp, _, _, text in _LINE.findall(decode(section)):
        if is_type and len(names) < MAX_ZONES:
            names[number] = zone_name(text)
        elif is_temp:
            values[number] = _celsius(text)
    return [Zone(name, values.get(number)) for number, name in names.items()]


def hottest_from(section: bytes) -> Zone | None:
    """The hottest zone of the module itself; None where none can be read."""
    return hottest_zone(zones_from(section))


def trips_from(section: bytes) -> list[Trip]:
    """Every trip point with a temperature that can be true. Never raises."""
    names: dict[str, str] = {}
    kinds: dict[tuple[str, str], str] = {}
    values: dict[tuple[str, str], float | None] = {}
    for number, is_type, _, trip, part, text in _LINE.findall(decode(section)):
        if is_type:
            names[number] = zone_name(text)
        elif trip and part == "type":
            kinds[number, trip] = sanitise(text.strip(), 16)
        elif trip:
            values[number, trip] = _celsius(text)
    return [
        Trip(names.get(key[0], ""), kinds[key], celsius)
        for key, celsius in values.items()
        if celsius is not None and key in kinds
    ]


def throttle_from(section: bytes) -> float | None:
    """The lowest temperature in C at which the kernel throttles the module; None is not told.

    Zones of the carrier board and constants do not count, nor points that only drive the fan.
    """
    points = [
        trip.celsius
        for trip in trips_from(section)
        if trip.kind == "passive"
        and trip.celsius >= LOWEST_THROTTLE_C
        and not trip.zone.lower().startswith(tuple(NOT_THE_MODULE))
    ]
    return min(points, default=None)


def zone_name(text: str) -> str:
    """A zone's type without what all of them end in: `cpu-thermal` is cpu."""
    name = sanitise(text.strip(), 32)
    return _SUFFIX.sub("", name) or name


def _celsius(text: str) -> float | None:
    try:
        celsius = int(text.strip()) / 1000
    except ValueError:
        return None
    return celsius if _LOWEST_C <= celsius <= _HIGHEST_C and celsius != 0 else None
