"""How many connections are opened at a time: a place is for the busy part, not for the waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

BUSY_S = 0.5
"""A healthy host is through its handshake by then; who takes longer is waiting, and a host that
waits must not hold back one that would not."""


class Places:
    """A bound on what begins at the same time. Whoever is slow gives the place up early."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @contextlib.asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a place and hold it for BUSY_S at the most."""
        await self._free.acquire()
        held = True

        def give_up() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(BUSY_S, give_up)
        try:
            yield
        finally:
            timer.cancel()
            give_up()
