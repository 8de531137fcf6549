"""What the fleet knows: totals, ages, history, events."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.errors import CoheteError
from cohete.fleet.backoff import cap_s, delay_s
from cohete.fleet.export import device_as_dict, totals_as_dict
from cohete.fleet.recent import HISTORY_SAMPLES, MOST, SERIES, STEPS, History
from cohete.fleet.state import FLAP_LIMIT, TRIES_KEPT, State, Try
from cohete.fleet.store import FleetStore
from cohete.tegra import parse
from tests import lines
from tests.fakes import spec


def store_of(*names: str) -> FleetStore:
    return FleetStore([spec(name) for name in names], ManualClock(), "lab")


def feed(store: FleetStore, name: str, line: str) -> None:
    stats = parse(line)
    assert stats is not None
    store.apply(store[name], stats)


def advance(store: FleetStore, seconds: float) -> None:
    assert isinstance(store.clock, ManualClock)
    store.clock.step(seconds)


@pytest.mark.claim("FO-05")
def test_totals_are_the_sum_of_the_live_devices() -> None:
    store = store_of("a", "b", "c", "d")
    feed(store, "a", lines.ORIN_R36)
    advance(store, 2)
    feed(store, "b", lines.NANO)
    feed(store, "c", lines.ORIN_R35)
    store.set_state(store["c"], State.LOST, "gone")
    totals = store.totals()
    assert (totals.devices, totals.live, totals.lost, totals.connecting) == (4, 2, 1, 1)
    assert totals.ram_used_mb == 5207 + 1923
    assert totals.ram_total_mb == 7620 + 3964
    assert totals.power_mw == 12479 + 1750
    assert totals.measured_power == 2
    assert totals.oldest_age_s == 2
    assert totals_as_dict(totals, "lab")["power_mw"] == 14229


@pytest.mark.claim("FO-05")
def test_a_dead_device_is_never_counted_as_well() -> None:
    store = store_of("a")
    feed(store, "a", lines.NANO)
    store.set_state(store["a"], State.STALE)
    totals = store.totals()
    assert (totals.live, totals.stale) == (0, 1)
    assert totals.power_mw is None
    assert totals.oldest_age_s is None


def test_hot_devices_are_counted() -> None:
    store = store_of("a")
    feed(store, "a", "RAM 1/2MB tj@85C")
    assert store.totals().hot == 1


@pytest.mark.claim("DDC-15")
def test_a_value_carries_its_age() -> None:
    store = store_of("a")
    assert store["a"].age_s(store.clock.monotonic()) is None
    feed(store, "a", lines.NANO)
    advance(store, 12.5)
    assert store["a"].age_s(store.clock.monotonic()) == 12.5
    assert device_as_dict(store["a"], store)["age_s"] == 12.5


def test_changes_are_told_once() -> None:
    store = store_of("a", "b")
    store.take_changed()
    feed(store, "b", lines.NANO)
    assert store.take_changed() == {1}
    assert store.take_changed() == set()
    assert store["b"].version > store["a"].version


def test_ids_are_unique() -> None:
    with pytest.raises(CoheteError):
        store_of("a", "a")


def test_events_are_numbered_and_bounded() -> None:
    store = store_of("a")
    for _ in range(1500):
        store.event(None, "x", "y")
    assert len(store.events) == 1000
    assert store.events[-1].number == 1500


def test_export_keeps_unknown_apart_from_zero() -> None:
    store = store_of("a")
    document = device_as_dict(store["a"], store)
    assert document["gpu_percent"] is None
    assert document["sample"] is None
    feed(store, "a", lines.THOR_R38)
    document = device_as_dict(store["a"], store)
    assert document["gpu_percent"] is None
    assert document["power_mw"] == 19780


_value = st.none() | st.floats(-1000, 1000) | st.just(math.nan)
_rows = st.lists(st.tuples(*[_value] * len(SERIES)), max_size=30)


def _are_near(values: list[float], came: list[float | None]) -> bool:
    """Whether each is what came to half a step, at its bound where that is beyond it."""
    return all(
        math.isnan(value)
        if each is None or math.isnan(each)
        else abs(value - max(-MOST, min(MOST, each))) <= 0.501 / STEPS
        for value, each in zip(values, came, strict=True)
    )


@given(_rows, st.integers(0, 2 * HISTORY_SAMPLES))
def test_history_is_the_tail_of_what_came(
    rows: list[tuple[float | None, ...]], already: int
) -> None:
    history = History()
    everything: list[tuple[float | None, ...]] = []
    for nth, row in enumerate([(1.0,) * len(SERIES)] * already + rows):
        history.add(float(nth), row)
        everything.append(row)
    kept = everything[-HISTORY_SAMPLES:]
    assert len(history) == len(kept)
    assert history.times() == [float(n) for n in range(len(everything))][-HISTORY_SAMPLES:]
    for at, name in enumerate(SERIES):
        values = history.values(name)
        assert _are_near(values, [row[at] for row in kept])
        for last in (0, 1, 7, HISTORY_SAMPLES, HISTORY_SAMPLES + 5):
            tail = history.values(name, last)
            assert len(tail) == min(last, len(kept))
            assert all(
                a == b or (a != a and b != b)
                for a, b in zip(tail, values[len(values) - len(tail) :], strict=True)
            )


def test_what_is_long_ago_goes_also_of_a_board_that_was_away() -> None:
    history = History()
    row = (1.0,) * len(SERIES)
    for nth in range(300):
        history.add(float(nth), row)
    for nth in range(200):
        history.add(5_000.0 + nth, row)
    assert history.times() == [5_000.0 + nth for nth in range(200)]
    assert len(history.values("power_w")) == len(history) == 200


def test_of_tries_and_of_coming_alive_the_last_are_kept_and_a_moment_keeps_its_own() -> None:
    device = store_of("a")["a"]
    for nth in range(TRIES_KEPT + 5):
        device.tried(Try(float(nth), 0.1, "no route to host"))
    moment = device.snapshot()
    device.tried(Try(1000.0, 0.1, ""))
    assert [each.wall_s for each in moment.tries] == [*map(float, range(5, TRIES_KEPT + 5))]
    assert [each.wall_s for each in device.tries[-2:]] == [TRIES_KEPT + 4.0, 1000.0]
    for nth in range(FLAP_LIMIT + 3):
        device.came_alive(float(nth))
    assert device.lives == tuple(map(float, range(2, FLAP_LIMIT + 3)))
    assert device.is_flapping(10.0)
    assert not moment.is_flapping(10.0)


def test_slope_is_per_minute_and_needs_time() -> None:
    history = History()
    row = (None,) * (len(SERIES) - 1)
    for nth in range(5):
        history.add(nth, (40.0 + nth * 0.1, *row))
    assert history.slope_per_min("temperature_c") is None
    for nth in range(5, 60):
        history.add(nth, (40.0 + nth * 0.1, *row))
    slope = history.slope_per_min("temperature_c")
    assert slope == pytest.approx(6.0, abs=0.01)
    assert history.slope_per_min("power_w") is None


def test_backoff_is_full_jitter_under_a_cap() -> None:
    import random

    rng = random.Random(7)
    assert (cap_s(1), cap_s(1000), cap_s(5000)) == (5.0, 20.0, 60.0)
    first = [delay_s(0, 5, rng) for _ in range(500)]
    late = [delay_s(30, 5, rng) for _ in range(500)]
    assert max(first) <= 0.5
    assert 4.5 < max(late) <= 5
    assert min(late) < 0.5
