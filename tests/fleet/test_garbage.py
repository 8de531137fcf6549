"""What stays is not looked through for garbage, and what was closed does not add up."""

from __future__ import annotations

import asyncio
import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from cohete.clock import ManualClock
from cohete.fleet import garbage
from cohete.fleet.garbage import (
    NEW_S,
    PERIOD_S,
    RELEASE_S,
    SETTLED_S,
    THRESHOLDS,
    keep_tidy,
)


class Ring:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


async def test_what_is_there_once_connected_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    task = asyncio.create_task(keep_tidy(clock))
    await asyncio.sleep(0)
    assert gc.get_threshold() == THRESHOLDS
    kept = Ring()
    of_kept = weakref.ref(kept)
    await clock.advance(SETTLED_S)
    assert gc.get_freeze_count() > 1000
    new = Ring()
    of_new = weakref.ref(new)
    del kept, new
    # Python by itself would leave it for long.
    gc.set_threshold(0)
    await clock.advance(NEW_S)
    assert of_new() is None
    assert of_kept() is not None
    await clock.advance(PERIOD_S)
    assert of_kept() is None
    task.cancel()
    await asyncio.wait([task])
    assert gc.get_freeze_count() == 0


FREED = """
import os
from pathlib import Path
from cohete.fleet.garbage import release

def rss_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

kept = [bytearray(20_000) for _ in range(4_000)]
# What lies above keeps the C library from giving it back by itself.
del kept[:-1]
before = rss_mb()
release()
print(before - rss_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to")
def test_what_is_free_goes_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) > 40


async def test_it_goes_back_every_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[float] = []
    clock = ManualClock()
    monkeypatch.setattr(garbage, "release", lambda: released.append(clock.monotonic()))
    begun = clock.monotonic()
    task = asyncio.create_task(keep_tidy(clock))
    await asyncio.sleep(0)
    await clock.advance(SETTLED_S)
    for _ in range(round(2 * PERIOD_S / NEW_S)):
        await clock.advance(NEW_S)
    task.cancel()
    await asyncio.wait([task])
    assert [at - begun - SETTLED_S for at in released[:6]] == [nth * RELEASE_S for nth in range(6)]
