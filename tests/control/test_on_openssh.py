"""A power mode set through OpenSSH's own sshd, with every fault at every step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohete.clock import SystemClock
from cohete.config.schema import Ssh
from cohete.control import attempt
from cohete.control.applying import Control
from cohete.control.audit import AuditLog, read_audit
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome, Result
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.power import modes
from cohete.power.modes import SetMode
from tests.boards import until
from tests.openssh import Sshd, openssh

CONF = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
CORE_1 /sys/devices/system/cpu/cpu1/online

< PARAM TYPE=FILE NAME=TPC_POWER_GATING >
TPC_PG_MASK /sys/devices/platform/gpu.0/tpc_pg_mask

< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
TPC_POWER_GATING TPC_PG_MASK 240

< POWER_MODEL ID=1 NAME=7W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 0
TPC_POWER_GATING TPC_PG_MASK 252

< PM_CONFIG DEFAULT=0 >
"""
NVPMODEL = """#!/bin/sh
echo "nvpmodel $*" >> "$STANDIN/ran"
case "$1" in
-q) echo "NV Power Mode: $(cut -d' ' -f1 < "$STANDIN/mode")"
  cut -d' ' -f2 < "$STANDIN/mode"; exit 0;;
esac
case $2 in 0) wanted='15W 0';; 1) wanted='7W 1';;
*) echo "NVPM ERROR: request for bad power mode $2"; exit 255;; esac
[ ! -e "$STANDIN/lie" ] || exit 0
[ ! -e "$STANDIN/hang" ] || exec sleep 30
if [ -e "$STANDIN/cores" ]; then
  echo 'NVPM ERROR: Error opening /sys/devices/system/cpu/cpu7/online: 2'
  echo 'NVPM ERROR: failed to set power mode!'; exit 255
fi
if [ -e "$STANDIN/prompt" ]; then
  echo 'NVPM WARN: Golden image context is already created'
  echo "NVPM WARN: Reboot required for changing to this power mode: $2"
  echo 'NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:'
  read -r answer || { echo 'NVPM ERROR: bad input!'; exit 255; }
  [ "$answer" = YES ] || { echo 'NVPM ERROR: optMask is 1, no request for power mode'; exit 255; }
  echo 'NVPM WARN: rebooting'; rm "$STANDIN/prompt"; echo "$wanted" > "$STANDIN/mode"
  echo second > "$STANDIN/boot"; exit 0
fi
echo "$wanted" > "$STANDIN/mode"
[ ! -e "$STANDIN/noise" ] || echo 'NVPM ERROR: Error opening /sys/devices/system/cpu/cpu7/online: 2'
[ ! -e "$STANDIN/cut" ] || { rm "$STANDIN/cut"; kill -9 $(cat "$STANDIN/sshd.pid") $PPID; }
exit 0
"""
SUDO = """#!/bin/sh
[ "$1" = -n ] && [ "$2" = -- ] || { echo "sudo: usage" >&2; exit 1; }
shift 2
if [ -e "$STANDIN/norule" ]; then echo 'sudo: a password is required' >&2; exit 1; fi
case "$1" in /*) ;; *) echo "sudo: $1: command not found" >&2; exit 1;; esac
program=$(basename "$1"); shift
"$STANDIN/bin/$program" "$@"
"""
CAT = """#!/bin/sh
for path in "$@"; do
  case "$path" in
  /etc/nvpmodel.conf) /bin/cat "$STANDIN/nvpmodel.conf";;
  /proc/sys/kernel/random/boot_id) /bin/cat "$STANDIN/boot";;
  *) /bin/cat "$path";;
  esac
done
"""


@dataclass
class Board:
    server: Sshd
    control: Control
    link: ReopeningLink
    folder: Path

    def flag(self, name: str) -> None:
        (self.server.folder / name).write_text("")

    @property
    def mode(self) -> str:
        return (self.server.folder / "mode").read_text().strip()

    @property
    def ran(self) -> list[str]:
        file = self.server.folder / "ran"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if " -m " in line]

    async def set(self, name: str, *, reboot: bool = False, finish: tuple[str, ...] = ()) -> Result:
        action = SetMode(name, finish=finish)
        return await self.control.apply(self.server.spec(), self.link, action, reboot=reboot)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with openssh(tmp_path / "board") as running:
        for name, text in (("nvpmodel", NVPMODEL), ("sudo", SUDO), ("cat", CAT)):
            program = running.folder / "bin" / name
            program.write_text(text)
            program.chmod(0o755)
        (running.folder / "nvpmodel.conf").write_text(CONF)
        (running.folder / "mode").write_text("15W 0\n")
        (running.folder / "boot").write_text("first\n")
        yield running


