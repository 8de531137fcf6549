"""The dashboard as it is shipped, over SSH, with 1,000 boards at 1 Hz in a pty of 200x50."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.fleet import boards, rss_mb
from benchmarks.terminal import Terminal, spread

COUNT = 1000
SETTLE_S = 85.0
"""A minute after the start what stays is set aside, and from then on new objects are looked through
where there are many: whatever is measured is measured with that."""
WATCH_S = 42.0
KEYS = 160
PAUSE_S = 0.25
SLOW_KEYS = 40
SLOW_KBPS = 40.0


def dashboard(config: Path, *options: str) -> Terminal:
    """`cohete-tui` with a state folder of its own."""
    code = "from cohete_tui.cli import main; main()"
    argv = [sys.executable, "-c", code, "--config", str(config), *options]
    return Terminal(argv, {"XDG_STATE_HOME": str(config.parent / "state")})


def timed(screen: Terminal, there: bytes, back: bytes) -> list[float]:
    """Milliseconds from a key to what it paints, over more than one look for garbage."""
    times = []
    for nth in range(KEYS):
        times.append(screen.key_ms(back if nth % 2 else there))
        screen.read_for(PAUSE_S)
    return times


def slow_link(screen: Terminal, kbps: float) -> None:
    end = time.perf_counter() + 10
    while time.perf_counter() < end:
        screen.drain(kbps)
    times = []
    for nth in range(1, SLOW_KEYS + 1):
        times.append(screen.slow_key_ms(b" ", f"{nth} marked".encode(), kbps))
        pause = time.perf_counter() + 0.3
        while time.perf_counter() < pause:
            screen.drain(kbps)
    print(
        f"a terminal that takes {kbps:g} kB/s: key to what it shows {spread(times)} (limit 400)",
        flush=True,
    )


def main() -> None:
    with boards(COUNT) as folder, dashboard(folder / "cohete.yaml") as screen:
        screen.read_for(SETTLE_S)
        for view in ("panes", "table"):
            if view == "table":
                screen.type(b"t")
                screen.read_for(2)
            share, rate = screen.watch(WATCH_S)
            keys = timed(screen, b"j", b"k")
            pages = timed(screen, b"\x1b[6~", b"\x1b[5~")
            print(
                f"{view}: core and dashboard {100 * share:.1f} % of a core (limit 25), "
                f"{rss_mb(screen.pid):.0f} MB (limit 200), {rate:.1f} kB/s (limit 30); "
                f"key to paint {spread(keys)}, a whole page {spread(pages)} (limit 40)",
                flush=True,
            )
        slow_link(screen, SLOW_KBPS)
