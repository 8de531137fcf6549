"""A link for commands only: opened when first needed, and anew after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType

from cohete.config.spec import DeviceSpec
from cohete.errors import LinkError
from cohete.links.base import Completed, Link, put_over
from cohete.links.opener import Opener


class ReopeningLink:
    """`async with ReopeningLink(opener, spec) as link: await link.run(...)`."""

    def __init__(self, opener: Opener, spec: DeviceSpec) -> None:
        self._opener = opener
        self.spec = spec
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> ReopeningLink:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command to its end. Raises CommandError on time-out, LinkError on loss."""
        link = await self._opened()
        try:
            done = await link.run(argv, timeout_s=timeout_s)
        except LinkError:
            await self._forget(link)
            raise
        if done.exit_status is None:
            # Ended without a status: killed, or the connection went in good order.
            await self._forget(link)
        return done

    async def put(self, local: str, remote: str, sent: Callable[[int, int], None]) -> None:
        """Send a file. Raises LinkError, CommandError; CommandError where the link takes none."""
        link = await self._opened()
        try:
            await put_over(link, local, remote, sent)
        except LinkError:
            await self._forget(link)
            raise

    async def move(self, host: str) -> None:
        """From now on over a new connection: to this host with the key it had, or back where it was
        with an empty one."""
        self.spec = replace(self.spec, moved_to=host)
        await self.close()

    async def _opened(self) -> Link:
        async with self._opening:
            if self._link is None:
                link = self._opener(self.spec)
                await link.open()
                self._link = link
            return self._link

    async def _forget(self, link: Link) -> None:
        if self._link is link:
            self._link = None
        await link.close()

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        if self._link is not None:
            await self._forget(self._link)
