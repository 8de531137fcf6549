"""The one source of time, so that tests and replay can bring their own."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for ages, wall seconds for stamps, and a way to wait."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FrozenClock:
    """A moment that was kept: reading it never changes, and nobody can wait on it."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic()
        self._wall = clock.time()

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._wall

    async def sleep(self, seconds: float) -> None:
        raise RuntimeError("time does not go on in a moment that was kept")


class ManualClock:
    """A clock that stands still until `advance` moves it.

    Sleepers wake in order of their deadlines, each before the clock moves on, so that what
    they do happens at the exact second they asked for.
    """

    def __init__(self, start_s: float = 1000.0, wall_s: float = 1_780_000_000.0) -> None:
        self._now = start_s
        self._wall_offset = wall_s - start_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._now + self._wall_offset

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    @property
    def sleeping(self) -> int:
        """How many wait for this clock to move."""
        return len(self._sleepers)

    def step(self, seconds: float) -> None:
        """Move without waking anybody: for pure code that only reads the time."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Move by `seconds`, waking each sleeper at its own deadline."""
        end = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            if not future.done():
                future.set_result(None)
            await _settle()
        self._now = end
        await _settle()


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
