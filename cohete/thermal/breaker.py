"""The thermal circuit breaker as a pure state machine over time and temperatures.

    closed --above threshold, or no temperature--> open --at or below threshold--> cooling
    cooling --above threshold--> open      cooling --at or below cooldown--> half open
    half open --above threshold--> open    half open --some seconds without--> closed

Work may run while it is closed or half open. Between cooldown and threshold nothing changes: that
is the hysteresis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cohete.tegra.rules import hottest_zone
from cohete.tegra.stats import Zone
from cohete.thermal.policy import Limits

TRIAL_S = 10.0
"""How long work has to run without a crossing before the breaker counts as closed again."""
BLIND_S = 3.0
"""So long without any temperature is as bad as too hot; one missing sample is not."""


class BreakerState(StrEnum):
    """Where a breaker stands, in a word a person reads."""

    CLOSED = "closed"
    OPEN = "open"
    COOLING = "cooling"
    HALF_OPEN = "half open"

    @property
    def allows_work(self) -> bool:
        """Whether work may run."""
        return self in (BreakerState.CLOSED, BreakerState.HALF_OPEN)


GLYPHS = {
    BreakerState.CLOSED: "●",
    BreakerState.OPEN: "○",
    BreakerState.COOLING: "◔",
    BreakerState.HALF_OPEN: "◑",
}


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker at a moment. Times are monotonic seconds, temperatures C; None is unknown."""

    since_s: float
    seen_s: float
    state: BreakerState = BreakerState.CLOSED
    reason: str = ""
    """Why it is not closed, naming the hottest zone."""
    zone: str = ""
    celsius: float | None = None
    trips: int = 0
    is_warning: bool = False
    """Closed, and at or above the warning level."""

    @property
    def allows_work(self) -> bool:
        """Whether work may run."""
        return self.state.allows_work


def step(
    breaker: Breaker,
    limits: Limits,
    now_s: float,
    zones: Sequence[Zone],
    *,
    fresh: bool = True,
    blind_s: float = BLIND_S,
) -> Breaker:
    """What becomes of a breaker at `now_s`, with the zones that were just read.

    Every zone of the module counts, the hottest decides and is named. Zones that are not `fresh`,
    or none with a value, leave it as it is for `blind_s` and open it then.
    """
    hottest = hottest_zone(zones) if fresh else None
    if hottest is None or hottest.celsius is None:
        return _blind(breaker, now_s, blind_s)
    celsius = hottest.celsius
    seen = replace(
        breaker, seen_s=now_s, zone=hottest.name, celsius=celsius,
        is_warning=breaker.state is BreakerState.CLOSED and celsius >= limits.warning_c,
    )  # fmt: skip
    if celsius > limits.threshold_c:
        if seen.state is BreakerState.OPEN:
            return seen
        reason = f"{hottest.name} at {celsius:.1f} C, above {limits.threshold_c:g} C"
        return _to(seen, BreakerState.OPEN, now_s, reason, trips=breaker.trips + 1)
    if seen.state in (BreakerState.OPEN, BreakerState.COOLING):
        if celsius <= limits.cooldown_c:
            return _to(seen, BreakerState.HALF_OPEN, now_s, "work runs again on trial")
        reason = f"{hottest.name} at {celsius:.1f} C, waiting for {limits.cooldown_c:g} C"
        if seen.state is BreakerState.OPEN:
            return _to(seen, BreakerState.COOLING, now_s, reason)
        return replace(seen, reason=reason)
    if seen.state is BreakerState.HALF_OPEN and now_s - seen.since_s >= TRIAL_S:
        return _to(seen, BreakerState.CLOSED, now_s, "")
    return seen


def _blind(breaker: Breaker, now_s: float, blind_s: float) -> Breaker:
    if now_s - breaker.seen_s < blind_s:
        return breaker
    blind = replace(breaker, celsius=None, zone="", is_warning=False)
    reason = f"no temperature for {now_s - breaker.seen_s:.0f} s"
    if blind.state is BreakerState.OPEN:
        return replace(blind, reason=reason)
    trips = breaker.trips + (1 if breaker.allows_work else 0)
    return _to(blind, BreakerState.OPEN, now_s, reason, trips=trips)


def _to(
    breaker: Breaker, state: BreakerState, now_s: float, reason: str, *, trips: int | None = None
) -> Breaker:
    return replace(
        breaker, state=state, since_s=now_s, reason=reason, is_warning=False,
        trips=breaker.trips if trips is None else trips,
    )  # fmt: skip
