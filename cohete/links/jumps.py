"""Jump hosts: one connection to each, shared by all the devices behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import asyncssh

from cohete.config.target import Target
from cohete.errors import LinkError, LinkRefused
from cohete.links.places import Places

CONNECTS_PER_JUMP = 8
"""Connections begun through one jump host at a time."""

KEEP_REFUSAL_S = 3.0
"""A refusal answers everybody who waits for this jump host, and whoever comes right after."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A jump host, and the key of the device for it where the ssh configuration names none."""

    target: Target
    identity_file: str | None = None


Chain = tuple[Hop, ...]
Connection = asyncssh.SSHClientConnection
OpenHop = Callable[[Hop, Connection | None], Awaitable[Connection]]


class JumpHosts:
    """Connections by chain of hops, opened once, kept while anybody uses them."""

    def __init__(self, open_hop: OpenHop) -> None:
        self._open_hop = open_hop
        self._jumps: dict[Chain, _Jump] = {}

    @contextlib.asynccontextmanager
    async def through(self, chain: Chain) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """The connection to the last hop of `chain`. Raises LinkError."""
        jump = self._jumps.get(chain)
        if jump is None:
            jump = self._jumps[chain] = _Jump()
        jump.users += 1
        try:
            if jump.is_stale():
                await jump.close()
                jump.task = asyncio.create_task(self._open(jump, chain))
                jump.task.add_done_callback(_retrieved)
            assert jump.task is not None
            yield await asyncio.shield(jump.task)
        finally:
            jump.users -= 1
            if not jump.users and self._jumps.get(chain) is jump and not jump.refused_lately():
                del self._jumps[chain]
                await jump.close()

    def places(self, chain: Chain) -> contextlib.AbstractAsyncContextManager[None]:
        """A place to begin a connection through this chain."""
        return self._jumps[chain].places.take()

    async def close(self) -> None:
        """Close what is still open."""
        jumps, self._jumps = list(self._jumps.values()), {}
        for jump in reversed(jumps):
            await jump.close()

    async def _open(self, jump: _Jump, chain: Chain) -> asyncssh.SSHClientConnection:
        *before, last = chain
        try:
            tunnel = None
            if before:
                tunnel = await jump.stack.enter_async_context(self.through(tuple(before)))
            return await self._open_hop(last, tunnel)
        except LinkRefused as error:
            jump.refused_at = asyncio.get_running_loop().time()
            if not error.where.startswith("jump host"):
                error.where = f"jump host {error.where}"
            raise
        except LinkError as error:
            where = error.where
            if not where.startswith("jump host"):
                where = f"jump host {where}"
            raise LinkError(error.what, where=where, hint=error.hint) from None


class _Jump:
    """One chain: the task that opens its connection, and the hops before it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self.stack = contextlib.AsyncExitStack()
        self.places = Places(CONNECTS_PER_JUMP)
        self.users = 0
        self.refused_at: float | None = None

    def is_stale(self) -> bool:
        """Whether a new connection has to be opened."""
        if self.task is None:
            return True
        if not self.task.done():
            return False
        if self.task.cancelled() or self.task.exception() is not None:
            return not self.refused_lately()
        return self.task.result().is_closed()

    def refused_lately(self) -> bool:
        """Whether a person has to act, and asking again so soon would only annoy the host."""
        now = asyncio.get_running_loop().time()
        return self.refused_at is not None and now - self.refused_at < KEEP_REFUSAL_S

    async def close(self) -> None:
        """Drop the connection, and let go of the hops before it."""
        task, self.task = self.task, None
        stack, self.stack = self.stack, contextlib.AsyncExitStack()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                connection = task.result()
                connection.abort()
                await connection.wait_closed()
        await stack.aclose()


def _retrieved(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """Everybody who waited may have given up; then nobody is left to be told."""
    if not task.cancelled():
        task.exception()
