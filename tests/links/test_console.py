"""The serial console over a real pty: every byte, the speed, a login, commands, the port let go."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohete.control.audit import default_folder, read_audit
from cohete.device.discovery.usb import on_usb
from cohete.errors import AuthRefused, CommandError, LinkError
from cohete.links import console
from cohete.links.console import Console, SerialPort
from tests.cli.test_commands import run

GETTY = """
while :; do
  printf '\\nUbuntu 22.04 tegra ttyGS0\\n\\ntegra login: '; read -r user || exit
  [ -n "$user" ] || continue
  printf 'Password: '; stty -echo; read -r word || exit; stty echo; echo
  if [ "$user/$word" = nvidia/secret ]; then break; fi
  echo 'Login incorrect'
done
PS1='\\033[01;32mnvidia@tegra\\033[0m:~$ ' PATH=$STANDIN:$PATH exec sh -i
"""
NMCLI = """#!/bin/sh
echo "$*" > "$STANDIN/asked"
printf 'Password: '; stty -echo; read -r word; stty echo; echo
[ "$word" = wireless ] || { echo 'Error: Secrets were required'; exit 4; }
echo "Device 'wlan0' successfully activated."
"""


@dataclass
class Board:
    path: str
    folder: Path
    master: int

    def fileno(self) -> int:
        return self.master


def on_terminal(*argv: str, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    """A program on a terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *argv], stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | environment,
    )  # fmt: skip
    os.close(theirs)
    return child, ours


@contextlib.contextmanager
def wired(folder: Path, *argv: str) -> Iterator[Board]:
    """A program on a terminal of its own, behind a serial line of ours."""
    line, ours = pty.openpty()
    tty.setraw(ours)
    path = os.ttyname(ours)
    child, screen = on_terminal(*argv, STANDIN=str(folder))
    stop_read, stop_write = os.pipe()

    def carry() -> None:
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([line, screen, stop_read], [], [])
                if stop_read in ready:
                    return
                for source, target in ((line, screen), (screen, line)):
                    if source in ready:
                        os.write(target, os.read(source, 4096))

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield Board(path, folder, line)
    finally:
        os.write(stop_write, b"x")
        thread.join()
        os.close(screen)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        child.wait()
        for descriptor in (line, ours, stop_read, stop_write):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    (tmp_path / "nmcli").write_text(NMCLI)
    (tmp_path / "nmcli").chmod(0o755)
    with wired(tmp_path, "sh", "-c", GETTY) as running:
        yield running


def says(*secrets: str) -> console.Ask:
    left = list(secrets)

    async def ask(prompt: str) -> str:
        return left.pop(0)

    return ask


@pytest.mark.claim("DDC-04")
async def test_every_byte_both_ways_at_115200_and_the_port_is_let_go() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    every = bytes(range(256)) * 8 + "äöü€".encode()
    async with SerialPort(path) as port:
        settings = termios.tcgetattr(slave)
        assert settings[4] == settings[5] == termios.B115200
        assert settings[2] & termios.CSIZE == termios.CS8
        assert not settings[2] & (termios.PARENB | termios.CSTOPB)
        # Byte by byte, and in one piece.
        got = b""
        for at in range(0, len(every), 7):
            os.write(master, every[at : at + 7])
        while len(got) < len(every):
            got += await port.read()
        assert got == every
        await port.write(every)
        sent = b""
        while len(sent) < len(every):
            sent += await asyncio.to_thread(os.read, master, 4096)
        assert sent == every
        # Nobody else gets it meanwhile.
        with pytest.raises(LinkError, match="cannot be opened"):
            await SerialPort(path).open()
    with open(path, "rb", buffering=0) as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    port.close()
    with pytest.raises(LinkError, match="not open"):
        await port.write(b"x")
    os.close(master)
    os.close(slave)


