"""Limits of a policy by mode, ambient and module."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.thermal.policy import (
    AGGRESSIVE,
    CONSERVATIVE,
    TRIP_MARGIN_C,
    Ambient,
    Pair,
    Policy,
    estimated_ambient_c,
    limits_of,
)


def test_the_built_in_policies() -> None:
    limits = limits_of(CONSERVATIVE)
    assert (limits.threshold_c, limits.cooldown_c, limits.interval_s) == (65, 55, 0.5)
    assert limits.warning_c == 60
    limits = limits_of(AGGRESSIVE)
    assert (limits.threshold_c, limits.cooldown_c, limits.interval_s) == (75, 65, 1.0)
    assert limits.margin_c(80) == -5


@pytest.mark.claim("TM-11")
def test_limits_follow_the_mode_by_its_name() -> None:
    policy = Policy("lab", Pair(80, 70), 1.0, modes={"7W": Pair(60, 50)})
    assert limits_of(policy, mode="MAXN").threshold_c == 80
    small = limits_of(policy, mode="7w")
    assert (small.threshold_c, small.cooldown_c) == (60, 50)
    assert small.why == ("mode 7w",)


@pytest.mark.claim("TM-14")
def test_limits_shift_with_the_ambient_temperature() -> None:
    policy = Policy("hall", Pair(80, 70), 1.0, ambient=Ambient(25, 0.3, 5))
    cool, warm = limits_of(policy, ambient_c=20), limits_of(policy, ambient_c=35)
    assert cool.threshold_c == 81.5
    assert warm.threshold_c == 77.0
    assert warm.why == ("ambient 35 C: -3.0 C",)
    assert limits_of(policy, ambient_c=90).threshold_c == 75
    assert limits_of(policy).threshold_c == 80
    assert estimated_ambient_c(38.0, 12.0) == 26.0


def test_never_above_where_the_module_throttles() -> None:
    policy = Policy("brave", Pair(104, 100), 1.0)
    limits = limits_of(policy, trip_c=99)
    assert limits.threshold_c == 97
    assert limits.cooldown_c < 97
    assert limits.why == ("the module throttles at 99 C",)


def test_it_need_not_cool_below_the_air() -> None:
    limits = limits_of(CONSERVATIVE, ambient_c=54)
    assert limits.cooldown_c == 59
    assert limits.threshold_c == 65


@given(
    st.floats(30, 104), st.floats(1, 40), st.floats(-40, 90), st.floats(60, 110),
    st.floats(0, 2), st.floats(0, 20),
)  # fmt: skip
def test_limits_are_always_in_order(
    threshold: float, gap: float, ambient: float, trip: float, per: float, most: float
) -> None:
    policy = Policy("any", Pair(threshold, threshold - gap), 1.0, ambient=Ambient(25, per, most))
    limits = limits_of(policy, ambient_c=ambient, trip_c=trip)
    assert limits.cooldown_c < limits.threshold_c
    assert limits.cooldown_c <= limits.warning_c <= limits.threshold_c
    assert limits.threshold_c <= trip - TRIP_MARGIN_C
    assert limits.threshold_c <= threshold + most
