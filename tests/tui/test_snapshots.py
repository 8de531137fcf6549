"""A few whole screens as pictures; what they say is asserted elsewhere. `make snapshots` renews."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.clock import ManualClock
from cohete.config.control import Control as ControlSettings
from cohete.control.applying import Control
from cohete.control.audit import AuditLog, who
from cohete.control.gate import Gate
from cohete.fleet.changing import Changes
from cohete.simulator.board import SimBoard
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.change import ChangeDialog
from cohete_tui.screens.fleet import FleetScreen
from tests.boards import until
from tests.fleet.test_limits import OnBoard
from tests.tui.support import StillSession, mixed_store, settle, text_of

SnapCompare = Callable[..., bool]


def pressing(keys: Sequence[str]) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return prepare


SIZES = {"80": (80, 24), "120": (120, 40), "200": (200, 60)}
THEMES = {"dark": "cohete-dark", "light": "cohete-light", "ansi": "cohete-ansi"}
FLEET = {
    f"fleet-{size}-{theme}": (size, theme, ["t"] if (size, theme) != ("120", "dark") else [])
    for size in SIZES
    for theme in THEMES
}
OTHERS = {
    "panes-80": ("80", "dark", []),
    "panes-200": ("200", "dark", []),
    "device-80": ("80", "dark", ["G", "h", "enter"]),
    "device-120-light": ("120", "light", ["G", "h", "enter"]),
    "device-200": ("200", "dark", ["G", "h", "enter"]),
    "compare-120-ansi": ("120", "ansi", ["asterisk", "C"]),
    "help": ("80", "dark", ["question_mark"]),
    "connection-120": ("120", "dark", ["i"]),
}


@pytest.mark.parametrize("name", [*FLEET, *OTHERS])
def test_screens(snap_compare: SnapCompare, name: str) -> None:
    size, theme, keys = {**FLEET, **OTHERS}[name]
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=False)
    app.theme = THEMES[theme]
    assert snap_compare(app, terminal_size=SIZES[size], run_before=pressing(keys))


@pytest.mark.parametrize(
    "name", ["power-80", "power-120-light", "change-120", "running-120", "audit-120"]
)
def test_screens_that_change_boards(snap_compare: SnapCompare, name: str, tmp_path: Path) -> None:
    screen, size, *theme = name.split("-")
    store = mixed_store()
    board = SimBoard("cam-01", "orin-nano-8gb", ManualClock(), seed=1)
    runner = OnBoard(board)
    session = StillSession(store)
    control = Control(Gate(), AuditLog(tmp_path, ManualClock(wall_s=1_795_000_000.0)), store.clock)
    session.changes = Changes(control, lambda _: runner, ControlSettings(), tmp_path)
    session.links["cam-01"] = runner  # type: ignore[assignment]
    control._audit.refused("cam-01", "set the power mode to 7W", "Cohete runs read-only")
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace(who(), "ops@bastion"))
    app = CoheteApp(Launch(), session=session, timer=False)
    app.theme = THEMES[theme[0] if theme else "dark"]

    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        assert isinstance(app.screen, FleetScreen)
        app.screen.canvas.move_to_device(store["cam-01"])
        for key in {"power": "m", "change": "m", "running": "m", "audit": "u"}[screen]:
            await pilot.press(key)
        await until(lambda: " ago" in text_of(app) or "1 of 1" in text_of(app))
        if screen in ("change", "running"):
            await pilot.press("enter")
            await until(lambda: isinstance(app.screen, ChangeDialog))
        if screen == "running":
            await pilot.press("tab", "enter")
            await until(lambda: "over, all well" in text_of(app))
        await settle(pilot)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=prepare)
