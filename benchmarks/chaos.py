"""The dashboard for long with 300 boards on which something always breaks: is its memory flat?

`python -m benchmarks.chaos [MINUTES [BOARDS [KEYS_PER_S]]]`: an hour, 300 boards and a key every
three seconds, as somebody who looks around, unless told otherwise; 3 keys a second is somebody who
hammers on the keyboard. The fleet has been watched for two hours before. Memory counts as settled
after a quarter of an hour of the same keys: by then each board's last 15 minutes, which are kept in
memory, are full, and every screen was open.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fleet import rss_mb
from benchmarks.terminal import Terminal, cpu_s
from cohete.config.loading import load
from cohete.telemetry.chunk import Chunk
from cohete.telemetry.files import MINUTE_MS, HistoryFiles, NewChunk
from cohete.telemetry.series import BASIC

KEYS = "jkhlGgtwbzsSr Vn*ePLiC+-,.0\x1b\x1b\x1b/x\x1bp\r"
"""None of them writes a file or leaves."""
OPENS, PAUSE, BACK = "ePLiC\r", "p", "\x1b"
TO_FLEET = BACK * 4
PAUSED_KEYS = 12
"""A moment is looked at for so many keys. One that is forgotten costs what it holds, 8 MB of 300
boards after a quarter of an hour, and says nothing of what is lost."""
WITHIN = {"\r": "-----0"}
"""On the screen of a device: out to a day, which is read from disk, and back."""

BEFORE_MINUTES = 120
USUAL = (48_000, 9_000, 4_000, 200, 45, 600, 300, 20)
"""What the boards measured then, in the order and the units of BASIC."""
SETTLE_S = 60.0
FILL_MINUTES = 15.0
SAMPLE_S = 15.0
PAINTS_WITHIN_MS = 1_900.0
KEYS_PER_S = 1 / 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """Memory at the beginning (settled), at the end and at its highest, in MB; CPU as a share."""

    minutes: float
    first_mb: float
    last_mb: float
    most_mb: float
    cpu: float
    keys: int
    key_p50_ms: float
    key_p95_ms: float


def chaos(
    minutes: float,
    count: int,
    settle_s: float = SETTLE_S,
    keys_per_s: float = KEYS_PER_S,
    fill_minutes: float = FILL_MINUTES,
) -> Outcome:
    """Run it. Raises RuntimeError where the dashboard ends by itself."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "benchmarks.server", str(count), folder, "chaos"]
        boards = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert boards.stdout is not None
        boards.stdout.readline()
        code = "from cohete_tui.cli import main; main()"
        config = str(Path(folder) / "cohete.yaml")
        dashboard = [sys.executable, "-c", code, "--config", config]
        names = [device.id for device in load(Path(config)).fleet.devices]
        remember(Path(folder) / "state" / "cohete" / "history", names)
        try:
            with Terminal(dashboard, {"XDG_STATE_HOME": f"{folder}/state"}) as screen:
                return _watch(screen, rng, minutes, settle_s, 1 / keys_per_s, fill_minutes)
        finally:
            boards.kill()
            boards.communicate()


def remember(folder: Path, names: list[str]) -> None:
    """What a dashboard that ran until now has left of these boards: a sample a second."""
    rng = np.random.default_rng(1)
    begin_ms = int(time.time()) * 1000 - BEFORE_MINUTES * MINUTE_MS
    files = HistoryFiles(folder)
    for minute in range(BEFORE_MINUTES):
        at_ms = begin_ms + minute * MINUTE_MS + 1000 * np.arange(60)
        known = np.ones((len(BASIC), 60), np.bool_)
        noise = rng.normal(1, 0.1, (len(names), len(BASIC), 60))
        values = np.rint(noise * np.array(USUAL)[:, None]).astype(np.int64)
        files.add(
            [
                NewChunk(name, Chunk(at_ms, BASIC, each, known))
                for name, each in zip(names, values, strict=True)
            ]
        )
    files.close()


def _watch(
    screen: Terminal,
    rng: random.Random,
    minutes: float,
    settle_s: float,
    pause_s: float,
    fill_minutes: float,
) -> Outcome:
    screen.read_for(settle_s)
    # What a screen needs is loaded when it is first opened. The last key ends the pause on the way.
    opened = (key + WITHIN.get(key, "") + BACK * (key in OPENS) for key in KEYS)
    for key in (*opened, *BACK * 3, PAUSE):
        for each in key:
            screen.key_ms(each.encode())
            screen.read_for(settle_s / SETTLE_S)
    screen.read_for(settle_s)
    _press(screen, rng, fill_minutes, pause_s)
    begin, cpu = time.perf_counter(), cpu_s(screen.pid)
    sizes, keys = _press(screen, rng, minutes, pause_s)
    took = time.perf_counter() - begin
    screen.type(b"\x1b" * 6)
    screen.read_for(1)
    # A key that paints nothing (a pause, a move where nothing is) is waited for, and is no measure.
    painted = sorted(ms for ms in keys if ms < PAINTS_WITHIN_MS) or [math.nan]
    return Outcome(
        took / 60, sizes[0], sizes[-1], max(sizes), (cpu_s(screen.pid) - cpu) / took, len(keys),
        painted[len(painted) // 2], painted[int(len(painted) * 0.95)],
    )  # fmt: skip


def _press(
    screen: Terminal, rng: random.Random, minutes: float, pause_s: float
) -> tuple[list[float], list[float]]:
    """Keys by chance for so long: memory in MB now and then, and what each key took in ms."""
    begin = sampled = time.perf_counter()
    sizes, keys = [rss_mb(screen.pid)], []
    paused = 0
    while time.perf_counter() - begin < minutes * 60:
        key = rng.choice(KEYS if not paused else KEYS.replace(PAUSE, ""))
        if key == PAUSE or paused == 1:
            screen.type(TO_FLEET.encode())
            screen.read_for(1)
            key = PAUSE
        paused = PAUSED_KEYS if key == PAUSE and not paused else max(0, paused - 1)
        keys.append(screen.key_ms(key.encode()))
        waited_s = pause_s * rng.uniform(0.2, 1.8)
        if not screen.read_for(waited_s) and not Path(f"/proc/{screen.pid}").exists():
            raise RuntimeError("the dashboard ended")
        if time.perf_counter() - sampled >= SAMPLE_S:
            sampled = time.perf_counter()
            sizes.append(rss_mb(screen.pid))
            if len(sizes) % 20 == 0:
                print(f"{(sampled - begin) / 60:4.0f} min {sizes[-1]:.0f} MB", flush=True)
    return [*sizes, rss_mb(screen.pid)], keys


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    keys_per_s = float(sys.argv[3]) if len(sys.argv) > 3 else KEYS_PER_S
    found = chaos(minutes, count, keys_per_s=keys_per_s)
    print(
        f"{count} boards, {found.minutes:.0f} min, {found.keys} keys: {found.first_mb:.0f} MB "
        f"settled, {found.last_mb:.0f} MB at the end, {found.most_mb:.0f} MB at most; "
        f"{100 * found.cpu:.1f} % of a core, first paint after a key p50 "
        f"{found.key_p50_ms:.0f} p95 {found.key_p95_ms:.0f} ms"
    )


if __name__ == "__main__":
    main()
