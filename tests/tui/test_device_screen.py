"""One device, all of it."""

from __future__ import annotations

import pytest

from cohete.clock import ManualClock
from cohete.fleet.state import State
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.widgets.charts import HistoryChart
from tests import lines
from tests.tui.support import dashboard, feed, mixed_store, settle, store_of, text_of


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (40, 12)])
async def test_it_opens_at_every_size_and_goes_back_to_its_device(size: tuple[int, int]) -> None:
    async with dashboard(mixed_store(), size) as (pilot, app, _):
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to(5)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, DeviceScreen)
        text = text_of(app)
        for part in ("cam-01", "GPU", "63%"):
            assert part in text
        await pilot.press("n")
        await settle(pilot)
        assert "lab-thor" in text_of(app)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, FleetScreen)
        assert app.screen.canvas.cursor_id == "lab-thor"


async def test_everything_is_there_on_a_large_screen() -> None:
    async with dashboard(mixed_store(), (200, 60)) as (pilot, app, _):
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to(5)
        await pilot.press("enter")
        await settle(pilot)
        text = text_of(app)
        for part in ("● live", "621 MHz", "NVENC", "79%", "8 × 512 kB", "VDD_CPU_GPU_CV",
                     "module total", "Temperature  54.0C", "Power  13.6W", "Memory  68%",
                     "Load  GPU 63%, CPU", "now", "JetPack 6.2.1, L4T 36.4.7", "SHA256:yTd3H7pq0",
                     "1024 CUDA cores", "throttles at 99C", "budget"):  # fmt: skip
            assert part in text, part
        assert len(app.screen.query(HistoryChart)) == 4


async def test_it_lives() -> None:
    store = store_of(["a"])
    feed(store, "a", lines.ORIN_R36)
    async with dashboard(store, (120, 40)) as (pilot, app, _):
        await pilot.press("enter")
        await settle(pilot)
        assert "63%" in text_of(app)
        assert isinstance(store.clock, ManualClock)
        store.clock.step(2)
        feed(store, "a", lines.ORIN_R36.replace("GR3D_FREQ 63%", "GR3D_FREQ 7%"))
        await settle(pilot)
        assert " 7%" in text_of(app)
        store.set_state(store["a"], State.LOST, "no route to host", "Is the board on?")
        store.clock.step(30)
        await settle(pilot)
        text = text_of(app)
        assert "no route to host" in text
        assert "Last seen 30s ago" in text
        assert "30s ago" in text.split("Temperature ")[-1]


async def test_a_device_that_was_never_seen_says_what_is_known() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, _):
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to(0)
        await pilot.press("enter")
        await settle(pilot)
        text = text_of(app)
        assert "does not accept nvidia" in text
        assert "no sample yet" in text
        await pilot.press("pagedown", "j", "k", "pageup", "N", "question_mark")
        await pilot.pause()
        assert "Back to the fleet" in text_of(app)


async def test_connect_works_here_too() -> None:
    async with dashboard(mixed_store()) as (pilot, app, session):
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to(1)
        await pilot.press("enter")
        await pilot.press("c")
        assert session.retried == ["gate"]


async def test_keys_held_down_scroll_as_far_as_they_were_pressed() -> None:
    from cohete_tui.widgets.scroll import Scroll

    async with dashboard(mixed_store()) as (pilot, app, _):
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to(5)
        await pilot.press("enter")
        await settle(pilot)
        for _ in range(12):
            app.screen.action_scroll(1)  # type: ignore[attr-defined]
        await pilot.pause()
        assert app.screen.query_one(Scroll).scroll_offset.y == 12
