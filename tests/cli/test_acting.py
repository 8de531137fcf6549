"""Boards changed from the command line: shown, asked, applied, reported, gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohete.simulator.faults import Fault
from tests.boards import simulated
from tests.cli.test_commands import run_async

MODULES = ("nano", "nano", "nano")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


async def test_a_dry_run_shows_everything_and_runs_nothing(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("power", "set", "5W", "--config", config, "--dry-run")
        assert status == 0
        assert "nano-0: set the power mode to 5W; now MAXN (id 0)" in out
        assert "    sudo -n -- /usr/sbin/nvpmodel -m 1" in out
        assert "Undone by setting MAXN again." in out
        assert fleet.hosts["nano-0"].board.mode.name == "MAXN"
        status, out, _ = await run_async(
            "power", "set", "5W", "--config", config, "--dry-run", "--json"
        )
        (change,) = json.loads(out)["changes"]
        assert change["commands"] == ["sudo -n -- /usr/sbin/nvpmodel -m 1"]
        assert not (tmp_path / "state").exists()


async def test_nobody_at_the_terminal_is_no_yes(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, _, err = await run_async("power", "set", "5W", "--config", config)
        assert status == 2
        assert "nobody is at the terminal. Look at it with --dry-run, then say --yes." in err
        assert fleet.hosts["nano-0"].board.mode.name == "MAXN"


async def test_set_twice_and_told_in_the_audit_log(tmp_path: Path) -> None:
    async with simulated(*MODULES, folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("power", "set", "5W", "--config", config, "--yes")
        assert status == 0
        assert all(host.board.mode.name == "5W" for host in fleet.hosts.values())
        assert out.count(": done: now 5W (id 1)") == 3
        status, out, _ = await run_async(
            "power", "set", "5W", "--config", config, "--yes", "--json"
        )
        assert status == 0
        assert {each["outcome"] for each in json.loads(out)["devices"]} == {"already so"}
        status, out, _ = await run_async("audit", "nano-1")
        assert status == 0
        assert "nano-1: set the power mode to 5W: done" in out
        assert "was MAXN (id 0), then 5W (id 1)" in out
        status, out, _ = await run_async("audit", "--json")
        assert len(out.splitlines()) == 3
        status, out, _ = await run_async("power", "show", "--config", config, "nano-0")
        assert out.startswith("nano-0: 5W: 2 of 4 cores")


@pytest.mark.claim("FO-07")
async def test_a_value_that_was_changed_behind_our_back_is_shown(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        fleet.hosts["orin-nano-8gb-0"].board.clocks_locked = True
        status, out, _ = await run_async("power", "show", "--config", config)
        assert status == 0
        assert "CPU_A78_0 MIN_FREQ is " in out
        status, out, _ = await run_async("power", "show", "--config", config, "--json")
        (drift,) = json.loads(out)["devices"][0]["drift"]
        assert drift["arg"] == "MIN_FREQ"


async def test_read_only_refuses(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async(
            "power", "set", "5W", "--config", config, "--yes", "--read-only"
        )
        assert status == 1
        assert "nano-0: refused: Cohete runs read-only" in out
        assert fleet.hosts["nano-0"].board.mode.name == "MAXN"
        assert not any("sudo" in line for line in fleet.hosts["nano-0"].commands)


async def test_a_rollout_stops_and_goes_on(tmp_path: Path) -> None:
    async with simulated(*MODULES, folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        hosts = list(fleet.hosts.values())
        await hosts[1].set_fault(Fault.STUBBORN)
        status, out, err = await run_async(
            "power", "set", "5W", "--config", config, "--yes", "--at-once", "1"
        )
        assert status == 1
        assert "nano-0: done" in out
        assert "nano-1: failed, nothing changed" in out
        assert "nano-2: not begun: one failed" in out
        name = err.rsplit("cohete rollout resume ", 1)[1].strip()
        status, out, _ = await run_async("rollout", "list")
        assert f"{name}: power mode: 2 of 3 left: nano-1, nano-2" in out
        await hosts[1].set_fault(Fault.STUBBORN, on=False)
        status, out, _ = await run_async("rollout", "resume", name, "--config", config, "--yes")
        assert status == 0
        assert "nano-0" not in out
        assert all(host.board.mode.name == "5W" for host in hosts)
        status, out, _ = await run_async("rollout", "list")
        assert out == "No rollout waits to go on.\n"


async def test_a_filter_chooses_live_boards(tmp_path: Path) -> None:
    async with simulated("nano", "orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async(
            "power", "set", "5W", "--config", config, "--yes", "--filter", "mode:maxn"
        )
        assert status == 0
        assert "orin-nano" not in out
        assert fleet.hosts["nano-0"].board.mode.name == "5W"
        status, _, err = await run_async(
            "power", "set", "5W", "--config", config, "--yes", "--filter", "temp>150"
        )
        assert status == 2
        assert "no board is meant" in err


async def test_clocks_and_fan(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        board = fleet.hosts["orin-nano-8gb-0"].board
        more = ("--config", config, "--yes")
        assert (await run_async("clocks", "lock", "--limit", "100", *more))[0] == 0
        assert board.clocks_locked
        assert (await run_async("clocks", "free", *more))[0] == 0
        status, out, _ = await run_async("fan", "hold", "180", *more)
        assert status == 0
        assert "PWM 180, 4320 rpm" in out
        assert (await run_async("fan", "auto", *more))[0] == 0
        assert (await run_async("fan", "profile", "cool", *more))[0] == 0
        assert board.fan_profile == "cool"
        status, _, err = await run_async("fan", "hold", "300", *more)
        assert status == 2
        assert "0<=x<=255" in err


async def test_clocks_and_fan_are_shown(tmp_path: Path) -> None:
    async with simulated("nano", "orin-nano-8gb", folder=tmp_path, sudo=True):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("clocks", "show", "--config", config)
        assert status == 0
        assert "nano-0: not known: jetson_clocks needs root to show them" in out
        text = (tmp_path / "cohete.yaml").read_text()
        (tmp_path / "cohete.yaml").write_text(text.replace("- id:", "- sudo: true\n      id:"))
        status, out, _ = await run_async("clocks", "show", "--config", config)
        assert (status, out) == (0, "nano-0: not locked\norin-nano-8gb-1: not locked\n")
        await run_async("clocks", "lock", "nano-0", "--config", config, "--yes")
        status, out, _ = await run_async("clocks", "show", "--config", config, "--json")
        assert [each["clocks"] for each in json.loads(out)["devices"]] == ["locked", "not locked"]
        status, out, _ = await run_async("fan", "show", "--config", config)
        nano, orin = out.splitlines()
        assert (status, nano.partition(";")[0]) == (0, "nano-0: automatic")
        assert "; knows cool, quiet" in orin or "; knows quiet, cool" in orin
        await run_async("fan", "hold", "99", "nano-0", "--config", config, "--yes")
        # Only the boards that are meant are asked.
        more = ("--config", config, "--filter", "nano-0", "--json")
        status, out, _ = await run_async("fan", "show", *more)
        (device,) = json.loads(out)["devices"]
        assert (device["automatic"], device["pwm"], device["given_back_by_a_timer"]) == (
            False, 99, True,
        )  # fmt: skip
        for verb in (("status",), ("budget",), ("power", "list"), ("power", "show"), ("drift",)):
            status, out, _ = await run_async(*verb, "--config", config, "--filter", "orin")
            assert "orin-nano-8gb-1" in out
            assert "nano-0" not in out.replace("orin-nano-8gb", "")


async def test_sudoers() -> None:
    status, out, _ = await run_async("sudoers", "power", "--user", "robot")
    assert status == 0
    assert "robot ALL=(root) NOPASSWD: /usr/sbin/nvpmodel -m [0-9]\n" in out
    assert "jetson_clocks" not in out


async def test_sudoers_of_what_is_set_up(tmp_path: Path) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text("provision: {packages: [htop], swappiness: 10, cuda_environment: true}\n")
    status, out, _ = await run_async("sudoers", "provision", "--config", str(path))
    assert status == 0
    assert "--no-remove install htop\n" in out
    assert "/usr/sbin/sysctl -w vm.swappiness" in out
    assert "/etc/profile.d/cohete-cuda.sh" in out
    status, out, _ = await run_async("sudoers", "storage")
    assert status == 0
    assert "/usr/sbin/nvme smart-log /dev/nvme0n1 -o json\n" in out


async def test_sudoers_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text(
        "fleet: {devices: [{id: a}]}\ncontrol: {drain: [llm]}\n"
        "thermal: {x: {threshold_c: 80, cooldown_c: 70, check_interval_ms: 500, "
        "on_open: {pause: [detector], freeze: [train]}}}\n"
    )
    status, out, _ = await run_async("sudoers", "services", "--config", str(path))
    assert status == 0
    for rule in (
        "/usr/bin/docker pause detector", "/usr/bin/docker unpause detector",
        "/bin/systemctl freeze train.service", "/bin/systemctl stop llm.service",
    ):  # fmt: skip
        assert f"NOPASSWD: {rule}\n" in out
