"""Whether the hardware already holds a board back, and why: heat, over-current, or its mode. Pure.

Sources: the kernel's cooling devices (a state above 0 is heat), the over-current counters of the
power monitor (`oc*_event_cnt`, counted since boot), and the highest clock that is allowed now
beside the highest the power mode allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_COOLING = re.compile(
    r"^/sys/class/thermal/cooling_device(\d{1,3})/(type|cur_state):(.{1,64})$",
    re.MULTILINE | re.ASCII,
)
_EVENTS = re.compile(
    r"^/sys/class/hwmon/hwmon\d{1,3}/(oc\d{1,2})_event_cnt:(\d{1,12})$", re.MULTILINE | re.ASCII
)
_CPU_KHZ = re.compile(
    r"^/sys/devices/system/cpu/cpu0/cpufreq/(scaling|cpuinfo)_max_freq:(\d{1,9})$",
    re.MULTILINE | re.ASCII,
)
_FAN = re.compile(r"fan", re.IGNORECASE)


class Cause(StrEnum):
    """What holds a board back."""

    HEAT = "heat"
    OVER_CURRENT = "over-current"
    MODE = "power mode"


@dataclass(frozen=True, slots=True)
class Throttling:
    """One cause, with its evidence in words."""

    cause: Cause
    words: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What the kernel says of it at a moment: cooling states, event counts since boot, clocks."""

    cooling: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    clocks_mhz: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


def held_back_from(text: str) -> HeldBack:
    """From the files of one `grep`. Never raises."""
    khz = {name: int(value) / 1000 for name, value in _CPU_KHZ.findall(text)}
    cooling = cooling_states(text)
    clocks = {}
    cooled = any("cpufreq" in name and state > 0 for name, state in cooling.items())
    if len(khz) == 2 and not cooled:
        # Nothing cools it: what is allowed is what the mode allows.
        clocks["CPU"] = (khz["scaling"], khz["scaling"], khz["cpuinfo"])
    return HeldBack(cooling, event_counts(text), clocks)


def cooling_states(text: str) -> dict[str, int]:
    """Cooling devices that are no fans, each with its state; 0 is idle. Never raises."""
    kinds: dict[str, str] = {}
    states: dict[str, int] = {}
    for number, part, value in _COOLING.findall(text):
        if part == "type":
            kinds[number] = value.strip()[:32]
        elif value.strip().isascii() and value.strip().isdigit():
            states[number] = int(value.strip()[:9])
    found: dict[str, int] = {}
    for number, kind in kinds.items():
        if number in states and not _FAN.search(kind):
            found[kind] = max(found.get(kind, 0), states[number])
    return found


def event_counts(text: str) -> dict[str, int]:
    """Over-current events since boot by counter. Never raises."""
    found: dict[str, int] = {}
    for name, count in _EVENTS.findall(text):
        found[name] = found.get(name, 0) + int(count)
    return found


def throttled_by(
    cooling: Mapping[str, int],
    events: Mapping[str, int],
    events_before: Mapping[str, int] | None,
    clocks_mhz: Mapping[str, tuple[float, float, float]] | None = None,
) -> list[Throttling]:
    """Every cause that acts now.

    `events_before`: the same counters at the last look; None is unknown, and then nothing is
    blamed on them. `clocks_mhz` by unit: (allowed now, the mode's cap, the hardware's highest).
    """
    found = []
    hot = {name: state for name, state in cooling.items() if state > 0}
    if hot:
        names = ", ".join(f"{name} {state}" for name, state in sorted(hot.items()))
        found.append(Throttling(Cause.HEAT, f"the kernel cools: {names}"))
    if events_before is not None:
        new = {
            name: count - events_before[name]
            for name, count in events.items()
            # A counter that was not there, or that a restart began anew, says nothing yet.
            if name in events_before and count > events_before[name]
        }
        if new:
            names = ", ".join(f"{name} {count}" for name, count in sorted(new.items()))
            found.append(Throttling(Cause.OVER_CURRENT, f"over-current events since: {names}"))
    for unit, (allowed, cap, highest) in sorted((clocks_mhz or {}).items()):
        if allowed < highest and allowed >= cap:
            found.append(
                Throttling(Cause.MODE, f"{unit} at most {cap:.0f} of {highest:.0f} MHz by its mode")
            )
    return found
