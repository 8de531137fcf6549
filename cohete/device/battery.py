"""A board on a battery: how full, how long it will last. Pure.

Format: `grep -s .` of the kernel's power supplies in sysfs, `path:value`; millionths of W, Wh, A,
Ah and V.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^/sys/class/power_supply/([A-Za-z0-9_.-]{1,64})/"
    r"(type|status|online|capacity|energy_now|power_now|charge_now|current_now|voltage_now)"
    r":(.{1,32})$",
    re.MULTILINE | re.ASCII,
)
_MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Battery:
    """`percent` of full, `draw_w` taken from it, `runtime_min` at that draw; None is unknown."""

    discharging: bool
    percent: int | None = None
    draw_w: float | None = None
    runtime_min: float | None = None

    @property
    def words(self) -> str:
        """For a person: `on battery, 40 %, about 95 min left`."""
        parts = ["on battery" if self.discharging else "on mains"]
        if self.percent is not None:
            parts.append(f"{self.percent} %")
        if self.discharging and self.runtime_min is not None:
            parts.append(f"about {self.runtime_min:.0f} min left")
        return ", ".join(parts)


def battery_from(text: str) -> Battery | None:
    """The battery of a board; None where it has none. Never raises.

    With several, what they hold and what they give adds up.
    """
    supplies: dict[str, dict[str, str]] = {}
    for name, part, value in _LINE.findall(text):
        supplies.setdefault(name, {})[part] = value.strip()
    batteries = [each for each in supplies.values() if each.get("type") == "Battery"]
    if not batteries:
        return None
    discharging = any(each.get("status") == "Discharging" for each in batteries)
    percents = [p for each in batteries if (p := _number(each, "capacity")) is not None]
    energy = [_energy_wh(each) for each in batteries]
    draw = [_draw_w(each) for each in batteries]
    held_wh = None if None in energy else sum(value or 0.0 for value in energy)
    draw_w = None if None in draw else sum(value or 0.0 for value in draw)
    runtime = None
    if discharging and held_wh is not None and draw_w:
        runtime = 60 * held_wh / draw_w
    percent = round(sum(percents) / len(percents)) if percents else None
    if percent is not None and not 0 <= percent <= 100:
        percent = None
    return Battery(discharging, percent, draw_w, runtime)


def _energy_wh(supply: dict[str, str]) -> float | None:
    energy = _number(supply, "energy_now")
    if energy is not None:
        return energy / _MICRO
    charge, voltage = _number(supply, "charge_now"), _number(supply, "voltage_now")
    return None if charge is None or voltage is None else charge * voltage / _MICRO / _MICRO


def _draw_w(supply: dict[str, str]) -> float | None:
    power = _number(supply, "power_now")
    if power is not None:
        return abs(power) / _MICRO
    current, voltage = _number(supply, "current_now"), _number(supply, "voltage_now")
    return None if current is None or voltage is None else abs(current * voltage) / _MICRO / _MICRO


def _number(supply: dict[str, str], name: str) -> float | None:
    text = supply.get(name, "")
    digits = text.removeprefix("-")
    return float(text) if digits.isascii() and digits.isdigit() and len(digits) < 13 else None
