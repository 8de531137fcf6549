"""One question to every board of a plan, each over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.errors import CoheteError
    from cohete.fleet.session import FleetPlan
    from cohete.links.handshake import Ask
    from cohete.links.reopening import ReopeningLink

T = TypeVar("T")
AT_ONCE = 32


async def ask_each(
    plan: FleetPlan, ask: Callable[[ReopeningLink], Awaitable[T]], password: Ask | None = None
) -> list[tuple[DeviceSpec, T | CoheteError]]:
    """What each enabled board answers, or why it does not, in the order of the plan."""
    from cohete.clock import SystemClock
    from cohete.errors import CoheteError
    from cohete.links.opener import make_opener
    from cohete.links.reopening import ReopeningLink
    from cohete.links.ssh import SshConnector

    connector = SshConnector(plan.ssh, ask=password)
    opener = make_opener(connector, SystemClock())
    places = asyncio.Semaphore(AT_ONCE)

    async def one(spec: DeviceSpec) -> tuple[DeviceSpec, T | CoheteError]:
        async with places, ReopeningLink(opener, spec) as link:
            try:
                return spec, await ask(link)
            except CoheteError as error:
                return spec, error

    try:
        return list(await asyncio.gather(*(one(spec) for spec in plan.specs if spec.enabled)))
    finally:
        await connector.close()
