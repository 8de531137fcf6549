"""Keys that come all at once, as over a slow connection or pasted, do what they do one by one."""

from __future__ import annotations

import pytest
from textual import events
from textual.pilot import Pilot

from cohete_tui import keys_in_order
from cohete_tui.app import CoheteApp
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.screens.fleet import FleetScreen
from tests.tui.support import dashboard, mixed_store, settle, text_of

NAMES = {" ": "space", ":": "colon", "-": "minus", "/": "slash", "\r": "enter", "\x1b": "escape"}


async def burst(app: CoheteApp, pilot: Pilot[None], keys: str) -> None:
    """As the driver hands on what it reads in one go."""
    for key in keys:
        app.post_message(events.Key(NAMES.get(key, key), key))
    for _ in range(3):
        await settle(pilot)


async def test_a_command_goes_into_the_line_that_its_colon_opens() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, ":theme cohete-light\r")
        assert app.theme == "cohete-light"
        assert isinstance(app.screen, FleetScreen)
        await burst(app, pilot, ":theme cohete-dark\r:filter gate\r")
        assert app.theme == "cohete-dark"
        assert "gate shows 1" in text_of(app)


async def test_a_filter_its_enter_and_what_is_done_with_the_one_that_is_left() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "/cam-02\r\r")
        assert isinstance(app.screen, DeviceScreen)
        assert app.screen.device.id == "cam-02"
        await burst(app, pilot, "\x1b\x1b")
        assert isinstance(app.screen, FleetScreen)


async def test_moves_are_all_made() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "tg")
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        await burst(app, pilot, "jjjjk")
        assert screen.canvas.cursor == 3


async def test_whatever_happens_the_next_key_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "tg")
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        # Something that never comes back from what it did.
        monkeypatch.setattr(app, "_climb", lambda *_: None)
        await burst(app, pilot, "jjj")
        assert screen.canvas.cursor == 1
        monkeypatch.undo()
        monkeypatch.setattr(keys_in_order, "LONGEST_S", 0.0)
        await burst(app, pilot, "k")
        assert screen.canvas.cursor == 2
