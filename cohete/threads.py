"""Blocking work beside the event loop, one job after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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

    async def ask(self, job: Callable[[], T]) -> T:
        """The same for what changes nothing: given up before its turn, it is not done."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def close(self, *, wait: bool = False) -> None:
        """No more jobs; those that were given are finished."""
        self._executor.shutdown(wait=wait)


async def to_its_end(work: Coroutine[None, None, T]) -> T:
    """What has to be done also by somebody who is being cancelled."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.done():
                break
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
