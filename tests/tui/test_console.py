"""On a Linux console: the kernel's own, with the keys as it sends them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

VT_OPENQRY, VT_DISALLOCATE = 0x5600, 0x5608
VCS, WITH_ATTRIBUTES, UNICODE = 7, 128, 64
PATIENCE_S = 30.0


@dataclass
class Console:
    """A virtual terminal of the kernel that nobody else uses."""

    number: int
    folder: Path

    @property
    def device(self) -> str:
        return f"/dev/tty{self.number}"

    def memory(self, kind: int) -> bytes:
        """What the kernel has on it; a node of its own, as a small /dev lacks some."""
        path = self.folder / f"vcs{kind}"
        if not path.exists():
            os.mknod(path, 0o600 | 0o020000, os.makedev(VCS, kind + self.number))
        return path.read_bytes()

    def text(self) -> str:
        rows, columns = self.memory(WITH_ATTRIBUTES)[:2]
        cells = self.memory(UNICODE).decode("utf-32-le", "replace")
        return "\n".join(cells[row * columns : (row + 1) * columns] for row in range(rows))

    def press(self, keys: str) -> None:
        """As if they came from the keyboard."""
        terminal = os.open(self.device, os.O_RDWR | os.O_NOCTTY)
        try:
            for byte in keys.encode():
                fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
        finally:
            os.close(terminal)

    def until(self, holds: Callable[[str], bool]) -> str:
        give_up = time.monotonic() + PATIENCE_S
        while not holds(text := self.text()):
            assert time.monotonic() < give_up, text
            time.sleep(0.05)
        return text


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    try:
        terminal = os.open("/dev/tty0", os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        pytest.skip(f"no Linux console here: {error.strerror}")
    try:
        asked = fcntl.ioctl(terminal, VT_OPENQRY, struct.pack("i", 0))
        found = Console(int(struct.unpack("i", asked)[0]), tmp_path)
        # Opening it makes the kernel give it a screen.
        with open(found.device, "wb", buffering=0):
            found.text()
            found.press("\n")
            yield found
    except OSError as error:
        pytest.skip(f"no Linux console that could be used here: {error.strerror}")
    finally:
        with contextlib.suppress(OSError, NameError):
            fcntl.ioctl(terminal, VT_DISALLOCATE, found.number)
        os.close(terminal)


def test_the_dashboard_on_it(console: Console, tmp_path: Path) -> None:
    gone = ("TMUX", "COLORTERM", "TERM_PROGRAM", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR")
    environ = {name: value for name, value in os.environ.items() if name not in gone}
    code = "from cohete_tui.cli import main; main()"
    process = subprocess.Popen(
        # A session without a terminal takes the first that it opens as its own.
        ["setsid", "sh", "-c", 'terminal=$1; shift; exec "$@" <> "$terminal" >&0 2>&1', "sh",
         console.device, sys.executable, "-c", code, "--demo"],
        env=environ | {"TERM": "linux", "XDG_STATE_HOME": str(tmp_path / "state")},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        text = console.until(lambda text: "arm-left" in text and "q quit" in text)
        assert text.isascii()
        console.press("t")
        console.until(lambda text: "HOTTEST" in text)
        # F1, down and end as this console sends them.
        console.press("\x1b[[A")
        console.until(lambda text: "Switch between panes and table" in text)
        console.press("\x1b")
        console.until(lambda text: "Switch between" not in text)
        console.press("\x1b[4~\r")
        text = console.until(lambda text: "Temperature and power" in text)
        assert text.isascii()
        assert "?" not in text.replace("? help", "")
        console.press("q")
        assert process.wait(PATIENCE_S) == 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
