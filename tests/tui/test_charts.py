"""What is drawn of a device's past, whatever the device has said."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult

from cohete.clock import ManualClock
from cohete.fleet.recent import SERIES
from cohete_tui.widgets.charts import CHARTS, COMPARED, HistoryChart, Shown
from cohete_tui.window import Points, Window
from tests import lines
from tests.tui.support import dashboard, feed, settle, store_of, text_of

ODD = (math.nan, 0.0, -1.0, 50.0, 100.0, 100.4, 999.0, -1092.2, 1092.2, 1e9, -1e9)


class Alone(App[None]):
    """Charts and nothing else."""

    def compose(self) -> ComposeResult:
        for chart in (*CHARTS, *COMPARED):
            yield HistoryChart(chart)


def shown(rng: random.Random) -> Shown:
    """Two devices with odd values at odd times."""
    window = Window(rng.choice((60.0, 300.0, 86_400.0)), rng.choice((0.0, 600.0)))
    points = {}
    for name in ("a", "b")[: rng.choice((1, 2))]:
        count = rng.choice((0, 1, 2, 3, 40))
        seconds = sorted(rng.uniform(-2 * window.span_s, window.span_s) for _ in range(count))
        kind = rng.sample(ODD, 3)
        values: dict[str, Sequence[float]] = {
            each: [rng.choice(kind) for _ in range(count)] for each in SERIES
        }
        points[name] = Points(seconds, values)
    events = tuple(rng.uniform(-2 * window.span_s, window.span_s) for _ in range(2))
    return Shown(window, points, events, levels={"Temperature": ((rng.choice(ODD[1:]), "error"),)})


async def test_whatever_was_measured_can_be_drawn() -> None:
    rng = random.Random(1)
    async with Alone().run_test(size=(120, 60)) as pilot:
        await pilot.pause()
        for _ in range(15):
            past = shown(rng)
            for chart in pilot.app.query(HistoryChart):
                chart.draw(past)
                chart.render()


@pytest.mark.parametrize("load", ["101%", "900%"])
async def test_a_board_that_says_more_than_all_of_it(load: str) -> None:
    store = store_of(["a"])
    assert isinstance(store.clock, ManualClock)
    for _ in range(9):
        feed(store, "a", lines.ORIN_R36.replace("GR3D_FREQ 63%", f"GR3D_FREQ {load}"))
        store.clock.step(1)
    async with dashboard(store, (120, 40)) as (pilot, app, _):
        await pilot.press("enter")
        await settle(pilot)
        assert f"Load  GPU {load}, CPU" in text_of(app)
        assert f" {load[:-1]}┤" in text_of(app) or f" {load[:-1]} " in text_of(app)
