"""The charts' stretch of time: zoom, pan, crosshair, and what is fetched for it."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.telemetry.past import Past
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.window import SPANS_S, Points, Window, ago, from_disk, from_memory
from tests import lines
from tests.tui.support import dashboard, feed, mixed_store, settle, store_of, text_of

STEPS = st.lists(st.tuples(st.sampled_from(["zoom", "pan", "cross"]), st.integers(-3, 3)))


@given(STEPS)
def test_it_never_leaves_what_can_be_shown(steps: list[tuple[str, int]]) -> None:
    window = Window()
    for name, step in steps:
        window = getattr(window, name)(step)
        assert window.span_s in SPANS_S
        assert 0 <= window.back_s <= 7 * 86_400
        if window.cross_s is not None:
            assert window.back_s <= window.cross_s <= window.back_s + window.span_s
        ticks = window.ticks()
        assert ticks[0][0] == pytest.approx(-window.back_s - window.span_s)
        assert ticks[-1][0] == pytest.approx(-window.back_s)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (30, "-30s"), (60, "-1m"), (300, "-5m"), (5400, "-1.5h"), (86_400, "-24h")],
)
def test_labels(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_memory_in_a_window() -> None:
    store = store_of(["a"])
    clock = store.clock
    assert isinstance(clock, ManualClock)
    for second in range(600):
        feed(store, "a", lines.ORIN_R36.replace("tj@53.968C", f"tj@{50 + second / 100}C"))
        clock.step(1)
    points = from_memory(store["a"], clock.monotonic(), Window(60.0))
    assert len(points.seconds) == 60
    assert points.at("temperature_c", -1, 5) == pytest.approx(55.99, abs=0.01)
    older = from_memory(store["a"], clock.monotonic(), Window(60.0, back_s=300.0))
    assert -360 <= min(older.seconds) <= max(older.seconds) <= -299
    assert older.at("temperature_c", -330, 5) == pytest.approx(53.968, abs=0.3)
    assert older.at("temperature_c", 0, 5) is None
    whole = from_memory(store["a"], clock.monotonic(), Window(900.0))
    assert len(whole.seconds) <= 300


def test_what_the_disk_kept_is_in_the_units_of_the_charts() -> None:
    past = Past(
        [1_000, 2_000],
        {"hottest_mc": [53_968, None], "power_mw": [12_500, 0], "ram_mb": [1000, 2000],
         "cpu_permille": [333, 1000]},
        {}, {},
    )  # fmt: skip
    points = from_disk(past, 3_000, 4000)
    assert points.seconds == [-2, -1]
    assert points.values["temperature_c"][0] == 53.968
    assert math.isnan(points.values["temperature_c"][1])
    assert points.values["ram_percent"] == [25, 50]
    assert points.values["cpu_percent"] == [33.3, 100]
    assert all(math.isnan(value) for value in points.values["gpu_percent"])
    assert all(math.isnan(v) for v in from_disk(past, 3_000, None).values["ram_percent"])
    assert Points([], {}).at("x", 0, 1) is None


async def test_keys_zoom_pan_and_read_a_moment() -> None:
    store = mixed_store()
    store.event(store["cam-01"], "mode", "power mode is now MAXN")
    async with dashboard(store, (120, 50)) as (pilot, app, session):
        session.kept = Past([], {}, {}, {})
        await pilot.press("colon", *"open", "space", *"cam", "minus", "0", "1", "enter")
        await pilot.pause()
        await settle(pilot)
        assert isinstance(app.screen, DeviceScreen)
        assert "-5m" in text_of(app)
        await pilot.press("plus")
        await settle(pilot)
        assert "-1m" in text_of(app)
        assert "-48s" in text_of(app)
        await pilot.press("comma", "comma")
        await settle(pilot)
        assert re.search(r"Power  13\.\dW, \d\d \w{3} \d\d:", text_of(app))
        await pilot.press("h")
        await settle(pilot)
        assert "-1.5m" in text_of(app)
        await pilot.press("0")
        await settle(pilot)
        assert "now" in text_of(app)
        assert not session.asked
        for _ in range(4):
            await pilot.press("minus")
        await pilot.pause(0.1)
        device_id, from_ms, to_ms, step_ms = session.asked[-1]
        assert device_id == "cam-01"
        assert to_ms - from_ms == 21_600_000 + 1000
        assert step_ms == 90_000
        assert "-6h" in text_of(app)
