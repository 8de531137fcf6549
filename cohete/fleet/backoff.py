"""When to try again: full jitter, so that a site that comes back is not met by a storm."""

from __future__ import annotations

import random

BASE_S = 0.5
STABLE_S = 10.0
"""A device that stayed live this long starts from the shortest delay again."""


def cap_s(devices: int) -> float:
    """The longest delay for a fleet of this size: recovery takes about that long."""
    return min(60.0, max(5.0, devices / 50))


def delay_s(failures: int, cap: float, rng: random.Random) -> float:
    """A delay between 0 and min(cap, base * 2^failures)."""
    return rng.uniform(0.0, min(cap, BASE_S * 2 ** min(failures, 20)))
