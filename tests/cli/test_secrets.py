"""A secret at a terminal: not shown, given up by ctrl+c, and echo is back on every way out."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import time

import pytest

CODE = """
import asyncio
from cohete.cli.secrets import ask_secret

async def main():
    print("it" + " was", await ask_secret("Password of nvidia@10.0.0.7"), flush=True)

asyncio.run(main())
"""
WITHIN_S = 20.0


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What is on the screen once `wanted` is."""
    said = b""
    end = time.monotonic() + WITHIN_S
    while wanted not in said and time.monotonic() < end:
        said += os.read(terminal, 4096)
    assert wanted in said
    return said


def echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


@pytest.mark.parametrize("key", [b"hunter2\n", b"\x03", b"hun\x03", b"\x04"])
def test_typed_or_left(key: bytes) -> None:
    outer, inner = os.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(inner, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    try:
        read_until(outer, b"nvidia@10.0.0.7: ")
        assert not echoes(inner)
        os.write(outer, key)
        status = program.wait(WITHIN_S)
        assert echoes(inner)
        os.close(inner)
        said = b""
        try:
            while part := os.read(outer, 4096):
                said += part
        except OSError:
            pass  # The last program at the other end has gone.
        assert (status == 0) is (b"\x03" not in key)
        # Once, by the program: nothing was shown while it was typed.
        assert said.count(b"hunter2") == (1 if key == b"hunter2\n" else 0)
        assert (b"it was" in said) is (b"\x03" not in key)
    finally:
        program.kill()
        program.wait()
        os.close(outer)
