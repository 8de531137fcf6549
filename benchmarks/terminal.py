"""A program in a pty of 200x50: what it writes, how soon it answers a key, what it costs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

COLUMNS, LINES = 200, 50


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Terminal:
    """Runs a program and counts what it writes; closing it ends the program."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ["COLORTERM"] = "truecolor"
            os.environ |= dict(environ or {})
            os.execv(argv[0], [*argv])
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.type(b"q")
        self.read_for(2)
        os.close(self.master)
        os.waitpid(self.pid, 0)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def read_for(self, seconds: float) -> bytes:
        """What it writes in this time."""
        end = time.perf_counter() + seconds
        data = b""
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    data += os.read(self.master, 1 << 20)
                except OSError:
                    # The program has quit and closed its side.
                    break
        self.written += len(data)
        return data

    def read_until(self, text: bytes, limit_s: float = 20) -> float:
        """Milliseconds until it has written this."""
        begin = time.perf_counter()
        seen = b""
        while text not in seen and time.perf_counter() - begin < limit_s:
            if select.select([self.master], [], [], 0.05)[0]:
                seen += os.read(self.master, 1 << 20)
        self.written += len(seen)
        return (time.perf_counter() - begin) * 1000

    def key_ms(self, key: bytes) -> float:
        """From the key to the first byte that is painted because of it."""
        with contextlib.suppress(BlockingIOError):
            while select.select([self.master], [], [], 0.03)[0]:
                self.written += len(os.read(self.master, 1 << 20))
        begin = time.perf_counter()
        self.type(key)
        select.select([self.master], [], [], 2)
        return (time.perf_counter() - begin) * 1000

    def slow_key_ms(self, key: bytes, until: bytes, kbps: float) -> float:
        """From the key to what it shows, on a terminal that takes `kbps` kilobytes a second."""
        begin = time.perf_counter()
        self.type(key)
        seen = b""
        while until not in seen and time.perf_counter() - begin < 10:
            seen = (seen + self.drain(kbps))[-400_000:]
        return (time.perf_counter() - begin) * 1000

    def drain(self, kbps: float, step_s: float = 0.02) -> bytes:
        """One step of a terminal that takes `kbps` kilobytes a second."""
        begin = time.perf_counter()
        data = b""
        if select.select([self.master], [], [], step_s)[0]:
            data = os.read(self.master, int(kbps * 1000 * step_s))
            self.written += len(data)
        time.sleep(max(0.0, step_s - (time.perf_counter() - begin)))
        return data

    def watch(self, seconds: float) -> tuple[float, float]:
        """Share of a core that it takes, and kilobytes a second that it writes."""
        before, written, begin = cpu_s(self.pid), self.written, time.perf_counter()
        self.read_for(seconds)
        took = time.perf_counter() - begin
        return (cpu_s(self.pid) - before) / took, (self.written - written) / took / 1000


def spread(times_ms: list[float]) -> str:
    """`p50 4 p95 11 ms`."""
    ordered = sorted(times_ms)
    return f"p50 {ordered[len(ordered) // 2]:.0f} p95 {ordered[int(len(ordered) * 0.95)]:.0f} ms"
