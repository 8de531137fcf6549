"""SSH servers at named addresses: one connection a host, so many at a time, and no more.

Only networks and hosts that somebody names are tried. A server counts connections without a login
(OpenSSH 9.8 and later makes such sources wait), so that each is asked once, for its host key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from ipaddress import ip_network

from cohete.device.discovery.found import Address, Kind, Sighting, Way
from cohete.errors import ConfigError, LinkError
from cohete.links.tcp import Dialer

AT_ONCE = 256
CONNECT_S = 1.5
KEY_S = 5.0
MAX_HOSTS = 65_536
SSH_PORT = 22

Ask = Callable[[str, int], Awaitable[str | None]]
Progress = Callable[[int, int], None]
"""Told how many of how many were tried."""


def hosts_in(networks: Iterable[str]) -> list[str]:
    """Every host of these networks (CIDR) and addresses, each once. Raises ConfigError."""
    found: dict[str, None] = {}
    for text in networks:
        for host in _hosts(text):
            if len(found) >= MAX_HOSTS and host not in found:
                raise ConfigError(
                    f"these are more than {MAX_HOSTS} addresses", hint="Name a smaller network."
                )
            found[host] = None
    return list(found)


def _hosts(text: str) -> Iterator[str]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f"{text[:60]!r} is no network", hint="As in 10.0.8.0/24 or fd00::5."
        ) from None
    if network.num_addresses > MAX_HOSTS:
        raise ConfigError(
            f"{text} has {network.num_addresses} addresses",
            hint=f"Name a network of at most {MAX_HOSTS}.",
        )
    return (str(host) for host in network.hosts())


async def answering(
    places: Iterable[tuple[str, int]],
    way: Way = Way.NETWORK,
    names: Mapping[tuple[str, int], str] | None = None,
    progress: Progress = lambda tried, all_: None,
    ask: Ask | None = None,
) -> list[Sighting]:
    """Those of these hosts and ports where an SSH server answers, with its host key.

    `names` are those that ssh itself knows places by.
    """
    todo = list(dict.fromkeys(places))
    room = asyncio.Semaphore(AT_ONCE)
    found: list[Sighting] = []
    tried = 0

    async def one(host: str, port: int) -> None:
        nonlocal tried
        async with room:
            key = await (ask or host_key_at)(host, port)
        tried += 1
        progress(tried, len(todo))
        if key is not None:
            address = Address(host, port, is_open=True)
            name = (names or {}).get((host, port), "")
            found.append(Sighting(way, Kind.CANDIDATE, name, (address,), host_key=key, alias=name))

    async with asyncio.TaskGroup() as group:
        for host, port in todo:
            group.create_task(one(host, port))
    return found


async def host_key_at(host: str, port: int, dialer: Dialer | None = None) -> str | None:
    """SHA256 fingerprint of the host key there, empty where it shows none; None without a server.

    One TCP connection, closed before any login.
    """
    import asyncssh

    try:
        # A host name may have an address that leads nowhere: the next one is tried meanwhile.
        sock = await (dialer or Dialer()).dial(host, port, CONNECT_S)
    except LinkError:
        return None
    try:
        async with asyncio.timeout(KEY_S):
            key = await asyncssh.get_server_host_key(host, port, sock=sock, config=None)
    except asyncssh.KeyExchangeFailed:
        return ""
    except (asyncssh.Error, OSError, TimeoutError):
        return None
    finally:
        sock.close()
    return key.get_fingerprint() if key is not None else ""
