"""The fleet screen by its keys, read as a person reads it."""

from __future__ import annotations

import pytest

from cohete.clock import ManualClock
from cohete.errors import ConfigError
from cohete.fleet.state import Device, Refusal, State
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.help import HelpScreen
from cohete_tui.screens.host_keys import HostKeyDialog
from tests import lines
from tests.tui.support import dashboard, feed, mixed_store, settle, spec, store_of, text_of


def fleet_screen(app: object) -> FleetScreen:
    screen = app.screen  # type: ignore[attr-defined]
    assert isinstance(screen, FleetScreen)
    return screen


@pytest.mark.claim("FO-05")
async def test_one_screen_shows_the_health_of_the_fleet_with_ages() -> None:
    async with dashboard(mixed_store(), (120, 40)) as (_, app, _):
        text = text_of(app)
        header = text.splitlines()[0]
        for part in ("edge-lab", "1 refused", "1 lost", "1 hot", "1 stale", "1 connecting",
                     "3 live", "RAM", "W"):  # fmt: skip
            assert part in header
        assert text.index("mast") < text.index("gate") < text.index("cam-02") < text.index("cam-01")
        assert "✕ lost, try in 8s" in text
        assert "◐ stale 11s" in text
        assert "● live" in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50), (40, 10), (300, 80)])
async def test_every_size_draws_both_views(size: tuple[int, int]) -> None:
    async with dashboard(mixed_store(), size) as (pilot, app, _):
        assert "mast" in text_of(app)
        await pilot.press("t")
        await settle(pilot)
        assert "mast" in text_of(app)
        assert all(len(line) <= size[0] for line in text_of(app).splitlines())


@pytest.mark.parametrize("size", [(39, 20), (60, 9), (24, 6)])
async def test_with_no_room_for_devices_there_is_a_summary(size: tuple[int, int]) -> None:
    async with dashboard(mixed_store(), size) as (pilot, app, _):
        await settle(pilot)
        lines_ = text_of(app).splitlines()
        for nth, said in enumerate(("⊘ 1 refused", "✕ 1 lost", "▲ 1 hot", "◐ 1 stale"), 1):
            assert said in lines_[nth]
        assert "mast" in lines_[1]
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "does not accept" in text_of(app)


async def test_arrows_and_letters_move_and_the_cursor_stays_on_its_device() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, _):
        screen = fleet_screen(app)
        start = screen.canvas.cursor
        await pilot.press("l")
        assert screen.canvas.cursor == start + 1
        await pilot.press("j")
        assert screen.canvas.cursor == start + 3
        await pilot.press("k", "h")
        assert screen.canvas.cursor == start
        await pilot.press("down", "right", "up", "left", "G")
        assert screen.canvas.cursor == len(store) - 1
        on = screen.canvas.cursor_id
        store.set_state(store[str(on)], State.LOST, "gone")
        assert isinstance(store.clock, ManualClock)
        store.clock.step(5)
        await settle(pilot)
        assert screen.canvas.cursor_id == on
        assert screen.canvas.cursor < 3
        await pilot.press("g")
        assert screen.canvas.cursor == 0


@pytest.mark.parametrize("table", [False, True])
async def test_where_more_than_a_screen_is_shown_keys_move_the_cursor(table: bool) -> None:
    store = store_of([f"d{nth:03}" for nth in range(300)])
    async with dashboard(store) as (pilot, app, _):
        canvas = fleet_screen(app).canvas
        if table:
            await pilot.press("t")
        await pilot.press("down", "down", "up")
        assert canvas.cursor == (1 if table else 2)
        await pilot.press("pagedown")
        shown = canvas.cursor
        assert shown > 2
        assert canvas.current_row is not None
        assert canvas.current_row.id in text_of(app)
        await pilot.press("pageup", "home")
        assert canvas.cursor == 0
        await pilot.press("end")
        assert canvas.cursor == 299
        assert "d299" in text_of(app)


async def test_until_it_is_moved_the_cursor_is_where_trouble_is() -> None:
    store = store_of(["a", "b", "c"])
    async with dashboard(store) as (pilot, app, _):
        assert fleet_screen(app).canvas.cursor_id == "a"
        store.set_state(store["c"], State.LOST, "gone")
        assert isinstance(store.clock, ManualClock)
        store.clock.step(5)
        await settle(pilot)
        assert fleet_screen(app).canvas.cursor_id == "c"


async def test_the_filter_is_live_said_and_cleared() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("slash", *"orin")
        await settle(pilot)
        text = text_of(app)
        assert "/orin shows 2" in text
        assert "cam-01" in text
        assert "mast" not in text
        await pilot.press("enter", "t")
        await settle(pilot)
        assert "/orin shows 2" in text_of(app)
        await pilot.press("escape")
        await settle(pilot)
        assert "/orin" not in text_of(app)
        assert "mast" in text_of(app)


async def test_keys_typed_in_the_filter_are_text_and_ctrl_c_still_quits() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("slash", *"tqs?")
        await settle(pilot)
        assert fleet_screen(app).order.query.text == "tqs?"
        assert "No device matches" in text_of(app)
        await pilot.press("ctrl+c")
        assert app._exit


async def test_sorting_by_key_and_by_click() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        order = fleet_screen(app).order
        await pilot.press("t", "s", "s")
        await settle(pilot)
        assert order.sort.name == "gpu"
        assert "by gpu▼" in text_of(app)
        assert "GPU▼" in text_of(app)
        await pilot.press("r")
        await settle(pilot)
        assert "by gpu▲" in text_of(app)
        await pilot.press("S")
        assert order.sort.name == "name"
        canvas = fleet_screen(app).canvas
        at = canvas.render_line(0).text.index("POWER")
        await pilot.click("#canvas", offset=(at + 1, 0))
        await settle(pilot)
        assert order.sort.name == "power"


