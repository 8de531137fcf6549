"""Where a board is not as its power mode says. Pure.

Format: lines of `nvpmodel -q --verbose`, `PARAM x: ARG y: PATH p: REAL_VAL: r CONF_VAL: c`, as
captured from R32 to R36; without root some are missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"PARAM ([A-Za-z0-9_]{1,48}): ARG ([A-Za-z0-9_]{1,48}): PATH (\S{1,200}): "
    r"REAL_VAL: (\S{1,32}) CONF_VAL: (\S{1,32})",
    re.ASCII,
)
_NO_CAP = frozenset({"-1", "2147483647", "0"})
MAX_CHARS = 262_144


@dataclass(frozen=True, slots=True)
class Drift:
    """One value that is not as configured; both as nvpmodel prints them."""

    param: str
    arg: str
    path: str
    real: str
    configured: str

    def __str__(self) -> str:
        return f"{self.param} {self.arg} is {self.real}, the mode says {self.configured}"


def parse_drift(text: str) -> list[Drift]:
    """What differs, in the order printed. Never raises.

    Where several parameters write the same file, as the two of GPU power control do, the last of
    them is what the mode means. No cap, as configured, allows every value.
    """
    meant: dict[str, Drift] = {}
    for found in _LINE.finditer(text[:MAX_CHARS]):
        drift = Drift(*found.groups())
        meant[drift.path] = drift
    return [drift for drift in meant.values() if _differs(drift)]


def _differs(drift: Drift) -> bool:
    if drift.real == drift.configured:
        return False
    return not (drift.arg.endswith("_FREQ") and drift.configured in _NO_CAP)
