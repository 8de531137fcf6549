"""Facts are read once and carry their age."""

from __future__ import annotations

import asyncio

import pytest

from cohete.clock import ManualClock
from cohete.device.facts import FactCache
from cohete.device.identity import Facts

pytestmark = pytest.mark.claim("DDC-15")


class Counting:
    def __init__(self) -> None:
        self.reads = 0

    async def __call__(self) -> Facts:
        self.reads += 1
        await asyncio.sleep(0)
        return Facts(hostname=f"read-{self.reads}")


async def test_many_questions_one_round_trip() -> None:
    read = Counting()
    cache = FactCache(read, ManualClock(), ttl_s=60)
    answers = await asyncio.gather(*(cache.get() for _ in range(20)))
    assert read.reads == 1
    assert {answer.facts.hostname for answer in answers} == {"read-1"}


async def test_age_grows_and_is_marked_when_it_outlives_the_ttl() -> None:
    clock = ManualClock()
    read = Counting()
    cache = FactCache(read, clock, ttl_s=60)
    assert cache.peek() is None
    await cache.get()
    clock.step(59)
    known = cache.peek()
    assert known is not None
    assert (known.age_s, known.stale) == (59, False)
    clock.step(2)
    known = cache.peek()
    assert known is not None
    assert known.stale
    assert (await cache.get()).facts.hostname == "read-2"
    assert read.reads == 2
