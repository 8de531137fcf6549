"""Boards that switch their power profile by themselves: on a battery, when idle, and back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.config.control import Control as ControlSettings
from cohete.config.control import Power, PowerProfile
from cohete.config.spec import DeviceSpec
from cohete.config.switches import Switch
from cohete.config.target import Target
from cohete.control.applying import Control
from cohete.control.audit import AuditLog, read_audit
from cohete.control.gate import Gate
from cohete.device.battery import battery_from
from cohete.device.identity import Facts
from cohete.errors import ConfigError
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.store import FleetStore
from cohete.fleet.switches import DeviceSwitch, SwitchKeeper
from cohete.simulator.board import SimBoard, TegraStatsRun
from cohete.simulator.sysfs import sysfs
from cohete.simulator.workload import Workload
from cohete.tegra import parse
from tests.cli.test_commands import run_async
from tests.fleet.test_limits import OnBoard

POWER = Power(profiles={"small": PowerProfile(mode="15W"), "big": PowerProfile(mode="25W")})
SUPPLY = "/sys/class/power_supply/battery"


class Switched:
    """A simulated board, its switches, and time that is ours."""

    def __init__(self, folder: Path, *, read_only: bool = False, **switches: Switch) -> None:
        self.clock = ManualClock()
        self.board = SimBoard("b", "orin-nano-8gb", self.clock, workload=Workload.TRAINING)
        self.board.settle(60)
        spec = DeviceSpec("b", Target("h"), switches=tuple(switches))
        self.store = FleetStore([spec], self.clock)
        control = Control(Gate(read_only), AuditLog(folder, self.clock), self.clock)
        self.keeper = SwitchKeeper(
            self.store, switches, POWER, ControlSettings(), control,
            lambda _: OnBoard(self.board), Standing(folder), self.clock,
        )  # fmt: skip
        self._stats = TegraStatsRun(self.board, root=False)

    @property
    def each(self) -> DeviceSwitch:
        return self.keeper.by_id["b"]

    async def run(self, seconds: int) -> None:
        device = self.store["b"]
        for _ in range(seconds):
            self.clock.step(1)
            stats = parse(self._stats.line())
            assert stats is not None
            self.store.apply(device, stats)
            text = "".join(f"{path}:{data.decode()}" for path, data in sysfs(self.board).items())
            self.store.apply_facts(device, Facts(battery=battery_from(text)))
            self.board.gpu_used_since_boot = False
            self.keeper.look()
            if self.each.task is not None:
                await asyncio.wait([self.each.task])
                self.each.task.result()


@pytest.mark.claim("PM-05")
async def test_on_a_battery_it_saves_and_on_mains_it_does_not(tmp_path: Path) -> None:
    test = Switched(
        tmp_path, battery=Switch(when="is:on-battery", profile="small", back="big", for_s=5)
    )
    test.board.battery_percent, test.board.on_battery = 40, False
    await test.run(20)
    assert test.board.mode.name == "25W"
    test.board.on_battery = True
    await test.run(20)
    assert test.board.mode.name == "15W"
    battery = test.store["b"].facts
    assert battery is not None
    assert battery.battery is not None
    assert battery.battery.words.startswith("on battery, 40 %, about ")
    assert battery.battery.runtime_min == pytest.approx(60 * 20 / test.board.power_w, rel=0.3)
    test.board.on_battery = False
    await test.run(5)
    assert test.board.mode.name == "25W"


@pytest.mark.claim("PM-05")
async def test_what_was_switched_before_a_restart_is_switched_back(tmp_path: Path) -> None:
    switch = Switch(when="is:on-battery", profile="small", back="big", for_s=5)
    test = Switched(tmp_path, battery=switch)
    test.board.battery_percent, test.board.on_battery = 40, True
    await test.run(20)
    assert test.board.mode.name == "15W"
    assert test.store["b"].profile_name == "small"
    (stands,) = Standing(tmp_path).read()
    assert (stands.device, stands.owner) == ("b", "switch:battery")
    assert stands.words == "set the power profile small, while is:on-battery"
    again = Switched(tmp_path, battery=switch)
    again.board.battery_percent, again.board.on_battery = 40, False
    again.board.set_mode(test.board.mode)
    other = Taken("b", "switch:gone", "w", "", 0)
    assert again.keeper.resume([*Standing(tmp_path).read(), other]) == [other]
    # The supply is only known once the facts were read: until then nothing is switched back.
    await again.run(60)
    assert again.board.mode.name == "15W"
    await again.run(60)
    assert again.board.mode.name == "25W"
    assert again.each.back_s[0] < 200
    assert again.store["b"].profile_name == "big"
    assert Standing(tmp_path).read() == []


@pytest.mark.claim("PM-05")
async def test_a_switch_that_still_holds_outlives_a_restart(tmp_path: Path) -> None:
    switch = Switch(when="is:on-battery", profile="small", back="big", for_s=60, back_after_s=60)
    test = Switched(tmp_path, battery=switch)
    test.board.battery_percent, test.board.on_battery = 40, True
    await test.run(90)
    assert test.board.mode.name == "15W"
    again = Switched(tmp_path, battery=switch)
    again.board.battery_percent, again.board.on_battery = 40, True
    again.board.set_mode(test.board.mode)
    assert again.keeper.resume(Standing(tmp_path).read()) == []
    await again.run(300)
    assert again.board.mode.name == "15W"
    assert not [event for event in again.store.events if event.kind == "switch"]
    assert len(Standing(tmp_path).read()) == 1


@pytest.mark.claim("PM-05")
async def test_what_was_noted_and_not_done_is_done_after_a_restart(tmp_path: Path) -> None:
    # Killed while it went from one to the other: both are noted, and nothing was set.
    standing = Standing(tmp_path)
    for since_s, name in enumerate(("idle", "battery")):
        standing.write(Taken("b", f"switch:{name}", "w", "", since_s))
    again = Switched(
        tmp_path,
        battery=Switch(when="is:on-battery", profile="small", back="big", for_s=5),
        idle=Switch(when="gpu<5 cpu<10", profile="big", for_s=5),
    )
    again.board.battery_percent, again.board.on_battery = 40, True
    assert again.board.mode.name == "25W"
    assert again.keeper.resume(standing.read()) == []
    await again.run(5)
    assert again.board.mode.name == "15W"
    assert [taken.owner for taken in standing.read()] == ["switch:battery"]
    again.board.on_battery = False
    await again.run(120)
    assert again.board.mode.name == "25W"
    assert standing.read() == []


async def test_a_switch_that_was_refused_leaves_no_note(tmp_path: Path) -> None:
    test = Switched(tmp_path, battery=Switch(when="is:on-battery", profile="none", for_s=0))
    test.board.battery_percent, test.board.on_battery = 40, True
    with pytest.raises(ConfigError, match="no power profile 'none'"):
        await test.run(5)
    assert Standing(tmp_path).read() == []


@pytest.mark.claim("PM-07")
async def test_an_idle_board_saves_and_is_back_at_once(tmp_path: Path) -> None:
    test = Switched(
        tmp_path, idle=Switch(when="gpu<5 cpu<10", profile="small", back="big", for_s=60)
    )
    await test.run(120)
    assert test.board.mode.name == "25W"
    test.board.workload = Workload.IDLE
    await test.run(50)
    busy_w = test.board.power_w
    assert test.board.mode.name == "25W"
    await test.run(60)
    assert test.board.mode.name == "15W"
    assert test.board.power_w <= busy_w
    test.board.workload = Workload.INFERENCE
    await test.run(5)
    assert test.board.mode.name == "25W"
    # From the first sample that shows work to the mode that is read back.
    assert len(test.each.back_s) == 1
    assert test.each.back_s[0] <= 1.0
    texts = [event.text for event in test.store.events if event.kind == "switch"]
    assert texts[0].startswith("idle: power profile small after ")
    assert texts[1].startswith("idle is over: power profile big after ")


@pytest.mark.claim("PM-07")
async def test_a_board_that_answers_a_long_request_is_not_idle(tmp_path: Path) -> None:
    test = Switched(
        tmp_path, idle=Switch(when="gpu<5 cpu<10", profile="small", back="big", for_s=60)
    )
    test.board.workload = Workload.INFERENCE
    await test.run(900)
    assert test.board.mode.name == "25W"
    assert not [event for event in test.store.events if event.kind == "switch"]


async def test_read_only_tells_once_and_fills_no_log(tmp_path: Path) -> None:
    test = Switched(
        tmp_path, read_only=True,
        battery=Switch(when="is:on-battery", profile="small", for_s=0),
    )  # fmt: skip
    test.board.battery_percent, test.board.on_battery = 40, True
    await test.run(120)
    assert test.board.mode.name == "25W"
    (event,) = [event for event in test.store.events if event.kind == "change failed"]
    assert "refused: Cohete runs read-only" in event.text
    assert read_audit(tmp_path) == []


def test_batteries_as_the_kernel_tells_them() -> None:
    assert battery_from("") is None
    text = f"{SUPPLY}/type:Mains\n"
    assert battery_from(text) is None
    charge = (
        f"{SUPPLY}/type:Battery\n{SUPPLY}/status:Discharging\n{SUPPLY}/capacity:55\n"
        f"{SUPPLY}/charge_now:2000000\n{SUPPLY}/current_now:-1000000\n{SUPPLY}/voltage_now:12000000\n"
    )
    battery = battery_from(charge)
    assert battery is not None
    assert (battery.percent, battery.draw_w, battery.runtime_min) == (55, 12.0, 120.0)
    silent = battery_from(f"{SUPPLY}/type:Battery\n{SUPPLY}/status:Full\n")
    assert silent is not None
    assert silent.words == "on mains"


@given(st.text(max_size=100))
def test_nothing_a_supply_says_raises(text: str) -> None:
    battery_from(f"{SUPPLY}/type:Battery\n{SUPPLY}/energy_now:{text}\n{SUPPLY}/status:Discharging")


def test_a_filter_that_means_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the switch x: there is no field"):
        Switched(tmp_path, x=Switch(when="volts>3", profile="small"))


async def test_names_that_do_not_exist_are_faults_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text(
        "switches: {idle: {when: 'gpu<5', profile: smal}}\n"
        "fleet: {devices: [{id: a, switches: [idel], limits: [x]}]}\n"
    )
    status, out, err = await run_async("config", "check", str(path))
    assert status == 1
    text = out + err
    assert "no power profile is called 'smal'" in text
    assert "nothing under switches is called 'idel'. Did you mean 'idle'?" in text
    assert "nothing under limits is called 'x'" in text
