"""The dashboard as it is shipped, in a real pty of 200x50, with 1,000 boards at 1 Hz."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from pathlib import Path

from benchmarks.fleet import boards, rss_mb

COUNT = 1000
SETTLE_S = 22.0
WATCH_S = 15.0
KEYS = 40


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Screen:
    """The dashboard in a pty; counts what it writes."""

    def __init__(self, config: Path, *, history: bool = True) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ["COLORTERM"] = "truecolor"
            code = "from cohete_tui.cli import main; main()"
            os.environ["XDG_STATE_HOME"] = str(config.parent / "state")
            keep = "--history" if history else "--no-history"
            arguments = [sys.executable, "-c", code, "--config", str(config), keep]
            os.execv(sys.executable, arguments)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.written = 0

    def read_for(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.written += len(os.read(self.master, 1 << 20))
                except OSError:
                    # The dashboard has quit and closed its side.
                    return

    def key_ms(self, key: bytes) -> float:
        """From the key to the first byte that is painted because of it."""
        with contextlib.suppress(BlockingIOError):
            while select.select([self.master], [], [], 0.03)[0]:
                self.written += len(os.read(self.master, 1 << 20))
        begin = time.perf_counter()
        os.write(self.master, key)
        select.select([self.master], [], [], 2)
        return (time.perf_counter() - begin) * 1000

    def slow_key_ms(self, key: bytes, until: bytes, kbps: float) -> float:
        """From the key to what it shows, on a terminal that takes `kbps` kilobytes a second."""
        begin = time.perf_counter()
        os.write(self.master, key)
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


def slow_link(screen: Screen, kbps: float) -> None:
    end = time.perf_counter() + 10
    while time.perf_counter() < end:
        screen.drain(kbps)
    times = []
    for nth in range(1, KEYS + 1):
        times.append(screen.slow_key_ms(b" ", f"{nth} marked".encode(), kbps))
        pause = time.perf_counter() + 0.3
        while time.perf_counter() < pause:
            screen.drain(kbps)
    times.sort()
    print(
        f"a terminal that takes {kbps:g} kB/s: key to what it shows p50 {times[KEYS // 2]:.0f} "
        f"p95 {times[int(KEYS * 0.95)]:.0f} ms (limit 400)",
        flush=True,
    )


def main() -> None:
    with boards(COUNT) as folder:
        screen = Screen(folder / "cohete.yaml")
        screen.read_for(SETTLE_S)
        for view in ("panes", "table"):
            if view == "table":
                os.write(screen.master, b"t")
                screen.read_for(2)
            before, written, wall = cpu_s(screen.pid), screen.written, time.perf_counter()
            screen.read_for(WATCH_S)
            seconds = time.perf_counter() - wall
            share = (cpu_s(screen.pid) - before) / seconds
            rate = (screen.written - written) / seconds / 1000
            keys = sorted(screen.key_ms(b"j" if nth % 2 else b"k") for nth in range(KEYS))
            print(
                f"{view}: core and dashboard {100 * share:.1f} % of a core (limit 25), "
                f"{rss_mb(screen.pid):.0f} MB (limit 200), {rate:.1f} kB/s (limit 30); "
                f"key to paint p50 {keys[KEYS // 2]:.0f} p95 {keys[int(KEYS * 0.95)]:.0f} ms",
                flush=True,
            )
        slow_link(screen, 40)
        os.write(screen.master, b"q")
        screen.read_for(2)
        os.close(screen.master)
        os.waitpid(screen.pid, 0)
