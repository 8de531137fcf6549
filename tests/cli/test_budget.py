"""Memory of boards against their budgets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohete.device.memory import memory_from
from tests.boards import simulated
from tests.cli.test_commands import run_async


@pytest.mark.claim("MM-01", "MM-08")
async def test_the_budget_of_each_board(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", "nano", folder=tmp_path) as (fleet, _, __):
        path = tmp_path / "cohete.yaml"
        path.write_text(
            path.read_text().replace("id: nano-1\n", "id: nano-1\n      memory_budget_mb: 64\n")
        )
        more = ("--config", str(path))
        status, out, _ = await run_async("budget", *more)
        assert status == 1
        assert "over budget by " in out
        status, out, _ = await run_async("budget", "orin-nano-8gb-0", *more, "--json")
        assert status == 0
        (device,) = json.loads(out)["devices"]
        board = fleet.hosts["orin-nano-8gb-0"].board
        real = board.module.memory_mb - board.memory_used_mb
        assert abs(device["available_mb"] - real) <= 50
        assert device["used_mb"] == device["total_mb"] - device["available_mb"]
        assert device["gpu_mb"] > 0
        status, out, _ = await run_async("budget", "orin-nano-8gb-0", *more, "--fits", "900")
        assert status == 0
        assert "900 MB needed" in out
        status, out, _ = await run_async("budget", "orin-nano-8gb-0", *more, "--fits", "99999")
        assert status == 1
        await fleet.hosts["nano-1"].stop()
        status, out, _ = await run_async("budget", *more)
        assert status == 1
        assert "refused" in out


def test_what_is_not_told_is_unknown(corpus: Path) -> None:
    assert memory_from({}).total_mb is None
    nano = memory_from({"meminfo": (corpus / "meminfo" / "nano_excerpt.txt").read_bytes()})
    assert (nano.total_mb, nano.available_mb, nano.nvmap_mb) == (3964, None, 239)
    zram = b"Filename Type Size Used Priority\n/dev/zram0 partition 1000 0 5\n"
    assert memory_from({"swaps": zram}).swap_is_zram is True
    both = zram + b"/mnt/swapfile file 1000 0 -2\n"
    assert memory_from({"swaps": both}).swap_is_zram is False


@pytest.mark.claim("MM-01")
def test_this_machine() -> None:
    meminfo = Path("/proc/meminfo").read_bytes()
    memory = memory_from({"meminfo": meminfo})
    line = next(line for line in meminfo.decode().splitlines() if line.startswith("MemAvailable"))
    assert memory.available_mb == int(line.split()[1]) // 1024
