"""One question to every board of a plan, each over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.device.identity import Facts
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


def read_facts(
    plan: FleetPlan, password: Ask | None = None
) -> list[tuple[DeviceSpec, Facts | CoheteError]]:
    """Who each board is and what it has now, or why it does not tell. Blocking."""
    from cohete.device.identity import facts_from
    from cohete.links.commands import PROBE_LIMIT_S, probe, split_sections
    from cohete.loop import run

    async def read(link: ReopeningLink) -> Facts:
        done = await link.run(probe(), timeout_s=PROBE_LIMIT_S + 5)
        return facts_from(split_sections(done.stdout))

    return run(ask_each(plan, read, password))
