"""`cohete storage` through OpenSSH's sshd: real lsblk and df, a real disk measured."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohete.control.audit import default_folder, read_audit
from cohete.errors import ChangeRefused, CommandError
from cohete.links.base import Completed
from cohete.storage import benchmark
from cohete.storage.benchmark import Speed, compared, is_slower, speed_from, step_for
from tests.cli.test_commands import run_async
from tests.control.test_on_openssh import SUDO
from tests.openssh import Sshd, openssh
from tests.storage.test_health import NVME_1, NVME_2, said


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with openssh(tmp_path / "board") as running:
        sudo = running.folder / "bin" / "sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)
        config = tmp_path / "cohete.yaml"
        (tmp_path / "known").write_text(running.known_hosts)
        target = running.spec().target
        config.write_text(
            f"ssh: {{known_hosts: {tmp_path}/known}}\n"
            f"fleet: {{devices: [{{id: board, ip: 127.0.0.1, port: {running.port}, sudo: true, "
            f"user: {target.user}, identity_file: {running.client_key}}}]}}\n"
        )
        yield running


def stand_in(server: Sshd, name: str, text: str) -> None:
    program = server.folder / "bin" / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


@pytest.mark.claim("SM-01", "SM-07")
async def test_the_disks_of_this_very_machine(server: Sshd, tmp_path: Path) -> None:
    config = str(tmp_path / "cohete.yaml")
    status, out, err = await run_async("storage", "show", "--config", config, "--json")
    (board,) = json.loads(out)["devices"]
    if "error" in board:
        pytest.skip(f"this machine tells no disks: {board['error']}")
    for disk in board["disks"]:
        real = Path(f"/sys/block/{disk['name']}/size")
        assert disk["bytes"] == 512 * int(real.read_text())
    status, out, err = await run_async("storage", "show", "--config", config)
    assert "board" in out, err
    # A disk that is nearly full, mounted by a name that may change.
    stand_in(server, "lsblk", "cat " + str(server.folder / "lsblk.json"))
    stand_in(server, "df", "cat " + str(server.folder / "df"))
    (server.folder / "lsblk.json").write_text(
        json.dumps({"blockdevices": [
            {"name": "nvme0n1", "type": "disk", "size": 512110190592, "children": [
                {"name": "nvme0n1p1", "type": "part", "size": 512000000000, "fstype": "ext4",
                 "mountpoint": "/mnt/nvme"}]},
            {"name": "nvme1n1", "type": "disk", "size": 1000}]})
    )  # fmt: skip
    (server.folder / "df").write_text(
        "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "/dev/nvme0n1p1 500000000 455000000 45000000 91% /mnt/nvme\n"
    )
    status, out, err = await run_async("storage", "show", "--config", config)
    assert status == 1
    assert "512 GB (476.9 GiB)" in out
    assert "46 GB (9 %)" in out
    assert "/mnt/nvme is low" in out
    assert "nothing is on it yet" in out


@pytest.mark.claim("SM-04")
async def test_health_by_whichever_program_there_is(server: Sshd, tmp_path: Path) -> None:
    config = str(tmp_path / "cohete.yaml")
    document = {"blockdevices": [{"name": "nvme0n1", "type": "disk", "size": 9, "serial": "S1"}]}
    (server.folder / "lsblk.json").write_text(json.dumps(document))
    stand_in(server, "lsblk", "cat " + str(server.folder / "lsblk.json"))
    status, out, _ = await run_async("storage", "health", "--config", config)
    assert status == 1
    assert "neither nvme-cli nor smartctl tells it" in out
    log = server.folder / "log.json"
    stand_in(server, "nvme", f"cat {log}")
    log.write_bytes(said(NVME_1))
    status, out, _ = await run_async("storage", "health", "--config", config)
    assert (status, "3 % worn, spare 100 %" in out) == (0, True)
    log.write_bytes(said(NVME_2))
    status, out, _ = await run_async("storage", "health", "--config", config, "--json")
    assert status == 1
    (disk,) = json.loads(out)["devices"][0]["disks"]
    assert disk["trend"] == "17 new media errors"
    assert "its reliability is degraded" in disk["problems"]
    text = (tmp_path / "cohete.yaml").read_text()
    (tmp_path / "cohete.yaml").write_text(text.replace("sudo: true, ", ""))
    status, out, _ = await run_async("storage", "health", "--config", config)
    assert (status, "needs root to be read" in out) == (1, True)


@pytest.mark.claim("SM-10")
async def test_a_disk_is_measured_and_compared(server: Sshd, tmp_path: Path) -> None:
    config = str(tmp_path / "cohete.yaml")
    more = ("--config", config, "--size", "64", "--folder", str(tmp_path))
    status, out, _ = await run_async("storage", "benchmark", *more, "--dry-run")
    assert status == 0
    assert "O_DIRECT" in out
    status, out, _ = await run_async("storage", "benchmark", *more, "--yes", "--read-only")
    assert (status, "refused: " in out) == (1, True)
    status, out, err = await run_async("storage", "benchmark", *more, "--yes", "--json")
    (found,) = json.loads(out)["devices"]
    if "past the cache" in found.get("error", ""):
        pytest.skip(f"no O_DIRECT here: {found['error']}")
    assert status == 0, (out, err)
    assert found["write_mb_s"] > 0
    assert 0 < found["p50_us"] <= found["p95_us"] <= found["p99_us"]
    assert not list(tmp_path.glob(".cohete-benchmark-*"))
    status, out, _ = await run_async("storage", "benchmark", *more, "--yes")
    assert "of the baseline" in out
    done = [entry for entry in read_audit(default_folder(), device="board") if entry.found]
    assert [entry.outcome for entry in done] == ["done", "done"]
    # Where there is no room nothing is written.
    status, out, _ = await run_async(
        "storage", "benchmark", "--config", config, "--size", "65536", "--yes",
        "--folder", "/dev/shm",
    )  # fmt: skip
    assert status == 1
    assert "to spare are needed" in out or "past the cache" in out


def test_what_goes_wrong_is_said() -> None:
    step = step_for("/x")
    for done, words in (
        (Completed(127, b"", b"python3: not found"), "no python3 on this board"),
        (Completed(1, b"", b"3 MB are free, 512 and 1024 to spare are needed"), "3 MB are free"),
        (Completed(0, b"{}", b""), "cannot be read"),
        (Completed(0, b'{"write_mb_s": NaN}', b""), "cannot be read"),
    ):
        with pytest.raises(CommandError, match=words):
            speed_from(step, done)
    for folder in ("relative", "/a\0b", "/" + "x" * 300):
        with pytest.raises(ChangeRefused):
            step_for(folder)


@pytest.mark.claim("SM-10")
def test_a_folder_is_one_word_whatever_it_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a b; touch x"
    folder.mkdir()
    argv = list(step_for(str(folder), 64, 0.01).argv)
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, 1)
    assert not list(tmp_path.rglob("x"))
    assert not list(folder.iterdir())


@pytest.mark.claim("SM-10")
def test_slower_than_the_baseline() -> None:
    before = Speed(1000, 2000, 50_000, 80, 120, 300)
    now = Speed(650, 2100, 49_000, 80, 130, 400)
    assert compared(before, now) == "write 65 %, read 105 %, random reads 98 % of the baseline"
    assert is_slower(before, now)
    assert not is_slower(before, before)
    assert benchmark.SIZE_MB == 512