@contextlib.asynccontextmanager
async def board(server: Sshd, folder: Path) -> AsyncIterator[Board]:
    known = folder / "known"
    known.write_text(server.known_hosts)
    clock = SystemClock()
    connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
    control = Control(Gate(), AuditLog(folder / "state", clock), clock)
    async with ReopeningLink(make_opener(connector, clock), server.spec()) as link:
        yield Board(server, control, link, folder)
    await connector.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    monkeypatch.setattr(modes, "SETTLE_S", 0.1)


@pytest.mark.claim("PM-01")
async def test_set_and_read_back(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        result = await test.set("7w")
        assert (result.outcome, result.found) == (Outcome.DONE, "7W (id 1)"), result
        assert test.mode == "7W 1"
        assert (await test.set("7W")).outcome is Outcome.ALREADY
        assert test.ran == ["nvpmodel -m 1"]


async def test_errors_printed_on_the_way_are_no_failure(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        test.flag("noise")
        assert (await test.set("7W")).outcome is Outcome.DONE


@pytest.mark.claim("PM-09")
async def test_the_prompt_is_never_answered_without_a_yes(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        test.flag("prompt")
        result = await test.set("7W")
        assert result.outcome is Outcome.REBOOT_NEEDED
        assert result.found == "15W (id 0)"
        assert test.mode == "15W 0"
        result = await test.set("7W", reboot=True)
        assert result.outcome is Outcome.DONE, result
        assert test.mode == "7W 1"


@pytest.mark.claim("FO-06", "PM-09")
async def test_a_request_that_is_under_way_is_answered_before_the_reboot(
    server: Sshd, tmp_path: Path
) -> None:
    under_way, done = server.folder / "requests", server.folder / "answered"
    under_way.write_text("1\n")
    wait = f"while [ -e {under_way} ]; do sleep 0.02; done; cp {server.folder}/mode {done}"
    async with board(server, tmp_path) as test:
        test.flag("prompt")
        change = asyncio.create_task(test.set("7W", reboot=True, finish=("sh", "-c", wait)))
        await until(lambda: len(test.ran) == 1)
        await asyncio.sleep(0)
        assert not change.done()
        assert (test.mode, done.exists()) == ("15W 0", False)
        under_way.unlink()
        result = await change
        assert result.outcome is Outcome.DONE, result
        assert test.mode == "7W 1"
        # When the last request was answered, nothing had happened to the board.
        assert done.read_text() == "15W 0\n"


@pytest.mark.claim("FO-06")
async def test_a_board_that_cannot_finish_is_not_rebooted(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        test.flag("prompt")
        finish = ("sh", "-c", "echo 3 requests are under way; exit 1")
        result = await test.set("7W", reboot=True, finish=finish)
        assert not result.outcome.is_well
        assert "3 requests are under way" in result.words
        assert (test.mode, result.found) == ("15W 0", "15W (id 0)")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("norule", "its sudoers file lacks: /usr/sbin/nvpmodel -m [0-9]"),
        ("hang", "did not finish within 0.5 s"),
        ("lie", "still says otherwise"),
        ("cores", "cpu7/online: 2"),
    ],
)
async def test_a_fault_leaves_it_as_it_was_and_says_so(
    server: Sshd, tmp_path: Path, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "SET_LIMIT_S", 0.5)
    async with board(server, tmp_path) as test:
        test.flag(fault)
        result = await test.set("7W")
        assert result.outcome is Outcome.UNCHANGED
        assert words in result.words
        assert test.mode == "15W 0"
        (entry,) = read_audit(tmp_path / "state")
        assert (entry.before, entry.found) == ("15W (id 0)", "15W (id 0)")


async def test_the_connection_cut_in_the_middle(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        await test.control.look(server.spec(), test.link, SetMode("7W"))
        # The process that serves this connection dies with the change just made.
        (server.folder / "sshd.pid").write_text(" ".join(map(str, server.sessions())))
        test.flag("cut")
        result = await test.set("7W")
        assert result.outcome is Outcome.DONE, result
        assert "yet it is in" in result.words
        assert test.mode == "7W 1"


async def test_a_server_that_dies_and_stays_away(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "BACK_WITHIN_S", 0.3)
    async with board(server, tmp_path) as test:
        await test.control.look(server.spec(), test.link, SetMode("7W"))
        assert server.process is not None
        pids = [server.process.pid, *server.sessions()]
        (server.folder / "sshd.pid").write_text(" ".join(map(str, pids)))
        test.flag("cut")
        result = await test.set("7W")
        assert result.outcome is Outcome.UNKNOWN
        assert "it was: 15W (id 0)" in result.words
        server.process.wait()
        server.process = None
