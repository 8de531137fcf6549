"""What stays drawn of a large fleet."""

from __future__ import annotations

from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.widgets.drawn import LEAST, DrawnRows
from tests.tui.support import dashboard, settle, store_of, text_of


def test_hidden_rows_are_forgotten_and_visible_ones_never() -> None:
    drawn = DrawnRows()
    visible = store_of([f"row-{nth}" for nth in range(20)]).devices
    for nth in range(1000):
        drawn.make_room(lambda: visible)
        drawn[f"row-{nth}"] = ((nth,), [])
        assert len(drawn) <= LEAST
    assert {device.id for device in visible} <= set(drawn)


def test_as_many_as_are_visible_stay() -> None:
    drawn = DrawnRows()
    visible = store_of([f"row-{nth}" for nth in range(500)]).devices
    for device in visible:
        drawn.make_room(lambda: visible)
        drawn[device.id] = ((), [])
    assert len(drawn) == 500


async def test_paging_through_a_large_fleet_keeps_little() -> None:
    store = store_of([f"dev-{nth:04}" for nth in range(600)])
    async with dashboard(store, (120, 40)) as (pilot, app, _):
        for _ in range(60):
            await pilot.press("pagedown")
        await settle(pilot)
        assert "dev-0" in text_of(app)
        assert isinstance(app.screen, FleetScreen)
        assert len(app.screen.canvas._drawn) <= LEAST
