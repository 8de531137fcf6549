"""Fans, clocks and held work through OpenSSH's own sshd, with every fault at every step."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome, Result
from cohete.fleet.holding import NOTE, Hold, Kind, Release, Work
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode
from cohete.power.profiles import Profile
from tests.control.faulty import Fault, Faulty, Hurried, check
from tests.control.rooted import WORKER, Rooted, build, end_worker, is_stopped, start_worker
from tests.openssh import Sshd, openssh

WORK = (
    Work(Kind.UNIT, "inference"),
    Work(Kind.FROZEN, "training"),
    Work(Kind.CONTAINER, "detector"),
    Work(Kind.PROCESS, WORKER),
)
PROFILE = Profile("small", mode="7W", clocks=False, fan="auto")
CASES: dict[str, tuple[Action, tuple[Action, ...]]] = {
    "mode": (SetMode("7W"), ()),
    "profile": (PROFILE, (SetClocks(locked=True), HoldFan(200))),
    "lock clocks": (SetClocks(locked=True), ()),
    "free clocks": (SetClocks(locked=False), (SetClocks(locked=True),)),
    "hold fan": (HoldFan(200), ()),
    "give fan back": (AutomaticFan(), (HoldFan(200),)),
    "fan profile": (SetFanProfile("cool"), ()),
    "hold work": (Hold(WORK), ()),
    "let work go": (Release(), (Hold(WORK),)),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with openssh(tmp_path_factory.mktemp("board")) as running:
        yield running


@pytest.fixture
def worker(server: Sshd) -> Iterator[subprocess.Popen[bytes]]:
    running = start_worker(server)
    yield running
    end_worker(running)


async def faced(
    server: Sshd,
    worker: subprocess.Popen[bytes],
    folder: Path,
    name: str,
    fault: Fault | None = None,
    at: int = -1,
) -> tuple[Result, str, int]:
    """The result of a change with one fault, how the board says it is then, commands it took."""
    action, before = CASES[name]
    root = build(server)
    os.killpg(worker.pid, signal.SIGCONT)
    folder.mkdir()
    known = folder / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
    clock = Hurried()
    control = Control(Gate(), AuditLog(folder / "state", clock), clock)
    spec = server.spec()
    async with ReopeningLink(make_opener(connector, clock), spec) as link:
        board = Rooted(link, root)
        for each in before:
            done = await control.apply(spec, board, each)
            assert done.outcome is Outcome.DONE, done
        faulty = Faulty(board, fault, at)
        result = await control.apply(spec, faulty, action)
        truth = (await control.look(spec, board, action)).before
    await connector.close()
    return result, truth, faulty.commands


@pytest.mark.parametrize("name", CASES)
async def test_the_result_says_how_the_board_is(
    server: Sshd, worker: subprocess.Popen[bytes], name: str, tmp_path: Path
) -> None:
    result, _, commands = await faced(server, worker, tmp_path / "well", name)
    assert result.outcome is Outcome.DONE, result
    before = result.before
    for at in range(commands):
        for fault in Fault:
            result, truth, _ = await faced(
                server, worker, tmp_path / f"{at}-{fault.name}", name, fault, at
            )
            check(result, truth, before, f"{fault} at command {at + 1} of {commands}")


async def test_real_signals_hold_a_real_program(
    server: Sshd, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    root = build(server)
    known = tmp_path / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
    clock = Hurried()
    control = Control(Gate(), AuditLog(tmp_path / "state", clock), clock)
    spec = server.spec()
    async with ReopeningLink(make_opener(connector, clock), spec) as link:
        board = Rooted(link, root)
        assert (await control.apply(spec, board, Hold(WORK))).outcome is Outcome.DONE
        assert is_stopped(worker)
        assert (root / "units/inference.service").read_text() == "inactive\n"
        assert (root / "units/training.service.frozen").exists()
        assert (root / "containers/detector").read_text() == "paused\n"
        assert (root / NOTE).read_text().splitlines() == [
            f"group {worker.pid} breaker",
            "frozen training.service breaker",
            "container detector breaker",
            "unit inference.service breaker",
        ]
        assert (await control.apply(spec, board, Release())).outcome is Outcome.DONE
        assert not is_stopped(worker)
        assert (root / "units/inference.service").read_text() == "active\n"
        assert (root / "containers/detector").read_text() == "running\n"
        assert not (root / NOTE).exists()
    await connector.close()
