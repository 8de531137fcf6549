"""The core with N simulated boards in another process at 1 Hz: CPU, memory, connect time, latency.

Baseline in the same run: the same connections and streams over the same SSH library settings,
with the lines thrown away: what the wire alone costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server import STAMP, WRAP_US
from cohete.config.devices import specs_from_config
from cohete.config.loading import load
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.links.commands import tegrastats
from cohete.links.ssh import SshConnector, SshFiles, SshLink
from cohete.loop import run

SIZES = (100, 500, 1000, 2000)
WATCH_S = 15.0


@contextlib.contextmanager
def boards(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", str(count), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Path(folder)
        finally:
            process.kill()
            process.wait()


def rss_mb(pid: int | str = "self") -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def watch(folder: Path) -> dict[str, float]:
    config = load(folder / "cohete.yaml")
    specs = specs_from_config(config, folder)
    files = SshFiles(folder / "none", folder / "known_hosts", ())
    latencies: list[float] = []
    begin = time.perf_counter()
    connector = SshConnector(config.ssh, files)
    async with FleetSession(FleetPlan(specs, ssh=config.ssh), connector=connector) as session:
        store = session.store
        apply = store.apply

        def measured(device, stats) -> None:  # type: ignore[no-untyped-def]
            apply(device, stats)
            emitted = stats.rails[-1] if stats.rails else None
            if emitted is not None and emitted.name == STAMP:
                now = time.monotonic_ns() // 1000 % WRAP_US
                latencies.append((now - emitted.cur_mw) % WRAP_US / 1000)

        store.apply = measured  # type: ignore[method-assign]
        while not all(device.state is State.LIVE for device in store):
            await asyncio.sleep(0.02)
            if time.perf_counter() - begin > 60:
                break
        connected = time.perf_counter() - begin
        # The facts that were asked for at the start are in before the steady state is measured.
        while any(device.facts is None for device in store) and time.perf_counter() - begin < 60:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        latencies.clear()
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(WATCH_S)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        live = sum(device.state is State.LIVE for device in store)
        latencies.sort()
        return {
            "connected_s": connected,
            "cpu": share,
            "rss_mb": rss_mb(),
            "p50_ms": latencies[len(latencies) // 2],
            "p99_ms": latencies[int(len(latencies) * 0.99)],
            "live": live,
        }


async def wire_only(folder: Path) -> float:
    """CPU share of the same streams with their lines thrown away."""
    config = load(folder / "cohete.yaml")
    specs = specs_from_config(config, folder)
    connector = SshConnector(config.ssh, SshFiles(folder / "none", folder / "known_hosts", ()))
    links = [SshLink(spec, connector) for spec in specs]
    places = asyncio.Semaphore(64)

    async def begin(link: SshLink) -> None:
        async with places:
            await link.open()
            await link.stream(tegrastats(1000), lambda lines: None)

    await asyncio.gather(*(begin(link) for link in links))
    await asyncio.sleep(2)
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(WATCH_S)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    await asyncio.gather(*(link.close() for link in links))
    return share


def one(count: int, *, baseline: bool) -> None:
    with boards(count) as folder:
        found = run(watch(folder))
    text = (
        f"{count:5} boards: {found['live']:.0f} live, all in {found['connected_s']:.1f} s, "
        f"CPU {100 * found['cpu']:.1f} % of a core, {found['rss_mb']:.0f} MB, emit to store "
        f"p50 {found['p50_ms']:.1f} p99 {found['p99_ms']:.1f} ms"
    )
    if baseline:
        with boards(count) as folder:
            wire = run(wire_only(folder))
        text += f"; wire alone {100 * wire:.1f} %, ratio {found['cpu'] / wire:.2f}"
    print(text, flush=True)


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    print(f"limits at 1000: 15 % of a core, 150 MB, 5 s, p99 20 ms (open files {soft}/{hard})")
    for count in SIZES:
        # Each size in a process of its own: memory is not carried from one to the next.
        subprocess.run(
            [sys.executable, "-c", f"from benchmarks.fleet import one; one({count}, "
             f"baseline={count == 1000})"],
            check=True,
        )  # fmt: skip
