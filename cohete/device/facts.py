"""Facts with their age: read in one round trip, kept for a while, never passed as fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cohete.clock import Clock
from cohete.device.identity import Facts, facts_from
from cohete.links.base import Link
from cohete.links.commands import PROBE_LIMIT_S, probe, split_sections

DEFAULT_TTL_S = 60.0


async def read_facts(link: Link) -> Facts:
    """Ask a device who it is: one command, one round trip. Raises LinkError, CommandError."""
    done = await link.run(probe(), timeout_s=PROBE_LIMIT_S + 5)
    return facts_from(split_sections(done.stdout))


@dataclass(frozen=True, slots=True)
class Aged:
    """Facts and how old they are; `stale` once they outlived their TTL."""

    facts: Facts
    age_s: float
    stale: bool


class FactCache:
    """Answers any number of questions about a device from one reading per `ttl_s`."""

    def __init__(
        self, read: Callable[[], Awaitable[Facts]], clock: Clock, ttl_s: float = DEFAULT_TTL_S
    ) -> None:
        self._read = read
        self._clock = clock
        self.ttl_s = ttl_s
        self._facts: Facts | None = None
        self._read_at = 0.0
        self._lock = asyncio.Lock()

    def peek(self) -> Aged | None:
        """What is known, however old; None before the first reading."""
        if self._facts is None:
            return None
        age = self._clock.monotonic() - self._read_at
        return Aged(self._facts, age, age > self.ttl_s)

    async def get(self) -> Aged:
        """Facts no older than the TTL; callers that wait at the same time share one reading."""
        async with self._lock:
            known = self.peek()
            if known is not None and not known.stale:
                return known
            self._facts = await self._read()
            self._read_at = self._clock.monotonic()
            return Aged(self._facts, 0.0, False)
