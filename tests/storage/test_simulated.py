"""`cohete storage show` on simulated boards, one of them with a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohete.simulator.faults import Fault
from tests.boards import simulated
from tests.cli.test_commands import run_async


@pytest.mark.claim("SM-07")
async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    async with simulated("nano", "orin-nano-8gb", folder=tmp_path) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("storage", "show", "--config", config)
        assert status == 0
        assert out.count("NVMe") == 2
        assert out.count("eMMC") == 2
        assert "64 GB (59.6 GiB)" in out
        await fleet.hosts["nano-0"].set_fault(Fault.DISK_FULL)
        status, out, _ = await run_async("storage", "show", "--config", config)
        assert status == 1
        assert "/ is low" in out
