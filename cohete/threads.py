"""Blocking work beside the event loop, one job after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OneThread:
    """A thread that does its jobs in the order they are given.

    A job that was handed over is finished, also where whoever waits for it is cancelled.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)

    async def run(self, job: Callable[[], T]) -> T:
        """What the job returns or raises."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, job))

    def close(self, *, wait: bool = False) -> None:
        """No more jobs; those that were given are finished."""
        self._executor.shutdown(wait=wait)
