"""What stays is not looked through for garbage, and what was closed does not add up."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.fleet import garbage
from cohete.fleet.garbage import SETTLED_S, THRESHOLDS, TRIM_S, TRIMS, keep_tidy, trimmer


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
    gc.collect()
    assert of_new() is None
    assert of_kept() is not None
    for _ in range(TRIMS - 1):
        await clock.advance(TRIM_S)
    assert of_kept() is not None
    await clock.advance(TRIM_S)
    assert of_kept() is None
    task.cancel()
    await asyncio.wait([task])
    assert gc.get_freeze_count() == 0


async def test_free_pages_are_given_back_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(garbage, "trimmer", lambda: lambda: given.append(1))
    clock = ManualClock()
    task = asyncio.create_task(keep_tidy(clock))
    await asyncio.sleep(0)
    await clock.advance(SETTLED_S)
    for minutes in range(1, 4):
        assert len(given) == minutes
        await clock.advance(TRIM_S)
    task.cancel()
    await asyncio.wait([task])


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_what_is_free_between_what_is_used_goes_back() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc keeps free pages and can give them back")
    blocks = [bytes(100_000) for _ in range(800)]
    del blocks[1::2], blocks[1::2]
    before = resident_mb()
    trimmer()()
    assert before - resident_mb() > 20


def test_a_c_library_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert trimmer()() is None
