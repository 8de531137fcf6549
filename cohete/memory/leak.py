"""Whether a process leaks: its memory grows, and what it gives back never reaches as low. Pure.

The first part of a series is left out as warm-up. The rest is cut into parts; a leak is where the
lowest value rises from part to part, in the later half as in the whole, by no less than a rate
that matters. Caches that fill and models that load stop growing; garbage that is collected returns
to where it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WARM_UP_SHARE = 0.25
PARTS = 4
MIN_SPAN_S = 600.0
MIN_SAMPLES = 48
LEAST_MB_PER_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Leak:
    """How fast it grows."""

    mb_per_min: float
    grown_mb: float

    @property
    def words(self) -> str:
        """For a person."""
        return f"grows by {self.mb_per_min:.1f} MB a minute, {self.grown_mb:.0f} MB so far"


def find_leak(times_s: Sequence[float], rss_mb: Sequence[float]) -> Leak | None:
    """From samples of a process, oldest first; None where it does not leak, or too little is known.

    `times_s` in seconds, `rss_mb` in MiB.
    """
    if len(times_s) < MIN_SAMPLES or times_s[-1] - times_s[0] < MIN_SPAN_S:
        return None
    begin = times_s[0] + WARM_UP_SHARE * (times_s[-1] - times_s[0])
    kept = [(at, mb) for at, mb in zip(times_s, rss_mb, strict=True) if at >= begin]
    if len(kept) < PARTS * 4:
        return None
    floors = _floors(kept)
    steps = [after[1] - before[1] for before, after in pairwise(floors)]
    if sum(step > 0 for step in steps) < len(steps) - 1:
        return None
    whole = _rate(floors)
    late = _rate(floors[len(floors) // 2 - 1 :])
    if whole < LEAST_MB_PER_MIN or late < 0.5 * whole:
        return None
    # A single step, as of one more model loaded, is no leak: without it nothing would grow.
    if max(steps) > 0.7 * sum(steps):
        return None
    return Leak(whole, floors[-1][1] - floors[0][1])


def _floors(kept: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Middle of each part, and the mean of its lowest quarter: one outlier is no floor."""
    size = len(kept) / PARTS
    found = []
    for nth in range(PARTS):
        part = kept[int(nth * size) : int((nth + 1) * size)]
        lowest = sorted(mb for _, mb in part)[: max(1, len(part) // 4)]
        found.append((statistics.fmean(at for at, _ in part), statistics.fmean(lowest)))
    return found


def _rate(floors: Sequence[tuple[float, float]]) -> float:
    """MiB a minute: the median of the slopes between all pairs (Theil-Sen)."""
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0])
        for nth, a in enumerate(floors)
        for b in floors[nth + 1 :]
        if b[0] > a[0]
    ]
    return 60 * statistics.median(slopes) if slopes else 0.0
