"""`cohete power list` as a person or a script runs it, against boards behind real SSH."""

from __future__ import annotations

import json
from pathlib import Path

from cohete.power.reading import power_from
from tests.boards import simulated
from tests.cli.test_commands import run_async
from tests.power.test_nvpmodel import CONF


async def test_modes_of_a_mixed_fleet(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", "nano", "thor", folder=tmp_path) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, err = await run_async("power", "list", "--config", config)
        assert (status, err) == (0, "")
        assert "orin-nano-8gb-0: " in out
        assert "5W" in out
        assert "may ask for a reboot" in out
        status, out, _ = await run_async("power", "list", "--config", config, "--json")
        assert status == 0
        devices = {device["id"]: device for device in json.loads(out)["devices"]}
        nano = devices["nano-1"]
        assert nano["active"] == "MAXN"
        assert [mode["name"] for mode in nano["modes"]] == ["MAXN", "5W"]
        assert nano["modes"][1]["cores_online"] == 2
        assert nano["modes"][0]["gpu_max_mhz"] is None
        host = fleet.hosts["nano-1"]
        host.board.written["/etc/nvpmodel.conf"] = b"nothing useful\n"
        status, out, _ = await run_async("power", "list", "--config", config, "nano-1")
        # The program itself still lists its modes.
        assert status == 0
        assert "nano-1: MAXN" in out
        assert "5W" in out


async def test_a_board_that_is_down_does_not_hide_the_others(tmp_path: Path) -> None:
    async with simulated("nano", "tx2", folder=tmp_path) as (fleet, _, __):
        await fleet.hosts["tx2-1"].stop()
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("power", "list", "--config", config)
        assert status == 1
        assert "nano-0: MAXN" in out
        assert "tx2-1: " in out
        assert "refused" in out


def test_what_is_unknown_says_why() -> None:
    known = power_from({"nvpmodel_conf": CONF.encode(), "nvpmodel": b"NV Power Mode: MAXN\n0\n"})
    assert known.note == ""
    assert known.current_mode is known.conf.modes[0]
    silent = power_from({"nvpmodel_conf": CONF.encode(), "nvpmodel": b"sh: nvpmodel: not found"})
    assert silent.note == "nvpmodel -q says no mode: sh: nvpmodel: not found"
    other = power_from({"nvpmodel_conf": CONF.encode(), "nvpmodel": b"NV Power Mode: 40W\n4\n"})
    assert other.note == "the active mode 40W is not in /etc/nvpmodel.conf"
    assert power_from({}).note == "no modes in /etc/nvpmodel.conf: it is empty"
