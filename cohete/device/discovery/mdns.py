"""Boards that announce themselves in the local network by mDNS (RFC 6762, 6763)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cohete.clock import Clock
from cohete.device.discovery.found import Address, Kind, Sighting, Way
from cohete.text import sanitise

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncZeroconf

JETSON = "_jetson._tcp.local."
TYPES = (JETSON, "_ssh._tcp.local.", "_workstation._tcp.local.")
FOR_S = 5.0
ASK_MS = 3_000
MAX_SERVICES = 2_048
SSH_PORT = 22

Seen = Callable[[str, Sighting | None], None]
"""Told of each service by its name: what it is now, or None once it has said goodbye."""


class Blocked(Exception):
    """This computer may not send or hear multicast."""


async def announced(
    clock: Clock, for_s: float = FOR_S, interfaces: Sequence[str] = ()
) -> list[Sighting]:
    """Whatever announces itself within so many seconds. Raises Blocked."""
    found: dict[str, Sighting] = {}

    def seen(name: str, sighting: Sighting | None) -> None:
        if sighting is None:
            found.pop(name, None)
        else:
            found[name] = sighting

    async with Listening(seen, interfaces):
        await clock.sleep(for_s)
    return list(found.values())


class Listening:
    """`async with Listening(seen):` tells of services as they come and go. Raises Blocked."""

    def __init__(self, seen: Seen, interfaces: Sequence[str] = ()) -> None:
        self._seen = seen
        self._interfaces = list(interfaces)
        self._zeroconf: AsyncZeroconf | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Listening:
        from zeroconf import InterfaceChoice
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._interfaces or InterfaceChoice.All)
            AsyncServiceBrowser(self._zeroconf.zeroconf, list(TYPES), handlers=[self._changed])
        except OSError as error:
            await self.close()
            raise Blocked(str(error.strerror or error)) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Listen no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._zeroconf is not None:
            await self._zeroconf.async_close()
            self._zeroconf = None

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        from zeroconf import ServiceStateChange

        running = self._asking.pop(name, None)
        if running is not None:
            running.cancel()
        if state_change is ServiceStateChange.Removed:
            self._seen(name, None)
        elif len(self._asking) < MAX_SERVICES:
            task = asyncio.get_running_loop().create_task(self._ask(zeroconf, service_type, name))
            self._asking[name] = task

    async def _ask(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf import BadTypeInNameException, IPVersion
        from zeroconf.asyncio import AsyncServiceInfo

        try:
            info = AsyncServiceInfo(service_type, name)
            if not await info.async_request(zeroconf, ASK_MS):
                return
            addresses = info.parsed_scoped_addresses(IPVersion.All)
        except (BadTypeInNameException, ValueError, UnicodeError):
            # Somebody announces what is no name.
            return
        port = info.port if service_type != "_workstation._tcp.local." and info.port else SSH_PORT
        hosts = sorted((each for each in addresses if _says_where(each)), key=_nearest)
        usable = tuple(Address(host, port) for host in hosts[:8])
        if usable:
            self._seen(name, _sighting(service_type, name, info.server or "", usable))


def _sighting(
    service_type: str, name: str, server: str, addresses: tuple[Address, ...]
) -> Sighting:
    kind = Kind.BOARD if service_type == JETSON else Kind.CANDIDATE
    label = server.removesuffix(".").removesuffix(".local") or name.partition(".")[0]
    return Sighting(Way.MDNS, kind, sanitise(label, 64), addresses)


def _says_where(host: str) -> bool:
    """A link-local address means nothing without its link."""
    address, _, zone = host.partition("%")
    return bool(zone) or not (
        ip_address(address).version == 6 and ip_address(address).is_link_local
    )


def _nearest(host: str) -> tuple[bool, bool, str]:
    """IPv4 before IPv6, link-local last."""
    address = ip_address(host.partition("%")[0])
    return (address.is_link_local, address.version == 6, host)
