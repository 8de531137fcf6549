"""In a real pseudo-terminal: nothing of a device reaches it raw, and it is left as it was."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cohete.simulator.faults import Fault
from tests.boards import simulated, until

_LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"
_CSI = re.compile(rb"\x1b\[[0-9;:?<=>$]*[a-zA-Z~]")
_OTHER_OWN = re.compile(
    rb"\x1b(?:[78=>]|\([AB0])|\x1bP\+q[0-9a-fA-F;]*\x1b\\|\x1b\](?:2;cohete|22;[a-z-]*)\x07"
)


class Terminal:
    """The dashboard in a pty of 80x24."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            code = "from cohete_tui.cli import main; main()"
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self.master, False)
        self.output = b""
        self.status: int | None = None

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self.master, 65536):
                self.output += data
        return self.output

    def text(self) -> str:
        return _CSI.sub(b"", self.read()).decode("utf-8", "replace")

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ended(self) -> bool:
        self.read()
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.master)


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    shown = Terminal(*arguments)
    try:
        yield shown
    finally:
        shown.close()
        if not shown.ended():
            os.kill(shown.pid, signal.SIGKILL)
            os.waitpid(shown.pid, 0)


def instead_of_ssh(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = folder / "bin"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text(script)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


@contextlib.asynccontextmanager
async def live(folder: Path) -> AsyncIterator[Terminal]:
    """The dashboard with one simulated board that is live."""
    async with simulated("nano", folder=folder):
        with terminal("--config", str(folder / "cohete.yaml")) as shown:
            await until(lambda: "● live" in shown.text())
            yield shown


async def test_nothing_a_device_prints_reaches_the_terminal_raw(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", "nano", folder=tmp_path) as (fleet, _, _):
        for host in fleet.hosts.values():
            host.board.faults |= {Fault.ESCAPES, Fault.GARBAGE}
        with terminal("--config", str(tmp_path / "cohete.yaml")) as shown:
            await until(lambda: "● live" in shown.text())
            shown.press(b"\r")
            await until(lambda: "kernel" in shown.text() or "Load and memory" in shown.text())
            await until(lambda: "Load and memory" in shown.text())
            shown.press(b"j" * 40)
            await until(lambda: "SHA256:" in shown.text())
            shown.press(b"q")
            await until(shown.ended)
            output = shown.read()
        assert shown.status == 0
    for raw in (b"\x1b]52", b"owned\x07", b"\xc2\x9b", "\u202e".encode(), "\u2066".encode()):
        assert raw not in output
    rest = _OTHER_OWN.sub(b"", _CSI.sub(b"", output))
    assert b"\x1b" not in rest, rest[rest.index(b"\x1b") - 20 :][:80]


@pytest.mark.parametrize(
    ("end", "status"),
    [(b"q", 0), (b"\x03", 0), (signal.SIGTERM, 143), (signal.SIGINT, 130)],
    ids=["q", "ctrl+c", "SIGTERM", "SIGINT"],
)
async def test_however_it_ends_the_terminal_is_restored_and_the_board_is_left_alone(
    tmp_path: Path, end: bytes | signal.Signals, status: int
) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, _):
        (host,) = fleet.hosts.values()
        with terminal("--config", str(tmp_path / "cohete.yaml")) as shown:
            before = termios.tcgetattr(shown.master)
            await until(lambda: "● live" in shown.text())
            if isinstance(end, bytes):
                shown.press(end)
            else:
                os.kill(shown.pid, end)
            await until(shown.ended, 8)
            assert shown.status == status
            assert _LEAVE_ALTERNATE_SCREEN in shown.output
            assert b"Traceback" not in shown.output
            with contextlib.suppress(termios.error):
                assert termios.tcgetattr(shown.master)[3] & termios.ICANON
            assert before
        await until(lambda: not host.running, 5)


async def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, _):
        (host,) = fleet.hosts.values()
        with terminal("--config", str(tmp_path / "cohete.yaml")) as shown:
            await until(lambda: "● live" in shown.text())
            shown.close()
            await until(shown.ended, 8)
        await until(lambda: not host.running, 5)


async def test_the_demo_is_there_in_seconds() -> None:
    begin = time.monotonic()
    with terminal("--demo") as shown:
        await until(lambda: "● live" in shown.text(), 20)
        assert "DEMO" in shown.text()
        shown.press(b"q")
        await until(shown.ended, 10)
        assert shown.status == 0
    assert time.monotonic() - begin < 25


async def test_a_broken_configuration_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("fleet: {devices: [{id: a, prot: 1}]}\n")
    with terminal("--config", str(bad)) as shown:
        await until(shown.ended, 10)
        assert shown.status == 2
        assert "Did you mean 'port'?" in shown.text()
        assert _LEAVE_ALTERNATE_SCREEN not in shown.output
    await asyncio.sleep(0)