async def test_a_click_moves_and_a_double_click_opens() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.click("#canvas", offset=(45, 3))
        assert fleet_screen(app).canvas.cursor == 1
        await pilot.click("#canvas", offset=(45, 3), times=2)
        await pilot.pause()
        assert not isinstance(app.screen, FleetScreen)


async def test_help_lists_what_works_here() -> None:
    async with dashboard(mixed_store(), (100, 90)) as (pilot, app, _):
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = text_of(app)
        for part in ("Open the device under the cursor", "Switch between panes and table",
                     "unknown", "stale", "Quit"):  # fmt: skip
            assert part in text
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)


async def test_the_footer_has_the_keys_that_work() -> None:
    async with dashboard(mixed_store()) as (_, app, _):
        footer = text_of(app).splitlines()[-1]
        for part in ("open", "view", "filter", "mark", "events", "command", "help", "quit"):
            assert part in footer


async def test_the_palette_knows_the_same_actions() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        commands = {command.title for command in app.get_system_commands(app.screen)}
        assert "Fleet: Switch between panes and table" in commands
        assert "Theme: cohete-light" in commands
        assert len(commands) == len(list(app.get_system_commands(app.screen)))
        await pilot.press("ctrl+p")
        await pilot.press(*"panes")
        await pilot.pause(0.2)
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert fleet_screen(app).canvas.layout_of_fleet.name == "table"


async def test_both_themes_draw() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        assert app.theme == "cohete-dark"
        await pilot.press("T")
        await settle(pilot)
        assert app.theme == "cohete-light"
        assert "cam-02" in text_of(app)


async def test_connect_tries_again_and_says_so() -> None:
    async with dashboard(mixed_store()) as (pilot, app, session):
        fleet_screen(app).canvas.move_to(1)
        await pilot.press("c")
        assert session.retried == ["gate"]
        await pilot.pause()
        assert "Trying gate now." in text_of(app)


def refuse_unknown(device: Device) -> None:
    device.refusal = Refusal.KEY_UNKNOWN
    device.key_line = "[10.0.0.7]:22 ssh-ed25519 AAAA"
    device.fingerprint = "SHA256:FingerPrintOfTheBoard"
    device.state = State.REFUSED


async def test_an_unknown_key_is_asked_about_once_with_its_fingerprint() -> None:
    store = store_of(["new"])
    refuse_unknown(store["new"])
    async with dashboard(store) as (pilot, app, session):
        await pilot.pause()
        assert isinstance(app.screen, HostKeyDialog)
        text = text_of(app)
        assert "SHA256:FingerPrintOfTheBoard" in text
        assert "ssh-keygen -lf" in text
        await pilot.press("enter")
        await pilot.pause()
        assert session.accepted == []
        await settle(pilot)
        assert not text_of(app).count("SHA256:Finger")
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert session.accepted == ["new"]


async def test_many_keys_need_their_number_typed() -> None:
    store = store_of([f"n{nth}" for nth in range(12)])
    for device in store:
        refuse_unknown(device)
    async with dashboard(store) as (pilot, app, session):
        await pilot.pause()
        dialog = app.screen
        assert isinstance(dialog, HostKeyDialog)
        assert dialog.query_one("#accept").disabled
        dialog.query_one("#count").focus()
        await pilot.press(*"12")
        assert not dialog.query_one("#accept").disabled
        await pilot.click("#accept")
        await pilot.pause()
        assert len(session.accepted) == 12


async def test_a_dialog_does_not_come_while_somebody_types() -> None:
    store = store_of(["a"])
    async with dashboard(store) as (pilot, app, session):
        await pilot.press("slash")
        refuse_unknown(store["a"])
        await pilot.press(*"yyy")
        await settle(pilot)
        assert isinstance(app.screen, FleetScreen)
        assert session.accepted == []


async def test_a_key_that_cannot_be_kept_is_an_error_with_a_next_step() -> None:
    store = store_of(["new"])
    refuse_unknown(store["new"])
    async with dashboard(store, (100, 30)) as (pilot, app, session):

        async def fail(device: Device) -> None:
            raise ConfigError("cannot keep the host key", path="/x", hint="Make it writable.")

        session.accept_key = fail  # type: ignore[method-assign]
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert "cannot keep the host key" in text_of(app)


@pytest.mark.parametrize("size", [(40, 10), (80, 14), (80, 24)])
async def test_the_dialog_shows_its_buttons_on_small_terminals(size: tuple[int, int]) -> None:
    store = store_of(["a", "b", "c", "d"])
    for device in store:
        refuse_unknown(device)
    async with dashboard(store, size) as (pilot, app, _):
        await pilot.pause()
        assert "Not now" in text_of(app)


async def test_hostile_names_are_text() -> None:
    store = store_of([spec("a", tags=("[bold]x[/nope]",))])
    feed(store, "a", lines.ORIN_R36)
    store.set_state(store["a"], State.LOST, "[/red] [b]", "[link=x]")
    async with dashboard(store) as (_, app, _):
        assert "[/red] [b]" in text_of(app)


async def test_nothing_configured_is_not_an_empty_screen() -> None:
    async with dashboard(store_of([])) as (_, app, _):
        assert "No device" in text_of(app)


async def test_five_thousand_devices_scroll() -> None:
    store = store_of([f"d{nth:04d}" for nth in range(5000)])
    async with dashboard(store) as (pilot, app, _):
        await pilot.press("t", "G")
        await settle(pilot)
        assert "d4999" in text_of(app)
        await pilot.press("pageup", "pageup")
        await settle(pilot)
        assert "d4999" not in text_of(app)


async def test_quitting_stops_the_session() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("q")
        assert app._exit
