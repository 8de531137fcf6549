"""A terminal that is slow: less is drawn, the oldest first, and it is said."""

from __future__ import annotations

import io

from cohete.clock import ManualClock
from cohete_tui.link import LinkMeter, MeteredFile
from cohete_tui.screens.fleet import FleetScreen
from tests import lines
from tests.tui.support import dashboard, feed, settle, store_of, text_of


def test_a_link_that_keeps_up_is_not_held_back() -> None:
    meter = LinkMeter(monotonic=lambda: 0.0)
    meter.hand_over(100_000)
    meter.taken(100_000, 0.01)
    assert meter.slow_kbps is None
    assert meter.rows_allowed(0.5) is None


def test_a_slow_link_gets_half_of_what_it_takes_and_nothing_while_it_is_behind() -> None:
    clock = ManualClock()
    meter = LinkMeter(monotonic=clock.monotonic)
    meter.hand_over(20_000)
    assert meter.rows_allowed(0.5) is None
    meter.taken(20_000, 0.5)
    assert meter.slow_kbps == 40
    rows = meter.rows_allowed(0.5)
    assert rows is not None
    assert 10_000 * 0.9 <= rows * 300 <= 10_000
    meter.hand_over(1)
    assert meter.rows_allowed(0.5) == 0
    meter.taken(1, 0.0)
    clock.step(11)
    assert not meter.slow_kbps
    assert meter.rows_allowed(0.5) is None


def test_what_a_row_costs_is_learned() -> None:
    meter = LinkMeter(10, monotonic=lambda: 0.0)
    before = meter.rows_allowed(1.0)
    for _ in range(30):
        meter.hand_over(10_000)
        meter.taken(10_000, 0.0)
        meter.drawn(10)
    after = meter.rows_allowed(1.0)
    assert before is not None
    assert after is not None
    assert after < before
    assert after == 10


def test_a_metered_file_writes_what_it_is_given() -> None:
    meter, file = LinkMeter(), io.StringIO()
    MeteredFile(file, meter).write("abc")
    assert file.getvalue() == "abc"


async def test_on_a_slow_link_rows_take_turns_and_the_header_says_so() -> None:
    store = store_of([f"d{nth:02}" for nth in range(10)])
    for device in store:
        feed(store, device.id, lines.ORIN_R36)
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store, (100, 24)) as (pilot, app, _):
        await pilot.press("t")
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        drawn: list[str] = []
        redraw = screen.canvas._redraw

        def noted(row_id: str) -> None:
            drawn.append(row_id)
            redraw(row_id)

        screen.canvas._redraw = noted  # type: ignore[method-assign]
        app.link.hand_over(2_400)
        app.link.taken(2_400, 0.5)
        for _ in range(4):
            clock.step(0.5)
            for device in store:
                feed(store, device.id, lines.ORIN_R36)
            before = len(drawn)
            await settle(pilot)
            assert len(drawn) - before <= 4
        assert len(set(drawn)) == 10
        assert "slow link 5 kB/s" in text_of(app)
