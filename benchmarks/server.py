"""Many simulated boards in a process of their own; each line carries when it was emitted."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from cohete.clock import SystemClock
from cohete.loop import run
from cohete.simulator.board import TegraStatsRun
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.scenario import build, play
from cohete.simulator.server import SimFleet
from cohete.simulator.shell import Context

STAMP = "BENCH_EMIT"
WRAP_US = 1_000_000_000


async def stamped_tegrastats(context: Context, argv: list[str]) -> int:
    run = TegraStatsRun(context.board, root=False)
    interval_s = int(argv[argv.index("--interval") + 1]) / 1000
    due = time.monotonic()
    while True:
        stamp = time.monotonic_ns() // 1000 % WRAP_US
        context.out(f"{run.line()} {STAMP} {stamp}mW\n".encode())
        due += interval_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def serve(count: int, folder: Path, name: str) -> None:
    if name == "calm":
        PROGRAMS["tegrastats"] = stamped_tegrastats
    clock = SystemClock()
    scenario = build(name, clock, count)
    async with SimFleet(scenario.boards, clock=clock) as fleet:
        fleet.write_files(folder)
        print("ready", flush=True)
        story = asyncio.create_task(play(scenario, fleet))
        await asyncio.to_thread(sys.stdin.read)
        story.cancel()


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or ["calm"])[0]))
