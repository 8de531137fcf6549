"""What stays is not looked through for garbage, and what was closed does not add up."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from cohete.clock import ManualClock
from cohete.fleet.garbage import (
    LOOK_S,
    NEW_BLOCKS,
    NEW_PART,
    NEW_S,
    PERIOD_S,
    SETTLED_S,
    THRESHOLDS,
    keep_tidy,
)


class Ring:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


def enough() -> int:
    """So many new ones are looked through, whatever else is there; each is a block at least."""
    return round(1.1 * max(NEW_BLOCKS, sys.getallocatedblocks() // NEW_PART))


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


async def test_what_grows_and_stays_is_looked_through_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock()
    task = asyncio.create_task(keep_tidy(clock))
    await asyncio.sleep(0)
    await clock.advance(SETTLED_S)
    looks: list[int] = []
    collect = gc.collect
    monkeypatch.setattr(gc, "collect", lambda: looks.append(collect()))
    kept: list[list[Ring]] = []
    half = enough() // 2
    for _ in range(8):
        kept.append([Ring() for _ in range(half)])
        await clock.advance(LOOK_S)
    assert 2 <= len(looks) <= 4
    task.cancel()
    await asyncio.wait([task])


async def test_much_that_is_new_does_not_wait() -> None:
    clock = ManualClock()
    task = asyncio.create_task(keep_tidy(clock))
    await asyncio.sleep(0)
    await clock.advance(SETTLED_S)
    gc.set_threshold(0)
    few = weakref.ref(Ring())
    await clock.advance(LOOK_S)
    assert few() is not None
    for _ in range(enough()):
        Ring()
    await clock.advance(LOOK_S)
    assert few() is None
    task.cancel()
    await asyncio.wait([task])
