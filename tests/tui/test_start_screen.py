"""The first start: three doors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.start import StartScreen
from tests.boards import simulated, until
from tests.tui.support import text_of


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (120, 40)])
async def test_the_doors_are_there(size: tuple[int, int]) -> None:
    app = CoheteApp(Launch())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        await until(lambda: "Demo" in text_of(app))
        await pilot.press("question_mark")
        await until(lambda: "Start" in text_of(app))


async def test_a_configuration_opens_the_fleet(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path):
        app = CoheteApp(Launch())
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("o")
            await pilot.press(*str(tmp_path / "cohete.yaml"))
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, FleetScreen))
            await until(lambda: "● live" in text_of(app))
            await pilot.press("q")


@pytest.mark.parametrize(
    ("door", "typed", "said"),
    [("b", "-oProxyCommand=x", "no host name"), ("o", "/no/such.yaml", "no such file"),
     ("b", "host:99999", "port")],
)  # fmt: skip
async def test_a_door_that_does_not_open_says_why(door: str, typed: str, said: str) -> None:
    app = CoheteApp(Launch())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(door)
        app.screen.query_one("#targets" if door == "b" else "#path").value = typed  # type: ignore[attr-defined]
        await pilot.press("enter", "enter")
        await until(lambda: said in text_of(app))
        assert isinstance(app.screen, StartScreen)


async def test_a_door_opens_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Launch] = []

    async def begin(self: CoheteApp, launch: Launch) -> None:
        opened.append(launch)

    monkeypatch.setattr(CoheteApp, "_begin", begin)
    app = CoheteApp(Launch())
    async with app.run_test() as pilot:
        await pilot.press("d", "d", "question_mark")
        await until(lambda: bool(opened))
        assert [launch.demo for launch in opened] == [True]


async def test_links_are_opened_by_tasks_that_are_not_eager() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **more: asyncio.Task(coro, loop=loop, **more))
    app = CoheteApp(Launch())
    async with app.run_test() as pilot:
        await pilot.pause()
        assert loop.get_task_factory() is None
