"""Boards changed from the keyboard: chosen, shown in full, agreed to, carried out, told."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.config.control import Control, Power, PowerProfile
from cohete.config.limits import Budget
from cohete.config.thermal import ThermalPolicy
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.links.ssh import SshConnector
from cohete.simulator.server import SimFleet
from cohete.thermal.breaker import BreakerState
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.audit import AuditScreen
from cohete_tui.screens.change import ChangeDialog
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.power import PowerScreen
from cohete_tui.screens.running import RunningScreen
from cohete_tui.sessions import PlannedSession
from cohete_tui.widgets.fan import FanChart
from tests.boards import lonely_files, simulated, until
from tests.tui.support import dashboard, mixed_store, notices, settle, text_of


@dataclasses.dataclass
class Cockpit:
    pilot: Pilot[None]
    app: CoheteApp
    fleet: SimFleet

    async def wait_for(self, words: str) -> None:
        """Until somebody could read these words."""
        await until(lambda: words in text_of(self.app))

    async def wait_for_screen(self, kind: type[object]) -> None:
        await until(lambda: isinstance(self.app.screen, kind))
        await self.pilot.pause()

    async def open_power(self) -> None:
        await self.pilot.press("m")
        await self.wait_for_screen(PowerScreen)
        await self.wait_for("Fan")

    async def choose(self, words: str) -> None:
        """Bring the cursor to the row with these words and press enter."""
        assert isinstance(self.app.screen, PowerScreen)
        screen = self.app.screen
        for key, offer in screen._offers.items():
            if words in "".join(text for text, _ in offer.line) and offer.action is not None:
                rows = screen.query_one("#rows")
                rows._key = key  # type: ignore[attr-defined]
        await self.pilot.press("enter")
        await self.wait_for_screen(ChangeDialog)


@contextlib.asynccontextmanager
async def cockpit(
    folder: Path,
    *modules: str,
    size: tuple[int, int] = (120, 36),
    control: Control | None = None,
    policy: ThermalPolicy | None = None,
    power: Power | None = None,
    sudo: bool = True,
) -> AsyncIterator[Cockpit]:
    async with simulated(*modules, folder=folder, sudo=sudo) as (fleet, config, specs):
        for host in fleet.hosts.values():
            host.board.gpu_used_since_boot = False
            host.board.workload = host.board.workload.IDLE
        connector = SshConnector(config.ssh, lonely_files(config))
        specs = [
            dataclasses.replace(spec, thermal=policy, thermal_name="lab" if policy else "")
            for spec in specs
        ]
        plan = FleetPlan(
            specs, "lab", ssh=config.ssh, control=control or Control(), power=power or Power()
        )
        session = FleetSession(
            plan, connector=connector, guards=policy is not None or power is not None,
            state_folder=folder / "state",
        )  # fmt: skip
        app = CoheteApp(Launch(), session=PlannedSession(session))
        async with app.run_test(size=size, notifications=True) as pilot:
            session.start()
            await until(
                lambda: all(
                    device.state is State.LIVE and device.facts is not None
                    for device in session.store
                )
            )
            await settle(pilot)
            yield Cockpit(pilot, app, fleet)


async def test_the_fan_curve_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "orin-nano-8gb") as test:
        await test.open_power()
        await test.wait_for("Fan, quiet  PWM")
        await test.wait_for("wanted, is ")
    async with cockpit(tmp_path / "old", "nano") as test:
        await test.open_power()
        assert not test.app.screen.query_one(FanChart).display


async def test_limits_that_are_kept_are_shown(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "orin-nano-8gb") as test:
        (device,) = test.app.store_now
        device.limit_words["desk"] = "desk: 12.3 of 11 W, step 1 of 3"
        await test.open_power()
        await test.wait_for("limit desk: 12.3 of 11 W, step 1 of 3")


async def test_a_mode_is_set_from_the_keyboard(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "nano") as test:
        await test.open_power()
        text = text_of(test.app)
        assert "● MAXN" in text
        assert "4 of 4" in text
        await test.choose("5W")
        text = text_of(test.app)
        assert "Set the power mode to 5W on 1 board?" in text
        assert "MAXN (id 0) → 5W (id 1)" in text
        assert "$ sudo -n -- /usr/sbin/nvpmodel -m 1" in text
        assert "Undone by setting MAXN again." in text
        # Enter alone changes nothing: Cancel has the focus.
        assert test.app.focused is not None
        assert test.app.focused.id == "cancel"
        await test.pilot.press("enter")
        await test.wait_for_screen(PowerScreen)
        board = test.fleet.hosts["nano-0"].board
        assert board.mode.name == "MAXN"
        await test.choose("5W")
        await test.pilot.press("tab", "enter")
        await test.wait_for_screen(RunningScreen)
        await test.wait_for("over, all well")
        assert "done: 5W (id 1)" in text_of(test.app)
        assert [board.mode.name, board.boots] == ["5W", 0]
        await test.pilot.press("escape")
        await test.wait_for("● 5W")
        await test.pilot.press("u")
        await test.wait_for_screen(AuditScreen)
        await test.wait_for("nano-0: set the power mode to 5W")
        assert "was MAXN (id 0), then 5W (id 1)" in text_of(test.app)


@pytest.mark.claim("PM-08")
async def test_a_profile_is_set_at_once_and_its_budget_counts_from_then_on(tmp_path: Path) -> None:
    small = PowerProfile(mode="15W", fan="auto", budget=Budget(most_w=14))
    async with cockpit(tmp_path, "orin-nano-8gb", power=Power(profiles={"small": small})) as test:
        await test.open_power()
        await test.wait_for("power_saver      least power, clocks free, fan auto")
        assert "budget-small" not in text_of(test.app)
        await test.choose("small  ")
        assert "Set the power profile small on 1 board?" in text_of(test.app)
        await test.pilot.press("tab", "enter")
        await test.wait_for("over, all well")
        await test.pilot.press("escape")
        await test.wait_for("● small            15W, fan auto")
        await test.wait_for("limit budget-small: ")
        assert test.fleet.hosts["orin-nano-8gb-0"].board.mode.name == "15W"


async def test_many_boards_need_their_number_typed(tmp_path: Path) -> None:
    async with cockpit(tmp_path, *(["nano"] * 5)) as test:
        assert isinstance(test.app.screen, FleetScreen)
        await test.pilot.press("asterisk")
        await test.open_power()
        assert "5 boards" in text_of(test.app)
        assert "5 of 5 active" in text_of(test.app)
        await test.choose("5W")
        text = text_of(test.app)
        assert "Set the power mode to 5W on 5 boards?" in text
        assert "nano-0, nano-1, nano-2, nano-3, nano-4" in text
        assert test.app.screen.query_one("#accept").disabled
        test.app.screen.query_one("#count").focus()
        await test.pilot.press("5")
        assert not test.app.screen.query_one("#accept").disabled
        test.app.screen.query_one("#accept").focus()
        await test.pilot.press("enter")
        await test.wait_for("over, all well")
        assert all(host.board.mode.name == "5W" for host in test.fleet.hosts.values())
        assert not list((tmp_path / "state" / "rollouts").glob("*.json"))


async def test_a_missing_right_is_told_in_full(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "nano", sudo=False) as test:
        await test.open_power()
        await test.choose("5W")
        await test.pilot.press("tab", "enter")
        await test.wait_for("over: 0 well")
        await test.wait_for("its sudoers file lacks: /usr/sbin/nvpmodel -m [0-9]")


async def test_a_reboot_is_a_button_of_its_own(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "agx-orin-64gb") as test:
        board = test.fleet.hosts["agx-orin-64gb-0"].board
        board.gpu_used_since_boot = True
        other = next(mode for mode in board.module.modes if mode.mask != board.mode.mask)
        await test.open_power()
        await test.choose(other.name)
        assert "reboot" in text_of(test.app)
        assert test.app.screen.query_one("#reboot").disabled
        await test.pilot.press("tab", "enter")
        await test.wait_for("needs a reboot")
        assert board.boots == 0


async def test_read_only_shows_and_refuses(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "nano", control=Control(read_only=True)) as test:
        await test.open_power()
        text = text_of(test.app)
        assert "Cohete runs read-only" in text
        # How it is stays to be seen; what could be done does not.
        assert "MAXN" in text
        assert "automatic" in text
        assert "lock at their highest" not in text
        assert "hold at" not in text
        await test.pilot.press("enter")
        await test.pilot.pause()
        assert "Nothing is changed: Cohete runs read-only." in notices(test.app)
        assert isinstance(test.app.screen, PowerScreen)


async def test_a_board_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "nano", size=(80, 24)) as test:
        await test.fleet.hosts["nano-0"].stop()
        await until(lambda: test.app.store_now["nano-0"].state is not State.LIVE)
        await test.pilot.press("m")
        await test.wait_for_screen(PowerScreen)
        await test.wait_for("it is not connected")


async def test_the_breaker_is_on_the_pane_and_on_its_screen(tmp_path: Path) -> None:
    policy = ThermalPolicy(threshold_c=65, cooldown_c=55, check_interval_ms=100)
    async with cockpit(tmp_path, "orin-nano-8gb", policy=policy) as test:
        board = test.fleet.hosts["orin-nano-8gb-0"].board
        board.thermal.die_c = board.thermal.sink_c = 90
        device = test.app.store_now["orin-nano-8gb-0"]
        await until(lambda: device.breaker is BreakerState.OPEN)
        await test.wait_for("○ open")
        await test.open_power()
        await test.wait_for("breaker open:")
        assert "lab: opens above 65 C" in " ".join(text_of(test.app).split())


async def test_what_nothing_was_done_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with dashboard(mixed_store()) as (pilot, app, _):
        await pilot.press("u")
        await until(lambda: "Nothing was changed yet" in text_of(app))
        await pilot.press("escape", "m")
        await pilot.pause()
        await until(lambda: "it is not connected" in text_of(app))
        assert "this is a recording" in text_of(app)
