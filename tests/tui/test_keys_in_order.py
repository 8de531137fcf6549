"""Keys that come all at once, as over a slow connection or pasted, do what they do one by one."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button

from cohete_tui import keys_in_order
from cohete_tui.app import CoheteApp
from cohete_tui.keys_in_order import Question
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.power import PowerScreen
from tests.tui.support import dashboard, mixed_store, settle, text_of

NAMES = {" ": "space", ":": "colon", "-": "minus", "/": "slash", "\r": "enter", "\x1b": "escape",
         "\t": "tab"}  # fmt: skip


def send(app: CoheteApp, keys: str) -> None:
    """As the driver hands on what it reads in one go."""
    for key in keys:
        app.post_message(events.Key(NAMES.get(key, key), key))


async def burst(app: CoheteApp, pilot: Pilot[None], keys: str) -> None:
    send(app, keys)
    for _ in range(4):
        await settle(pilot)


async def test_a_command_goes_into_the_line_that_its_colon_opens() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, ":theme cohete-light\r")
        assert app.theme == "cohete-light"
        assert isinstance(app.screen, FleetScreen)
        await burst(app, pilot, ":theme cohete-dark\r:filter gate\r")
        assert app.theme == "cohete-dark"
        assert "gate shows 1" in text_of(app)


async def test_a_key_after_a_command_finds_what_the_command_did() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, ":filter gate\rm")
        assert isinstance(app.screen, PowerScreen)
        assert [device.id for device in app.screen.devices] == ["gate"]
        await burst(app, pilot, "\x1b:filter\r:open cam-02\rm")
        assert isinstance(app.screen, PowerScreen)
        assert isinstance(app.screen_stack[-2], DeviceScreen)
        assert [device.id for device in app.screen.devices] == ["cam-02"]


async def test_a_filter_its_enter_and_what_is_done_with_the_one_that_is_left() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "/cam-02\r\r")
        assert isinstance(app.screen, DeviceScreen)
        assert app.screen.device.id == "cam-02"
        await burst(app, pilot, "\x1b\x1b")
        assert isinstance(app.screen, FleetScreen)


async def test_what_follows_enter_is_not_typed_into_the_line_that_was_open() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await pilot.press("slash")
        await settle(pilot)
        await burst(app, pilot, "cam\rj\r")
        assert isinstance(app.screen, DeviceScreen)
        assert app.screen.device.id == "cam-02"


async def test_what_comes_in_two_packets_keeps_its_order() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        for _turn in range(3):
            send(app, ":filter c")
            for _hop in range(3):
                await asyncio.sleep(0)
            await burst(app, pilot, "am-02\r")
            assert "cam-02 shows 1" in text_of(app)
            await burst(app, pilot, ":filter\r")


async def test_moves_are_all_made() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "tg")
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        await burst(app, pilot, "jjjjk")
        assert screen.canvas.cursor == 3


async def test_whatever_happens_the_next_key_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        await burst(app, pilot, "tg")
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        # Something that never comes back from what it did.
        monkeypatch.setattr(app, "_climb", lambda *_, **__: None)
        await burst(app, pilot, "jj")
        assert screen.canvas.cursor == 1
        app._give_up(app._turn)
        await settle(pilot)
        assert screen.canvas.cursor == 2
        assert keys_in_order.LONGEST_S == 1.0


class _Sure(Question[bool]):
    said = 0

    def compose(self) -> ComposeResult:
        yield Button("Do it")

    def on_button_pressed(self) -> None:
        self.said += 1


async def test_what_was_typed_before_a_question_could_be_read_is_no_answer() -> None:
    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        early = events.Key("enter", "\r")
        question = _Sure()
        await app.push_screen(question)
        await settle(pilot)
        app.post_message(early)
        await settle(pilot)
        assert question.said == 0
        await burst(app, pilot, "\r")
        assert question.said == 1


async def test_a_change_is_not_asked_over_something_that_was_opened_meanwhile() -> None:
    from cohete_tui.screens.change import agreed_to

    async with dashboard(mixed_store(), (120, 36)) as (pilot, app, _):
        fleet: Screen[object] = app.screen
        await burst(app, pilot, ":")
        asked = app.run_worker(agreed_to(fleet, "set the power mode to 7W", {}))
        await settle(pilot)
        assert (await asked.wait()) is None
        assert "Not asked" in str([note.message for note in app._notifications])