@pytest.mark.claim("DDC-04")
async def test_logged_in_and_commands_run_to_their_end(board: Board) -> None:
    async with SerialPort(board.path) as port:
        shell = Console(port)
        await shell.log_in("nvidia", says("secret"))
        done = await shell.run(("printf", "%s\\n", "one two", "$(id)"), timeout_s=10)
        assert (done.exit_status, done.stdout) == (0, b"one two\n$(id)\n")
        assert (await shell.run(("sh", "-c", "exit 3"), timeout_s=10)).exit_status == 3
        long = "x" * 20_000
        done = await shell.run(("printf", "%s", long), timeout_s=20)
        assert done.stdout == long.encode()
        with pytest.raises(CommandError, match="did not finish within"):
            await shell.run(("sleep", "60"), timeout_s=0.3)
        # And the shell goes on.
        assert (await shell.run(("echo", "still"), timeout_s=10)).stdout == b"still\n"
    # Whoever comes next finds the shell open, and needs no password.
    async with SerialPort(board.path) as port:
        shell = Console(port)
        await shell.log_in("nvidia", says())
        assert (await shell.run(("echo", "again"), timeout_s=10)).stdout == b"again\n"


async def test_a_wrong_password_is_said_once(board: Board) -> None:
    async with SerialPort(board.path) as port:
        with pytest.raises(AuthRefused, match="does not let nvidia in"):
            await Console(port).log_in("nvidia", says("wrong"))


async def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOGIN_S", 0.2)
    master, slave = pty.openpty()
    async with SerialPort(os.ttyname(slave)) as port:
        with pytest.raises(LinkError, match="nobody answers on the console"):
            await Console(port).log_in("nvidia", says())
    os.close(slave)
    os.close(master)
    with pytest.raises(LinkError, match="No such file"):
        await SerialPort("/dev/ttyNOTHERE").open()


async def test_a_board_that_is_pulled_out() -> None:
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    async with SerialPort(path) as port:
        os.close(slave)
        os.close(master)
        with pytest.raises(LinkError, match="pulled out"):
            await port.read()


@pytest.mark.claim("DDC-04")
async def test_a_network_is_joined_and_written_down(board: Board) -> None:
    async def join(*more: str, stdin: bytes = b"") -> tuple[int, str, str]:
        argv = ("console", board.path, "--join", "lab net", *more)
        return await asyncio.to_thread(run, *argv, stdin=stdin)

    assert (await join("--read-only"))[0] == 2
    status, out, err = await join("--yes", stdin=b"secret\nwireless\n")
    assert status == 0, (out, err)
    assert "nmcli --ask device wifi connect 'lab net'" in out
    assert "successfully activated" in out
    assert (board.folder / "asked").read_text() == "--ask device wifi connect lab net\n"
    status, _, err = await join("--yes", stdin=b"wrong\n")
    assert status == 2
    assert "Secrets were required" in err
    entries = read_audit(default_folder(), device=f"console {board.path}")
    assert [entry.outcome for entry in entries] == ["done", "failed, not as it was"]
    assert "wireless" not in repr(entries)
    argv = ("console", board.path, "--identify")
    status, out, _ = await asyncio.to_thread(run, *argv, stdin=b"")
    assert status == 0
    assert out.startswith("unknown board, L4T unknown, ")


async def test_keys_go_there_and_what_it_prints_comes_here(board: Board) -> None:
    """The command in a terminal of its own, as somebody would use it."""
    child, screen = on_terminal(sys.executable, "-m", "cohete", "console", board.path)
    seen = b""

    async def until_seen(words: bytes) -> None:
        nonlocal seen
        async with asyncio.timeout(20):
            while words not in seen:
                ready, _, _ = await asyncio.to_thread(select.select, [screen], [], [], 0.1)
                seen += os.read(screen, 4096) if ready else b""
        seen = b""

    await until_seen(b"ctrl+] leaves")
    for keys, words in (
        (b"\n", b"login: "), (b"nvidia\n", b"Password: "), (b"secret\n", b"$ "),
        (b"echo $((6 * 7))\n", b"42"),
    ):  # fmt: skip
        os.write(screen, keys)
        await until_seen(words)
    os.write(screen, b"\x1d")
    assert await asyncio.to_thread(child.wait, 20) == 0
    os.close(screen)


def test_the_command_names_what_is_missing() -> None:
    if any(each.console for each in on_usb()):
        pytest.skip("a board is on this machine's USB")
    status, _, err = run("console", "--identify")
    assert status == 2
    assert "no board with a console is on USB" in err
