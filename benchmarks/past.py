"""Yesterday: a day of history of one device, and jumps in a recording of a gigabyte."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

from benchmarks.terminal import spread
from cohete.clock import SystemClock
from cohete.fleet.player import Player, open_source
from cohete.simulator.board import TegraStatsRun
from cohete.simulator.scenario import build
from cohete.telemetry.chunk import Chunk
from cohete.telemetry.files import DAY_MS, MINUTE_MS, HistoryFiles, NewChunk
from cohete.telemetry.query import past
from cohete.telemetry.recording import LINE, DeviceEntry, Header, Record, RecordingWriter
from cohete.telemetry.series import BASIC

DEVICES = 1000
RECORDING_BYTES = 1_000_000_000
BLOCK_MS = 2000
JUMPS = 30


def a_day(folder: Path) -> None:
    rng = random.Random(1)
    files = HistoryFiles(folder)
    now_ms = int(time.time() * 1000)
    names = [*BASIC, *[f"zone_mc.z{nth}" for nth in range(9)], *[f"rail_mw.r{n}" for n in range(5)]]
    walk = [40_000 + 100 * nth for nth in range(len(names))]
    for hour in range(24):
        chunks = []
        for minute in range(60):
            begin = now_ms - DAY_MS + (60 * hour + minute) * MINUTE_MS
            columns: dict[str, list[int | None]] = {name: [] for name in names}
            for _ in range(60):
                for nth, name in enumerate(names):
                    walk[nth] += rng.choice((0, 0, 31, -31))
                    columns[name].append(walk[nth])
            times = [begin + 1000 * second for second in range(60)]
            chunks.append(NewChunk("a", Chunk.of(times, columns)))
        files.add(chunks)
    files.roll_up("a", now_ms)
    size = files.size_bytes()
    files.close()
    print(f"history: {size / 86_400:.1f} bytes a sample with {len(names)} columns (limit 25)")
    for span_s in (3600, 21_600, 86_400):
        times_ms = []
        for _ in range(5):
            begin_s = time.perf_counter()
            files = HistoryFiles(folder)
            step_ms = span_s * 1000 // 240
            found = past(files, "a", now_ms - span_s * 1000, now_ms, step_ms, BASIC)
            files.close()
            times_ms.append((time.perf_counter() - begin_s) * 1000)
        print(f"history: {span_s // 3600:2} h as {len(found.times_ms)} points, {spread(times_ms)}"
              " (limit 150)")  # fmt: skip


async def a_recording(path: Path) -> None:
    rng = random.Random(2)
    boards = build("calm", SystemClock(), 40).boards
    lines = [TegraStatsRun(board, root=False).line() for board in boards]
    began_ms = 1_760_000_000_000
    entries = tuple(DeviceEntry(f"dev-{nth:04}") for nth in range(DEVICES))
    writer = RecordingWriter(path, Header("bench", began_ms, entries))
    at_ms = began_ms
    while writer.bytes_written < RECORDING_BYTES:
        if (at_ms - began_ms) % 60_000 == 0:
            writer.keyframe(at_ms, [])
        records = [
            # Noise, so that it packs no better than what a whole fleet of real boards prints.
            Record(LINE, device, at_ms + 1000 * tick, f"{lines[device % 40]} X {rng.random()}mW")
            for tick in range(2)
            for device in range(DEVICES)
        ]
        writer.data(at_ms, at_ms + BLOCK_MS, records)
        at_ms += BLOCK_MS
    writer.close()
    begin_s = time.perf_counter()
    player = Player(open_source(path))
    opened_ms = (time.perf_counter() - begin_s) * 1000
    times_ms = []
    for _ in range(JUMPS):
        begin_s = time.perf_counter()
        await player.seek(rng.randrange(began_ms, at_ms))
        times_ms.append((time.perf_counter() - begin_s) * 1000)
    player.close()
    hours = (at_ms - began_ms) / 3_600_000
    print(
        f"recording: {path.stat().st_size / 1e9:.2f} GB, {DEVICES} boards, {hours:.1f} h; "
        f"opened in {opened_ms:.0f} ms, jump {spread(times_ms)} (limit 200)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        a_day(Path(folder) / "history")
        asyncio.run(a_recording(Path(folder) / "bench.cohete"))
