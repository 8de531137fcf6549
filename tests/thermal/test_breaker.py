"""The breaker: opens above the threshold, closes only once cooled, fails safe when blind."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.tegra.stats import Zone
from cohete.thermal.breaker import BLIND_S, TRIAL_S, Breaker, BreakerState, step
from cohete.thermal.policy import CONSERVATIVE, limits_of

LIMITS = limits_of(CONSERVATIVE)


def run(*temperatures: float | None, every_s: float = 1.0) -> list[Breaker]:
    breaker = Breaker(0.0, 0.0)
    seen = []
    for nth, celsius in enumerate(temperatures):
        zones = [Zone("cpu", 40.0), Zone("gpu", celsius)] if celsius is not None else []
        breaker = step(breaker, LIMITS, (nth + 1) * every_s, zones)
        seen.append(breaker)
    return seen


def states(*temperatures: float | None) -> list[str]:
    return [str(breaker.state) for breaker in run(*temperatures)]


@pytest.mark.claim("TM-04")
def test_one_cycle() -> None:
    assert states(64, 65, 65.5, 66, 65, 60, 55.5, 55) == [
        "closed", "closed", "open", "open", "cooling", "cooling", "cooling", "half open",
    ]  # fmt: skip
    after = run(66, *([50.0] * 13))
    assert after[1].state is BreakerState.HALF_OPEN
    assert after[-1].state is BreakerState.CLOSED
    closed_at = next(nth for nth, each in enumerate(after) if nth and each.state == "closed")
    assert closed_at - 1 >= TRIAL_S


@pytest.mark.claim("TM-05")
def test_every_zone_counts_and_the_hottest_is_named() -> None:
    for name in ("cpu", "gpu", "soc0", "soc2", "cv1", "tj", "Tdiode"):
        zones = [Zone(other, 40.0) for other in ("cpu", "gpu", "soc0", "soc1", "soc2", "cv1", "tj")]
        zones = [zone for zone in zones if zone.name != name] + [Zone(name, 66.0)]
        opened = step(Breaker(0, 0), LIMITS, 1.0, zones)
        assert opened.state is BreakerState.OPEN
        assert opened.reason == f"{name} at 66.0 C, above 65 C"


def test_constants_and_the_carrier_board_do_not_count() -> None:
    zones = [Zone("PMIC", 100.0), Zone("Tboard", 90.0), Zone("iwlwifi", 80.0), Zone("cpu", 40.0)]
    assert step(Breaker(0, 0), LIMITS, 1.0, zones).state is BreakerState.CLOSED


@pytest.mark.claim("TM-03")
def test_without_temperatures_it_opens() -> None:
    seen = run(40, None, None, None, None)
    assert seen[1].state is BreakerState.CLOSED
    assert seen[-1].state is BreakerState.OPEN
    assert seen[-1].reason == f"no temperature for {BLIND_S + 1:.0f} s"
    assert seen[-1].celsius is None
    gated = step(Breaker(0, 0), LIMITS, 4.0, [Zone("gpu", None)])
    assert gated.state is BreakerState.OPEN
    old = step(Breaker(0, 0), LIMITS, 4.0, [Zone("gpu", 40.0)], fresh=False)
    assert old.state is BreakerState.OPEN
    # What it sees again has to be cool first.
    assert step(old, LIMITS, 5.0, [Zone("gpu", 60.0)]).state is BreakerState.COOLING
    assert step(old, LIMITS, 5.0, [Zone("gpu", 55.0)]).state is BreakerState.HALF_OPEN


@pytest.mark.claim("TM-12")
def test_the_warning_comes_first() -> None:
    seen = run(59, 60, 64, 66)
    assert [breaker.is_warning for breaker in seen] == [False, True, True, False]


@pytest.mark.claim("TM-04")
@given(st.lists(st.one_of(st.none(), st.floats(30, 90)), max_size=120))
def test_properties_of_every_trace(trace: list[float | None]) -> None:
    seen = [Breaker(0.0, 0.0), *run(*trace)]
    for before, after in pairwise(seen):
        if after.celsius is not None and after.seen_s > before.seen_s:
            if after.celsius > LIMITS.threshold_c:
                assert after.state is BreakerState.OPEN
            if after.allows_work and not before.allows_work:
                assert after.celsius <= LIMITS.cooldown_c
            hottest = max(40.0, after.celsius)
            assert after.celsius == hottest
        assert after.trips - before.trips in (0, 1)
    # Between two openings it has been allowed to work again: no flapping inside the hysteresis.
    opened = [n for n, (a, b) in enumerate(pairwise(seen)) if a.allows_work and not b.allows_work]
    resumed = [n for n, (a, b) in enumerate(pairwise(seen)) if b.allows_work and not a.allows_work]
    assert len(opened) - len(resumed) in (0, 1)
