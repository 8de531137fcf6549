"""Marks, groups, faults, pause, rate, wide view, copy, export and the command line, by keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.fleet.state import State
from cohete_tui.app import CoheteApp
from cohete_tui.screens.command_line import CommandLine
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.screens.fleet import FleetScreen
from tests import lines
from tests.tui.support import (
    dashboard,
    feed,
    mixed_store,
    notices,
    settle,
    spec,
    store_of,
    text_of,
)

KEYS = {" ": "space", ">": "greater_than_sign", ":": "colon", "!": "exclamation_mark",
        ".": "full_stop", "-": "minus", "/": "slash", "_": "underscore"}  # fmt: skip


def typed(text: str) -> list[str]:
    return [KEYS.get(letter, letter) for letter in text]


def fleet_screen(app: CoheteApp) -> FleetScreen:
    screen = app.screen
    assert isinstance(screen, FleetScreen)
    return screen


async def test_marks_by_key_range_and_inverse() -> None:
    async with dashboard(mixed_store()) as (pilot, app, session):
        screen = fleet_screen(app)
        await pilot.press("t", "space", "j", "j", "V")
        await settle(pilot)
        first_four = [device.id for device in screen.order.devices[:4]]
        assert [device.id for device in screen.canvas.chosen] == first_four
        assert "✓ 4 marked" in text_of(app)
        assert "✓mast" in text_of(app)
        await pilot.press("asterisk")
        await settle(pilot)
        rest = [device.id for device in screen.order.devices[4:]]
        assert [device.id for device in screen.canvas.chosen] == rest
        await pilot.press("escape")
        await settle(pilot)
        assert "marked" not in text_of(app)
        await pilot.press("g")
        assert [device.id for device in screen.canvas.chosen] == ["mast"]
        await pilot.press("space", "space", "c")
        assert session.retried == ["mast", "gate"]


async def test_marks_stay_on_devices_that_the_filter_hides_but_actions_leave_them() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        screen = fleet_screen(app)
        await pilot.press("space", "slash", *typed("cam"), "enter", "asterisk")
        assert {device.id for device in screen.canvas.chosen} == {"cam-01", "cam-02"}
        await settle(pilot)
        assert "✓ 3 marked" in text_of(app)


async def test_groups_have_totals_fold_and_unfold() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        screen = fleet_screen(app)
        await pilot.press("t", "b")
        await settle(pilot)
        text = text_of(app)
        assert "by tag" in text
        assert "▾ camera  2" in text
        assert "1 hot  2 live  RAM 68%" in text
        assert "▾ no tag  5" in text
        assert screen.canvas.current is not None
        await pilot.press("g", "enter")
        await settle(pilot)
        assert "▸ camera" in text_of(app)
        assert "cam-02" not in text_of(app)
        assert len(screen.canvas.chosen) == 2
        await pilot.press("right")
        await settle(pilot)
        assert "cam-02" in text_of(app)
        await pilot.press("F")
        await settle(pilot)
        assert "mast" not in text_of(app)
        assert "▸ no tag" in text_of(app)
        await pilot.press("F", "b")
        await settle(pilot)
        assert "▾ roof  1" in text_of(app)
        await pilot.press("b", "b")
        await settle(pilot)
        assert "▾" not in text_of(app).splitlines()[2]
        await pilot.press("b", "g", "space")
        assert {device.id for device in screen.canvas.chosen} == {"cam-01", "cam-02"}


async def test_the_cursor_stays_on_its_device_while_groups_fold_above_it() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        screen = fleet_screen(app)
        await pilot.press("t", "b", "G")
        assert screen.canvas.cursor_id == "lab-thor"
        before = screen.canvas.cursor
        screen.order.fold(screen.order.rows[0], folded=True)  # type: ignore[arg-type]
        screen.redraw()
        assert screen.canvas.cursor_id == "lab-thor"
        assert screen.canvas.cursor == before - 2


async def test_faults_only() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, _):
        await pilot.press("z")
        await settle(pilot)
        text = text_of(app)
        assert "faults only shows 4" in text
        for name in ("mast", "gate", "cam-02", "dock"):
            assert name in text
        assert "cam-01" not in text
        await pilot.press("z")
        await settle(pilot)
        assert "cam-01" in text_of(app)
    calm = store_of(["a"])
    feed(calm, "a", lines.ORIN_R36)
    async with dashboard(calm) as (pilot, app, _):
        await pilot.press("z")
        await settle(pilot)
        assert "Nothing needs you. Press z" in text_of(app)


async def test_pause_keeps_a_moment_and_goes_on() -> None:
    store = mixed_store()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store) as (pilot, app, _):
        await pilot.press("t")
        await settle(pilot)
        before = text_of(app).splitlines()[1:-1]
        await pilot.press("p")
        store.set_state(store["cam-01"], State.LOST, "gone")
        clock.step(12)
        await settle(pilot)
        assert "PAUSED 00:12" in text_of(app)
        await pilot.press("enter")
        await settle(pilot)
        assert " PAUSED at " in text_of(app).splitlines()[0]
        await pilot.press("escape")
        await settle(pilot)
        assert text_of(app).splitlines()[1:-1] == before
        await pilot.press("s", "j", "k")
        await settle(pilot)
        assert "✕ lost, try in 8s" in text_of(app)
        assert sum("✕" in line for line in text_of(app).splitlines()) == 1
        await pilot.press("p")
        await settle(pilot)
        assert "PAUSED" not in text_of(app)
        assert sum("✕" in line for line in text_of(app).splitlines()) == 2


async def test_the_rate_is_changed_and_said() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("minus")
        await settle(pilot)
        assert "every 1s" in text_of(app)
        await pilot.press("plus")
        await settle(pilot)
        assert "every" not in text_of(app).splitlines()[0]
        await pilot.press("colon", *typed("rate 3"), "enter")
        await settle(pilot)
        assert "every 3s" in text_of(app)


async def test_the_wide_table_scrolls_sideways_with_its_names_in_place() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("w")
        await settle(pilot)
        assert "ADDRESS" not in text_of(app)
        for _ in range(40):
            await pilot.press("l")
        await settle(pilot)
        text = text_of(app)
        assert "ADDRESS" in text
        assert "TAGS" in text
        for name in ("DEVICE", "mast", "lab-thor"):
            assert any(line.startswith(f" {name}") for line in text.splitlines())
        await pilot.press("w")
        await settle(pilot)
        assert "GPU" in text_of(app)


async def test_rows_and_json_are_copied() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("slash", *typed("cam-01"), "enter", "y")
        assert app.clipboard.startswith("cam-01  live  63%")
        await pilot.press("Y")
        document = json.loads(app.clipboard)
        assert [device["id"] for device in document["devices"]] == ["cam-01"]
        await pilot.press("escape", "asterisk", "y")
        assert app.clipboard.count("\n") == 9


async def test_what_is_shown_is_written_to_a_file(tmp_path: Path) -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("slash", *typed("cam"), "enter", "ctrl+s")
        await pilot.pause()
        assert isinstance(app.screen, CommandLine)
        assert ":export fleet-2026" in text_of(app)
        path = tmp_path / "fleet.json"
        await pilot.press("ctrl+u", *typed(f"export {path}"), "enter")
        await pilot.pause(0.2)
        document = json.loads(path.read_text())
        assert {device["id"] for device in document["devices"]} == {"cam-01", "cam-02"}
        await pilot.press("ctrl+s", "ctrl+u", *typed(f"export {path}"), "enter")
        await pilot.pause(0.2)
        assert "a file of this name already" in notices(app)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sort gpu", "by gpu▼"),
        ("group module", "by module"),
        ("filter temp>80", "/temp>80 shows 1"),
        ("mark tag:camera", "✓ 2 marked"),
        ("view table", "HOTTEST"),
        ("faul", "faults only"),
        ("nonsense", "there is no command 'nonsense' here"),
        ("sort gqu", "there is no column 'gqu'. Did you mean gpu?"),
        ("open nobody", "there is no device 'nobody'"),
        ("filter tmp>3", "there is no field 'tmp'"),
        ("theme cohete-lite", "Did you mean cohete-light?"),
        ("reverse now", "reverse takes nothing after it"),
        ("rate soon", "'soon' is no rate"),
        ("export fleet.xls", "no export as 'xls'"),
        ("export", "export needs a file name"),
    ],
)
async def test_commands(line: str, expected: str) -> None:
    async with dashboard(mixed_store(), (120, 30)) as (pilot, app, _):
        await pilot.press("colon", *typed(line), "enter")
        await pilot.pause(0.1)
        await settle(pilot)
        assert expected in f"{text_of(app)} {notices(app)}"


async def test_a_notice_leaves_the_words_above_the_command_line_free() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("y", "colon", *typed("mo"))
        await pilot.pause()
        text = text_of(app)
        assert "copied, where the terminal" in text
        *_, words, line = text.rstrip().splitlines()
        assert words.endswith("esc leaves")
        assert line.strip() == ":mo"


async def test_the_command_line_explains_completes_and_remembers() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("colon", *typed("gro"))
        await pilot.pause()
        assert "group tag|site|module|none: Group devices" in text_of(app)
        await pilot.press("tab", *typed(" si"))
        await pilot.pause()
        await pilot.press("tab", "enter")
        await settle(pilot)
        assert fleet_screen(app).order.group_by == "site"
        await pilot.press("colon", "up")
        await pilot.pause()
        assert ":group site" in text_of(app)
        await pilot.press("escape")
        await settle(pilot)
        await pilot.press("colon", *typed("open cam-01"), "enter")
        await pilot.pause()
        assert isinstance(app.screen, DeviceScreen)
        await pilot.press("colon", *typed("back"), "enter")
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen)


async def test_a_filter_that_means_nothing_is_explained_and_the_last_one_stays() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        screen = fleet_screen(app)
        await pilot.press("slash", *typed("cam temp>"))
        await settle(pilot)
        assert "temp is compared with a number in C. As in temp>50." in text_of(app)
        assert "cam-01" in text_of(app)
        await pilot.press("enter")
        await settle(pilot)
        assert screen.order.query.text == "cam"
        assert "compared" not in text_of(app)
        await pilot.press("slash", *typed(" tmp:1"), "escape")
        await settle(pilot)
        assert "mast" in text_of(app)
        assert "there is no field" not in text_of(app)


async def test_a_shell_needs_a_terminal_and_says_so() -> None:
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("exclamation_mark")
        await pilot.pause(0.1)
        assert "a shell needs a terminal of its own" in notices(app)


async def test_a_picture_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with dashboard(store_of([spec("a")])) as (pilot, app, _):
        await pilot.press("colon", *typed("save-screenshot"), "enter")
        await pilot.pause(0.1)
        assert "Saved as" in notices(app)
    assert [path.suffix for path in tmp_path.iterdir()] == [".svg"]
