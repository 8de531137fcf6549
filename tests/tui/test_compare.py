"""Several devices in the same charts."""

from __future__ import annotations

from datetime import datetime

from cohete.telemetry.past import Past
from cohete_tui.screens.compare import CompareScreen
from tests.tui.support import dashboard, mixed_store, notices, settle, store_of, text_of
from tests.tui.test_events import on


async def test_marked_devices_share_their_charts() -> None:
    store = mixed_store()
    async with dashboard(store, (130, 50)) as (pilot, app, session):
        await pilot.press("C")
        assert "Mark the devices" in notices(app)
        for name in ("cam-01", "lab-thor", "dock"):
            app.screen.canvas.marks.add([store[name]])  # type: ignore[attr-defined]
        await pilot.press("C")
        await pilot.pause()
        await settle(pilot)
        assert on(app, CompareScreen)
        text = text_of(app)
        assert "━━ cam-01 ●" in text
        assert "━━ dock ◐" in text
        assert "cam-01 63%" in text
        assert "lab-thor –" in text
        for title in ("CPU", "Memory", "Temperature", "Power"):
            assert f"{title}  " in text
        await pilot.press("comma", "comma")
        await settle(pilot)
        moment = datetime.fromtimestamp(store.clock.time() - 15)  # noqa: DTZ006 - as the screen does
        assert f"{moment:%d %b %H:%M:%S}" in text_of(app)
        session.kept = Past([int(store.clock.time() * 1000) - 3_000_000], {"power_mw": [7000]},
                            {"power_mw": [7000]}, {"power_mw": [7000]})  # fmt: skip
        await pilot.press("minus", "minus", "minus")
        await pilot.pause()
        await settle(pilot)
        assert {asked[0] for asked in session.asked} == {"cam-01", "lab-thor", "dock"}
        await pilot.press("0", "j", "escape")
        assert not on(app, CompareScreen)


async def test_more_than_can_be_told_apart_are_left_out_and_it_says_so() -> None:
    store = store_of([f"d{nth}" for nth in range(9)])
    async with dashboard(store, (80, 24)) as (pilot, app, _):
        await pilot.press("asterisk", "C")
        await pilot.pause()
        await settle(pilot)
        assert "The first 6 of 9 are shown" in notices(app)
        assert "d5" in text_of(app)
        assert "d6" not in text_of(app)