async def test_a_shell_takes_the_terminal_and_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It reads the line `a`; `b` is left over.
    instead_of_ssh(
        '#!/bin/sh\ntrap "echo INT" INT\ntrap "echo STOP" QUIT\necho "ARGV $*"\n'
        'until [ "$line" ]; do read line; done\n',
        tmp_path,
        monkeypatch,
    )
    async with simulated("nano", folder=tmp_path) as (fleet, _, _):
        port = next(iter(fleet.hosts.values())).port
        with terminal("--config", str(tmp_path / "cohete.yaml")) as shown:
            await until(lambda: "● live" in shown.text())
            shown.press(b"!")
            await until(lambda: "ARGV" in shown.text())
            assert f"-p {port} -l nvidia -- 127.0.0.1" in shown.text()
            quiet = len(shown.read())
            shown.press(b"\x03")
            await until(lambda: b"INT" in shown.read()[quiet:])
            shown.press(b"\x1c")
            await until(lambda: b"STOP" in shown.read()[quiet:])
            assert b"\x1b[" not in shown.read()[quiet:]
            shown.press(b"a\nb\n")
            await until(lambda: "Nano 4GB" in _CSI.sub(b"", shown.read()[quiet:]).decode())
            shown.press(b"q")
            await until(shown.ended)
        assert shown.status == 0
        # Left over, `b` would have grouped the fleet.
        assert "by tag" not in _CSI.sub(b"", shown.output[quiet:]).decode()


def _ignored(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("SigIgn"))


async def test_a_shell_asked_for_twice_is_one_and_leaves_no_signal_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_ssh(
        "#!/bin/sh\ngrep SigIgn /proc/self/status\necho ARGV\nread line\n", tmp_path, monkeypatch
    )
    async with live(tmp_path) as shown:
        before = _ignored(shown.pid)
        shown.press(b"!!")
        await until(lambda: "ARGV" in shown.text())
        ignored = re.search(r"SigIgn:\s([0-9a-f]+)\s", shown.text())
        # Of those above 31 the C library has some of its own.
        assert ignored is not None
        assert not int(ignored[1], 16) & 0x7FFFFFFF
        quiet = len(shown.read())
        shown.press(b"\n")
        await until(lambda: "Nano 4GB" in _CSI.sub(b"", shown.read()[quiet:]).decode())
        assert shown.text().count("ARGV") == 1
        assert _ignored(shown.pid) == before
        os.kill(shown.pid, signal.SIGINT)
        await until(shown.ended, 8)
        assert shown.status == 130


async def test_a_shell_that_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with live(tmp_path) as shown:
        shown.press(b"!")
        await until(lambda: "cannot run ssh: no such file" in shown.text())
        shown.press(b"q")
        await until(shown.ended, 8)


async def test_what_a_shell_said_that_failed_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_ssh("#!/bin/sh\necho no such key >&2\nexit 255\n", tmp_path, monkeypatch)
    async with live(tmp_path) as shown:
        shown.press(b"!")
        await until(lambda: "ssh ended with status 255. Enter comes back." in shown.text())
        assert "no such key" in shown.text()
        quiet = len(shown.read())
        shown.press(b"\n")
        await until(lambda: "Nano 4GB" in _CSI.sub(b"", shown.read()[quiet:]).decode())
        shown.press(b"q")
        await until(shown.ended)


async def test_a_dashboard_that_is_ended_takes_its_shell_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_ssh(
        '#!/bin/sh\ntrap "echo HUP; exit" HUP\necho "ARGV"\nread line\n', tmp_path, monkeypatch
    )
    async with live(tmp_path) as shown:
        shown.press(b"!")
        await until(lambda: "ARGV" in shown.text())
        os.kill(shown.pid, signal.SIGTERM)
        await until(shown.ended, 8)
        assert shown.status == 143
        assert "HUP" in shown.text()


async def test_a_recording_is_made_by_command_and_played_in_the_terminal(tmp_path: Path) -> None:
    recording = tmp_path / "x.cohete"
    async with simulated("nano", "thor", folder=tmp_path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cohete", "record", "--config", str(tmp_path / "cohete.yaml"),
            "-o", str(recording), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await until(lambda: recording.exists() and recording.stat().st_size > 3_000, 30)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert b"Recording 2 devices" in errors
    assert b"Traceback" not in errors
    with terminal("--replay", str(recording)) as shown:
        await until(lambda: "Thor T5000" in shown.text() and "REPLAY" in shown.text())
        shown.press(b"q")
        await until(shown.ended)
    assert shown.status == 0


async def test_a_replay_of_something_else_is_said(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_text("nothing\n")
    with terminal("--replay", str(noise)) as shown:
        await until(shown.ended)
    assert "there is no tegrastats line in it" in shown.text()
    assert shown.status == 2
