"""Finding boards from the start screen: while it goes on, what was found, nothing, an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from cohete.device.discovery.search import Wanted
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens import discover
from cohete_tui.screens.discover import DiscoverScreen
from cohete_tui.screens.start import StartScreen
from tests.boards import simulated, until
from tests.device.discovery.test_usb import plug
from tests.tui.support import notices, text_of


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
async def test_what_is_found_can_be_connected_to(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "usb"
    plug(tree, "1-1", "0955", "7523")
    async with simulated("nano", folder=tmp_path) as (_, __, specs):
        place = ("127.0.0.1", specs[0].target.port or 22)
        wanted = Wanted(by_mdns=False, hosts=(place,), sysfs=tree, for_s=0.1)
        monkeypatch.setattr(discover, "_everything", lambda: wanted)
        app = CoheteApp(Launch())
        async with app.run_test(size=size) as pilot:
            await pilot.press("f")
            await until(lambda: "2 found, searched" in text_of(app))
            text = text_of(app)
            assert "in recovery" in text
            assert "SSH server" in text
            await pilot.press("enter")
            await until(lambda: "cannot be connected to" in notices(app))
            await pilot.press("down")
            await until(lambda: "SHA256:" in text_of(app))
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, StartScreen))
            field = app.screen.query_one("#targets", Input)
            await until(lambda: field.has_focus)
            assert field.value == f"127.0.0.1:{place[1]}"
            await pilot.press(*"nvidia", "at")
            assert field.value == f"nvidia@127.0.0.1:{place[1]}"


async def test_nothing_is_found_and_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(on_usb=False, by_mdns=False)
    monkeypatch.setattr(discover, "_everything", lambda: wanted)
    app = CoheteApp(Launch())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        await until(lambda: "0 found, searched" in text_of(app))
        assert "takes a cable for data" in text_of(app)
        await pilot.press("enter", "c", "r")
        await until(lambda: "It has no serial console here." in notices(app))
        await until(lambda: "0 found, searched" in text_of(app))
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, StartScreen))


async def test_a_search_that_cannot_be_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(on_usb=False, by_mdns=False, networks=("nonsense",))
    monkeypatch.setattr(discover, "_everything", lambda: wanted)
    app = CoheteApp(Launch())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        await until(lambda: "is no network" in text_of(app))
        assert isinstance(app.screen, DiscoverScreen)
