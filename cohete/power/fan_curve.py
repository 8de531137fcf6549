"""The fan curves of a board's nvfancontrol.conf: how fast the fan is to turn at which heat. Pure.

Rows are temperature, hysteresis, PWM and RPM. With `TMARGIN ENABLED` the first column is how far
the board is below `GROUP_MAX_TEMP`, so that 0 is the hottest row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

MAX_PROFILES, MAX_POINTS = 16, 64
DEFAULT_MAX_C = 105.0
"""Where the file names no GROUP_MAX_TEMP."""

_MARGIN = re.compile(r"^\s*TMARGIN\s+ENABLED\b", re.MULTILINE)
_MAX = re.compile(r"^\s*GROUP_MAX_TEMP\s+(\d{1,3})\b", re.MULTILINE | re.ASCII)
_PROFILE = re.compile(r"^\s*FAN_PROFILE\s+([A-Za-z0-9_]{1,32})\s*\{([^{}]{0,8192})\}", re.M | re.A)
_ROW = re.compile(r"^\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\d{1,6})\s*$", re.ASCII)


class FanPoint(NamedTuple):
    """At this temperature (C), this speed: PWM 0 to 255, and RPM."""

    temperature_c: float
    pwm: int
    rpm: int


@dataclass(frozen=True, slots=True)
class FanCurve:
    """A profile; points from cold to hot."""

    profile: str
    points: tuple[FanPoint, ...]

    def pwm_at(self, temperature_c: float) -> float | None:
        """PWM at a temperature, straight between the points; None without points."""
        if not self.points:
            return None
        if temperature_c <= self.points[0].temperature_c:
            return float(self.points[0].pwm)
        for before, after in pairwise(self.points):
            if temperature_c <= after.temperature_c:
                width = after.temperature_c - before.temperature_c
                share = (temperature_c - before.temperature_c) / width if width else 1.0
                return before.pwm + share * (after.pwm - before.pwm)
        return float(self.points[-1].pwm)


def parse_curves(conf: str) -> tuple[FanCurve, ...]:
    """Every profile of a file, in its order. Never raises."""
    found_max = _MAX.search(conf)
    max_c = float(found_max[1]) if found_max else DEFAULT_MAX_C
    is_margin = _MARGIN.search(conf) is not None
    curves: dict[str, FanCurve] = {}
    for name, body in _PROFILE.findall(conf)[:MAX_PROFILES]:
        rows = [match for line in body.splitlines() if (match := _ROW.match(line))]
        points = sorted(
            FanPoint(
                max_c - float(row[1]) if is_margin else float(row[1]),
                min(255, int(row[3])),
                int(row[4]),
            )
            for row in rows[:MAX_POINTS]
        )
        curves.setdefault(name, FanCurve(name, tuple(points)))
    return tuple(curves.values())
