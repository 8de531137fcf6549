"""`cohete drift`: what is not as it was accepted, found on boards behind real SSH."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohete.simulator.faults import Fault
from cohete.simulator.server import SimFleet
from tests.boards import simulated
from tests.cli.test_commands import run_async


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def with_profile(folder: Path) -> str:
    path = folder / "cohete.yaml"
    text = path.read_text().replace("id: nano-0\n", "id: nano-0\n      power_profile: eco\n")
    more = "power:\n  profiles:\n    eco: {mode: MAXN}\n"
    path.write_text(text + more + "control:\n  watch_files: [/etc/app.conf]\n")
    return str(path)


def spoil(fleet: SimFleet) -> None:
    board = fleet.hosts["nano-0"].board
    board.packages["nvidia-l4t-core"] = "32.7.9-1"
    board.packages["sl"] = "5.02-1"
    board.packages["nvidia-jetpack"] = ""
    board.written["/etc/app.conf"] = b"password = hunter3\n"
    board.written["/etc/hosts"] = b"127.0.0.1 localhost\n"


@pytest.mark.claim("FO-07")
async def test_a_changed_mode_package_and_file_are_told_and_no_secret(tmp_path: Path) -> None:
    async with simulated("nano", "orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = with_profile(tmp_path)
        fleet.hosts["nano-0"].board.written["/etc/app.conf"] = b"password = hunter2\n"
        module = fleet.hosts["nano-0"].board.module
        jetpack, core = module.jetpack, module.core_package
        status, out, _ = await run_async("drift", "--config", config)
        assert status == 1
        assert out.count("nothing was accepted yet; `cohete drift --accept`") == 2
        status, out, _ = await run_async("drift", "--config", config, "--accept")
        assert status == 0
        assert "nano-0: accepted as it is now: mode MAXN, 3 packages, 3 files" in out
        status, out, _ = await run_async("drift", "--config", config)
        assert (status, out.count(": as accepted ")) == (0, 2)
        spoil(fleet)
        status, _, _err = await run_async(
            "power", "set", "5W", "nano-0", "--config", config, "--yes"
        )
        assert status == 0
        status, out, _ = await run_async("drift", "--config", config)
        assert status == 1
        assert [line.strip() for line in out.splitlines() if line.startswith("  ")] == [
            "power mode is 5W, was MAXN",
            f"package nvidia-jetpack is gone, was {jetpack}",
            f"package nvidia-l4t-core is 32.7.9-1, was {core}",
            "package sl is 5.02-1, is new",
            "file /etc/app.conf has changed",
            "file /etc/hosts is new",
            "`cohete apply` sets the mode again.",
        ]
        assert "orin-nano-8gb-1: as accepted" in out
        _, told, _err = await run_async("drift", "--config", config, "--json")
        assert len(json.loads(told)["devices"][0]["differences"]) == 6
        kept = "".join(path.read_text() for path in (tmp_path / "state").rglob("*.json"))
        assert "hunter" not in out + told + kept
        # The mode is made so again, once; the rest is accepted.
        for expected in ("done", "already so"):
            status, out, _ = await run_async("apply", "--config", config, "--yes")
            assert status == 0
            assert expected in out
        status, out, _ = await run_async("drift", "--config", config)
        assert "power mode" not in out
        await run_async("drift", "--config", config, "--accept")
        status, _, _err = await run_async("drift", "--config", config)
        assert status == 0


async def test_a_board_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, __):
        config = str(tmp_path / "cohete.yaml")
        await run_async("drift", "--config", config, "--accept")
        fleet.hosts["nano-0"].board.faults.add(Fault.AUTH)
        status, out, _ = await run_async("drift", "--config", config)
        assert status == 1
        assert out.startswith("nano-0: ")
        assert "as accepted" not in out


async def test_what_was_kept_and_broken_is_not_taken_for_accepted(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path):
        config = str(tmp_path / "cohete.yaml")
        await run_async("drift", "--config", config, "--accept")
        (file,) = (tmp_path / "state").rglob("nano-0.json")
        assert file.stat().st_mode & 0o077 == 0
        good = file.read_text()
        for text in ("", "{}", "\x00", good.replace("nano-0", "nano-1"), good[:-2]):
            file.write_text(text)
            status, out, _ = await run_async("drift", "--config", config)
            assert (status, "nothing was accepted yet" in out) == (1, True), text


async def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    async with simulated("nano", folder=tmp_path):
        status, _, err = await run_async(
            "drift", "--config", str(tmp_path / "cohete.yaml"), "--accept"
        )
        assert status == 2
        assert "what was accepted cannot be kept: Not a directory" in err
