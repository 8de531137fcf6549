"""Waking a sleeping board over the network, and finding out whether it woke.

The magic packet is six bytes FF and sixteen times the MAC address, 102 bytes, over UDP to a
broadcast address, port 9 or 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket

from cohete.clock import Clock
from cohete.errors import CoheteError, ConfigError

PORTS = (9, 7)
PACKETS = 3
_MAC = re.compile(r"([0-9A-Fa-f]{2})([:-])(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{12}")
_PROBE_S = 2.0


def parse_mac(text: str) -> bytes:
    """Six bytes from `48:b0:2d:11:22:33`, with colons, hyphens or none. Raises ConfigError."""
    if not _MAC.fullmatch(text):
        raise ConfigError(f"{text[:32]!r} is no MAC address", hint="As in 48:b0:2d:11:22:33.")
    mac = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if mac[0] & 1 or not any(mac):
        raise ConfigError(f"{text} is the address of a group, not of a board")
    return mac


def magic_packet(mac: bytes) -> bytes:
    """What wakes the board with that address: 102 bytes."""
    if len(mac) != 6:
        raise ValueError("a MAC address has six bytes")
    return b"\xff" * 6 + mac * 16


def send(mac: bytes, broadcast: str = "255.255.255.255", port: int = PORTS[0]) -> None:
    """Send the packet a few times: UDP may lose one. Raises CoheteError."""
    packet = magic_packet(mac)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for _ in range(PACKETS):
                sender.sendto(packet, (broadcast, port))
    except OSError as error:
        raise CoheteError(
            f"the magic packet cannot be sent: {error.strerror}",
            where=f"{broadcast}:{port}",
            hint="Name the broadcast address of the board's own network.",
        ) from None


async def is_reachable(host: str, port: int) -> bool:
    """Whether somebody listens there: a board that is awake runs its SSH server."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_PROBE_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return True


async def woke(host: str, port: int, clock: Clock, within_s: float) -> float | None:
    """Seconds until the board could be reached; None where it could not be in that time."""
    begun = clock.monotonic()
    while True:
        if await is_reachable(host, port):
            return clock.monotonic() - begun
        if clock.monotonic() - begun >= within_s:
            return None
        await clock.sleep(1.0)
