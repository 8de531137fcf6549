"""A coming over-temperature is announced: on labelled traces of a warming board."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.simulator.modules import BY_KEY
from cohete.simulator.thermal import ThermalState
from cohete.thermal.forecast import HORIZON_S, forecast
from cohete.thermal.policy import Pair, Policy, limits_of

LIMITS = limits_of(Policy("test", Pair(75, 65), 1.0))
SECONDS = 600


@dataclass(frozen=True)
class Trace:
    """One sample a second, to the resolution of a sensor; `breach_s` None where it never is."""

    celsius: list[float]
    breach_s: int | None


def trace(seed: int) -> Trace:
    """A board of some kind whose load changes now and then."""
    rng = random.Random(seed)
    module = BY_KEY[rng.choice(["orin-nano-8gb", "orin-nx-16gb", "agx-orin-64gb", "nano"])]
    ambient = rng.uniform(20, 45)
    fan = rng.choice([0.0, 0.2, 0.5])
    most = module.idle_w + module.cpu_w + module.gpu_w
    state = ThermalState(module.cooling, ambient + 10, ambient + 8)
    state.advance(200, power_w=module.idle_w, fan=fan, ambient_c=ambient)
    power = module.idle_w
    found: list[float] = []
    for second in range(SECONDS):
        if second % 120 == 20:
            power = module.idle_w + rng.uniform(0.1, 1.0) * (most - module.idle_w)
        state.advance(1, power_w=power, fan=fan, ambient_c=ambient)
        noisy = state.die_c + rng.gauss(0, 0.3)
        found.append(round(noisy * 2) / 2)
    breach = next((at for at, celsius in enumerate(found) if celsius > LIMITS.threshold_c), None)
    return Trace(found, breach)


def first_warning(measured: Trace) -> int | None:
    """When the forecast first tells of a crossing; None where it does not, or not in time."""
    end = SECONDS if measured.breach_s is None else measured.breach_s
    for at in range(end):
        begin = max(0, at - 60)
        ahead = forecast(
            [float(second) for second in range(begin, at + 1)],
            measured.celsius[begin : at + 1],
            LIMITS.threshold_c,
        )
        if ahead.is_near:
            return at
    return None


@pytest.mark.claim("TM-09")
def test_no_breach_is_missed_and_few_warnings_are_false() -> None:
    traces = [trace(seed) for seed in range(160)]
    warned = [(each, first_warning(each)) for each in traces]
    breaches = [(each, at) for each, at in warned if each.breach_s is not None]
    missed = [each for each, at in breaches if at is None]
    false = [each for each, at in warned if each.breach_s is None and at is not None]
    leads = sorted(each.breach_s - at for each, at in breaches if at is not None and each.breach_s)
    assert len(breaches) >= 20
    assert len(traces) - len(breaches) >= 20
    assert missed == []
    assert len(false) <= 0.3 * (len(false) + len(breaches))
    # The lead time that the module's docstring states.
    assert leads[len(leads) // 2] >= 60
    assert min(leads) >= 3


@pytest.mark.parametrize("module", ["orin-nano-8gb", "agx-orin-64gb", "nano"])
@pytest.mark.parametrize("begin_s", [45, 60, 90])
def test_the_time_to_the_threshold_of_a_known_curve(module: str, begin_s: int) -> None:
    times = [float(second) for second in range(begin_s)]
    kind = BY_KEY[module]
    power = kind.idle_w + kind.cpu_w + kind.gpu_w
    state = ThermalState(kind.cooling, 40, 40)
    curve = []
    for _ in times:
        curve.append(state.die_c)
        state.advance(1, power_w=power, fan=0, ambient_c=25)
    state = ThermalState(kind.cooling, state.die_c, state.sink_c)
    later = []
    for _ in range(40):
        later.append(state.die_c)
        state.advance(1, power_w=power, fan=0, ambient_c=25)
    threshold = later[15]
    ahead = forecast(times, curve, threshold)
    assert ahead.crosses_in_s is not None
    assert 4 <= ahead.crosses_in_s <= 60


def test_words_and_corners() -> None:
    rising = [40 + second * 0.5 for second in range(40)]
    times = [float(second) for second in range(40)]
    ahead = forecast(times, rising, 65)
    assert ahead.crosses_in_s == pytest.approx(11, abs=1)
    assert ahead.words == "threshold in about 11 s"
    assert forecast(times, rising, 75).crosses_in_s is None
    assert ahead.slope_c_per_min == pytest.approx(30, abs=0.1)
    assert forecast(times, rising, 72).words == ""
    assert forecast(times, rising, 50).crosses_in_s == 0
    assert forecast(times, list(reversed(rising)), 70).crosses_in_s is None
    assert forecast([], [], 70).crosses_in_s is None
    assert forecast(times[:3], rising[:3], 70).crosses_in_s is None
    assert HORIZON_S == 30


@given(st.lists(st.floats(-40, 130) | st.just(float("nan")), max_size=80), st.floats(30, 105))
def test_nothing_raises(values: list[float], threshold: float) -> None:
    ahead = forecast([float(nth) for nth in range(len(values))], values, threshold)
    assert ahead.crosses_in_s is None or ahead.crosses_in_s >= 0
