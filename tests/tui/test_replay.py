"""A recording on the screens: the bar, its keys, and what is refused in the past."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.clock import ManualClock
from cohete.fleet.player import Player, open_source
from cohete.telemetry.recording import RecordingFile
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.replaying import ReplaySession
from cohete_tui.screens.device import DeviceScreen
from tests.boards import until
from tests.fleet.test_recording import story
from tests.tui.support import dashboard, mixed_store, notices, settle, text_of
from tests.tui.test_hands import typed


@contextlib.asynccontextmanager
async def replayed(
    path: Path, size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[Pilot[None], CoheteApp, Player]]:
    """A recording on the dashboard; its clock stands until a test moves it."""
    player = Player(open_source(path), ManualClock())
    session = ReplaySession(player)
    app = CoheteApp(Launch(), session=session, timer=False)
    await player.seek(player.source.begin_ms + 30_000)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        yield pilot, app, player


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.cohete"
    await story(file)
    return file


async def test_the_bar_says_where_it_is_and_keys_move_it(path: Path) -> None:
    async with replayed(path) as (pilot, app, player):
        began_ms = player.source.begin_ms
        text = text_of(app)
        assert "REPLAY" in text.splitlines()[0]
        assert "▶ 1x" in text
        assert "◆" in text
        assert "57.0C" in text
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert player.now_ms == began_ms + 40_000
        assert "58.0C" in text_of(app)
        await pilot.press("p", "greater_than_sign", "greater_than_sign")
        await settle(pilot)
        assert "paused 5x" in text_of(app)
        await pilot.press("left_curly_bracket")
        assert player.now_ms == began_ms
        await pilot.press("E")
        await settle(pilot)
        assert "lost" in text_of(app)
        await pilot.press("right_curly_bracket")
        await settle(pilot)
        assert player.ended
        assert "end 5x" in text_of(app)
        await pilot.press("E", "E")
        assert "Nothing more happened." in notices(app)


async def test_commands_and_the_mouse_seek(path: Path) -> None:
    async with replayed(path) as (pilot, app, player):
        span_ms = player.source.end_ms - player.source.begin_ms
        await pilot.press("colon", *typed("seek 10s"), "enter")
        await pilot.pause(0.1)
        assert player.now_ms == player.source.begin_ms + 20_000
        await pilot.press("colon", *typed("speed 0.1"), "enter")
        await pilot.pause(0.1)
        assert player.speed == 0.1
        await pilot.press("colon", *typed("speed 1000"), "enter")
        await pilot.pause(0.1)
        assert "'1000' is no speed" in notices(app)
        await pilot.click("ReplayBar", offset=(45, 0))
        await pilot.pause(0.1)
        share = (player.now_ms - player.source.begin_ms) / span_ms
        assert 0.25 < share < 0.5


async def test_the_device_screen_is_in_the_past_too(path: Path) -> None:
    async with replayed(path) as (pilot, app, player):
        await pilot.press("colon", *typed("open a"), "enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, DeviceScreen)
        await settle(pilot)
        assert "57.0" in text_of(app)
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert "58.0" in text_of(app)
        await pilot.press("p")
        assert not player.playing


async def test_nothing_can_be_done_to_the_past(path: Path) -> None:
    async with replayed(path) as (pilot, app, _):
        await pilot.press("c")
        assert "This is a recording." in notices(app)
        await pilot.press("exclamation_mark")
        await pilot.pause(0.1)
        assert "a recording has no shell" in notices(app)
        await pilot.press("R")
        await pilot.pause(0.1)
        assert not app.recordings.is_running


async def test_the_present_is_recorded_by_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = mixed_store()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store, (120, 30)) as (pilot, app, _):
        await pilot.press("E", "left_square_bracket")
        assert not notices(app)
        await pilot.press("R")
        await until(lambda: app.recordings.is_running)
        for _ in range(6):
            await clock.advance(0.5)
        await settle(pilot)
        assert re.search(r"REC \d+kB", text_of(app))
        await pilot.press("R")
        await until(lambda: not app.recordings.is_running)
        await settle(pilot)
        assert "Recorded in cohete-" in notices(app)
    [path] = tmp_path.glob("*.cohete")
    reader = RecordingFile(path)
    assert [entry.id for entry in reader.header.devices] == [device.id for device in store]
    assert len(reader.known_at(reader.end_ms)) >= len(store)
    reader.close()
