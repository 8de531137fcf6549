"""Bars, tiles, columns and panels as text: exact widths, honest values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.fleet.state import State
from cohete.fleet.words import celsius, gib, percent, span, trend, watts
from cohete.thermal.breaker import BreakerState
from cohete_tui import columns, draw, panels, tiles
from cohete_tui.draw import Line
from cohete_tui.ordering import SORTS, FleetOrder, trouble
from tests import lines
from tests.tui.support import feed, mixed_store, store_of

STORE = mixed_store()
NOW = STORE.clock.monotonic()


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


@given(st.none() | st.floats(-1, 2), st.integers(0, 80), st.none() | st.floats(-1, 2))
def test_a_bar_has_its_width(share: float | None, cells: int, budget: float | None) -> None:
    assert draw.width(draw.bar(share, cells, budget=budget)) == cells


@given(st.text(max_size=40), st.integers(0, 40), st.booleans())
def test_fit_is_exact(value: str, cells: int, right: bool) -> None:
    from rich.cells import cell_len

    assert cell_len(draw.fit(value, cells, right=right)) == cells


@given(
    st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["", "dim"])), max_size=6),
    st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["", "dim"])), max_size=3),
    st.integers(0, 60),
)
def test_spread_is_exact(left: Line, right: Line, cells: int) -> None:
    assert draw.width(draw.spread(left, right, cells)) == cells


def test_bars_and_sparks() -> None:
    assert text(draw.bar(0.5, 4)) == "▇▇░░"
    assert text(draw.bar(None, 4)) == "░░░░"
    assert text(draw.bar(0.25, 4, budget=0.75)) == "▇░░│"
    assert draw.sparkline([0, 50, 100, math.nan], 6, low=0, high=100) == "  ▁▅█ "


@pytest.mark.parametrize("cells", [38, 40, 60, 66])
@pytest.mark.parametrize("focused", [True, False])
def test_a_tile_is_a_rectangle(cells: int, focused: bool) -> None:
    for device in STORE:
        drawn = tiles.tile(device, NOW, cells, focused=focused)
        assert len(drawn) == tiles.HEIGHT
        assert {draw.width(line) for line in drawn} == {cells}, device.id


def tile_text(name: str, cells: int = 40) -> str:
    return "\n".join(text(line) for line in tiles.tile(STORE[name], NOW, cells, focused=False))


def test_a_live_tile_says_everything_with_units() -> None:
    shown = tile_text("cam-01")
    for part in ("cam-01", "Orin Nano 8GB · 15W", "63%", "621 MHz", "2 of 2", "5.1G of 7.4G",
                 "54.0C", "cpu", "● live", "13.6W", "1.0s"):  # fmt: skip
        assert part in shown
    assert "│" in shown


def test_a_hot_tile_says_hot() -> None:
    assert "87.2C hot" in tile_text("cam-02", 60)
    assert "↗ +15.0/min" in tile_text("cam-02", 60)


def test_a_stale_tile_is_dim_and_says_since_when() -> None:
    drawn = tiles.tile(STORE["dock"], NOW, 40, focused=False)
    assert "◐ stale 11s" in tile_text("dock")
    body = {style for line in drawn[1:-1] for part, style in line if part.strip("│ ")}
    assert body <= {"dim", "warn", "border"}


def test_a_lost_tile_says_why_when_next_and_what_it_was() -> None:
    shown = tile_text("gate")
    for part in ("✕ lost, try in 8s", "no route to host", "Is the board on?", "21s ago: 45C, 1.8W"):
        assert part in shown


def test_a_refused_tile_says_what_to_do() -> None:
    assert "⊘ refused: login" in tile_text("mast")
    assert "ssh-copy-id" in tile_text("mast", 60)


def test_unknown_is_never_zero() -> None:
    store = store_of(["a"])
    feed(store, "a", lines.THOR_R38)
    drawn = "\n".join(
        text(line) for line in tiles.tile(store["a"], store.clock.monotonic(), 40, focused=False)
    )
    gpu = next(line for line in drawn.splitlines() if "GPU" in line)
    assert "–" in gpu
    assert "0%" not in gpu


def test_off_is_off() -> None:
    store = store_of(["a"])
    feed(store, "a", "RAM 1/2MB CPU [off,5%@1] GR3D_FREQ off cpu@1C")
    drawn = tiles.tile(store["a"], store.clock.monotonic(), 40, focused=False)
    assert " off" in text(drawn[1])


def test_thor_shows_the_load_from_elsewhere() -> None:
    assert "83%" in tile_text("lab-thor")


def test_over_budget_is_said() -> None:
    store = store_of([STORE["cam-01"].spec])
    feed(store, "cam-01", lines.ORIN_R36.replace("RAM 5207", "RAM 7000"))
    drawn = tiles.tile(store["cam-01"], store.clock.monotonic(), 44, focused=False)
    assert "over" in text(drawn[3])
    assert store.totals().over_budget == 1


@pytest.mark.parametrize("cells", [30, 40, 60, 79, 80, 100, 119, 130, 200, 300])
def test_table_rows_fit_and_line_up(cells: int) -> None:
    shown = columns.fitting(list(STORE), cells)
    titles = columns.title_line(shown, "trouble", reverse=False)
    widths = {draw.width(columns.row_line(device, NOW, shown)) for device in STORE}
    assert widths == {draw.width(titles)}
    assert draw.width(titles) <= max(cells, 12) + 2
    assert shown[0].title == "DEVICE"


def test_columns_leave_by_priority() -> None:
    def titles(cells: int) -> list[str]:
        return [column.title for column in columns.fitting(list(STORE), cells)]

    assert titles(80) == ["DEVICE", "GPU", "CPU", "RAM", "HOTTEST", "POWER", "STATE", "AGE"]
    assert titles(50)[:3] == ["DEVICE", "GPU", "RAM"] or "STATE" in titles(50)
    assert set(titles(50)) < set(titles(80)) < set(titles(200))
    assert {"SITE", "WHY"} <= set(titles(230))
    assert titles(320)[-1] == "TAGS"


@pytest.mark.parametrize("cells", [24, 44, 60, 100])
def test_panels_never_run_over(cells: int) -> None:
    for device in STORE:
        why = STORE.explain(device)
        for drawn in (
            panels.loads(device, NOW, cells, why),
            panels.sensors(device, NOW, cells),
            panels.identity(device, NOW, cells, why),
        ):
            assert all(draw.width(line) <= max(cells, 24) for line in drawn), device.id
        assert draw.width(panels.headline(device, NOW, cells)) == cells


def panel(drawn: list[Line]) -> str:
    return "\n".join(text(line) for line in drawn)


def test_panels_say_what_is_there() -> None:
    device = STORE["cam-01"]
    why = STORE.explain(device)
    loads = panel(panels.loads(device, NOW, 60, why))
    for part in ("GPU", "621 MHz", "14%2188 MHz", "8 × 512 kB", "0.1G of 3.7G", "NVENC", "79%",
                 "off", "budget", "3%", "2133 MHz"):  # fmt: skip
        assert part in loads.replace(" 2188", "2188") or part in loads
    sensors = panel(panels.sensors(device, NOW, 60))
    assert sensors.splitlines()[0].startswith(("cpu", "tj"))
    for part in ("54.0C", "VDD_IN", "13.6W", "avg", "module total", "throttles at 99C"):
        assert part in sensors
    who = panel(panels.identity(device, NOW, 60, why))
    for part in ("Orin Nano 8GB", "1024 CUDA cores, 40 TOPS", "JetPack 6.2.1, L4T 36.4.7", "15W",
                 "5h", "SHA256:yTd3H7pq0", "no sudo", "ago"):  # fmt: skip
        assert part in who


def test_why_something_is_unknown_is_on_the_device_screen() -> None:
    device = STORE["dock"]
    who = panel(panels.identity(device, NOW, 80, STORE.explain(device)))
    assert "Unknown, and why" in who
    assert "allow sudo" in who


def test_a_lost_device_says_so_above_dim_values() -> None:
    device = STORE["gate"]
    drawn = panels.loads(device, NOW, 60, {})
    assert "Last seen 21s ago" in text(drawn[0])
    assert "no route to host" in panel(drawn)
    assert {style for line in drawn for _, style in line} <= {"dim", "warn"}


def test_a_constant_is_not_the_hottest() -> None:
    store = store_of(["a"])
    feed(store, "a", lines.TX2_USER)
    drawn = panels.sensors(store["a"], store.clock.monotonic(), 60)
    assert text(drawn[0]).startswith("GPU")
    assert "not the module" in panel(drawn)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (percent(None), "–"), (percent(0.0), "0%"), (percent(99.6), "100%"),
        (celsius(None), "–"), (celsius(-5.04), "-5.0C"),
        (watts(None), "–"), (watts(-398), "0.0W"), (watts(130_500), "130W"), (watts(0), "0.0W"),
        (gib(None), "–"), (gib(512), "0.5G"), (gib(62_841), "61G"),
        (span(None), "–"), (span(0.44), "0.4s"), (span(12.2), "12s"), (span(300), "5m"),
        (span(10_800), "3h"), (span(1_036_800), "12d"),
        (trend(None), ""), (trend(0.1), "→"), (trend(1.5), "↗ +1.5/min"), (trend(-2), "↘ -2.0/min"),
    ],
)  # fmt: skip
def test_words(value: str, shown: str) -> None:
    assert value == shown


def test_trouble_comes_first_and_the_order_settles() -> None:
    store = mixed_store()
    order = FleetOrder(store)
    assert [device.id for device in order.devices] == [
        "mast", "gate", "cam-02", "dock", "rover", "cam-01", "lab-thor",
    ]  # fmt: skip
    store.set_state(store["cam-01"], State.LOST, "x")
    assert not order.update()
    assert isinstance(store.clock, ManualClock)
    store.clock.step(3)
    assert order.update()
    assert order.devices[1].id == "cam-01"


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_each_order_is_total_with_unknown_last(sort: object) -> None:
    store = mixed_store()
    order = FleetOrder(store)
    order.sort = sort  # type: ignore[assignment]
    for reverse in (False, True):
        order.reverse = reverse
        order.update(force=True)
        assert len(order.devices) == len(store)
        if order.sort.name == "power":
            assert {device.id for device in order.devices[-2:]} == {"mast", "rover"}


def test_filter_words_all_have_to_match() -> None:
    store = mixed_store()
    order = FleetOrder(store)
    for typed, expected in (
        ("camera", {"cam-01", "cam-02"}),
        ("CAMERA roof", {"cam-02"}),
        ("lost", {"gate"}),
        ("orin maxn", {"cam-02"}),
        ("hot", {"cam-02"}),
        ("nothing-like-this", set()),
        ("", {device.id for device in store}),
    ):
        order.set_filter(typed)
        assert {device.id for device in order.devices} == expected, typed


def test_an_open_breaker_comes_first_and_is_said_everywhere() -> None:
    store = mixed_store()
    device = store["cam-01"]
    assert trouble(device) > trouble(store["cam-02"])
    device.breaker = BreakerState.OPEN
    assert trouble(device) == trouble(store["cam-02"])
    assert store.totals().breaker_open == 1
    shown = tiles.tile(device, store.clock.monotonic(), 48, focused=False)
    assert "○ open" in "\n".join(text(line) for line in shown)
    line = columns._state(device, store.clock.monotonic(), 24)
    assert "● live ○ open" in text(line)
    device.breaker = BreakerState.CLOSED
    assert store.totals().breaker_open == 0
