"""Announcements on loopback: found in time, forgotten on goodbye, whatever somebody announces."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from zeroconf import ServiceInfo, Zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from cohete.clock import SystemClock
from cohete.device.discovery import mdns
from cohete.device.discovery.found import Kind, Sighting
from cohete.device.discovery.search import Search, Wanted
from tests.boards import until

HERE = ("127.0.0.1",)


def info(kind: str, name: str, port: int = 22, **properties: bytes) -> ServiceInfo:
    return AsyncServiceInfo(
        kind, f"{name}.{kind}", port, properties=properties, server=f"{name}.local.",
        addresses=[socket.inet_aton("127.0.0.1")],
    )  # fmt: skip


@contextlib.asynccontextmanager
async def announcing(*services: ServiceInfo) -> AsyncIterator[AsyncZeroconf]:
    responder = AsyncZeroconf(interfaces=list(HERE))
    for service in services:
        await (await responder.async_register_service(service))
    try:
        yield responder
    finally:
        await responder.async_close()


@pytest.mark.claim("DDC-02")
async def test_boards_and_candidates_are_told_apart() -> None:
    seen: dict[str, Sighting] = {}

    def take(name: str, sighting: Sighting | None) -> None:
        if sighting is not None:
            seen[sighting.name] = sighting

    services = (
        info("_jetson._tcp.local.", "cam-01", 2222),
        info("_ssh._tcp.local.", "box"),
        info("_workstation._tcp.local.", "desk", 9),
    )
    async with announcing(*services), mdns.Listening(take, HERE):
        await until(lambda: len(seen) == 3, 10)
    assert seen["cam-01"].kind is Kind.BOARD
    assert {seen["box"].kind, seen["desk"].kind} == {Kind.CANDIDATE}
    assert [(a.host, a.port) for a in seen["cam-01"].addresses] == [("127.0.0.1", 2222)]
    # A workstation's port is no service.
    assert seen["desk"].addresses[0].port == 22


@pytest.mark.claim("DDC-02")
async def test_who_says_goodbye_is_gone() -> None:
    seen: dict[str, Sighting] = {}

    def take(name: str, sighting: Sighting | None) -> None:
        if sighting is None:
            seen.pop(name, None)
        else:
            seen[name] = sighting

    service = info("_jetson._tcp.local.", "brief")
    async with announcing(service) as responder, mdns.Listening(take, HERE):
        await until(lambda: bool(seen), 10)
        await (await responder.async_unregister_service(service))
        await until(lambda: not seen, 10)


def malformed(name: bytes) -> bytes:
    """An answer with a PTR, a SRV and a TXT whose names are no UTF-8."""
    kind = b"\x07_jetson\x04_tcp\x05local\x00"
    instance = bytes([len(name)]) + name + kind
    ptr = kind + struct.pack("!HHIH", 12, 1, 120, len(instance)) + instance
    srv_data = struct.pack("!HHH", 0, 0, 22) + b"\x02\xff\xfe\x05local\x00"
    srv = instance + struct.pack("!HHIH", 33, 0x8001, 120, len(srv_data)) + srv_data
    text = b"\x05\xff\xfe=\xfd\xfc\x03a\x00b"
    txt = instance + struct.pack("!HHIH", 16, 0x8001, 120, len(text)) + text
    return struct.pack("!HHHHHH", 0, 0x8400, 0, 3, 0, 0) + ptr + srv + txt


@pytest.mark.claim("DDC-02")
async def test_whatever_somebody_announces_ends_nothing() -> None:
    seen: dict[str, Sighting] = {}

    def take(name: str, sighting: Sighting | None) -> None:
        if sighting is not None:
            seen[sighting.name] = sighting

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        async with mdns.Listening(take, HERE):
            for packet in (
                malformed(b"\xff\xfe\x00bad"),
                malformed(b"\x1b[2Jx"),
                b"\x00" * 12,
                b"x",
            ):
                sender.sendto(packet, ("224.0.0.251", 5353))
            async with announcing(info("_jetson._tcp.local.", "good", note=b"\xff\xfe")):
                await until(lambda: "good" in seen, 10)
    assert all(name.isprintable() for name in seen)


@pytest.mark.claim("DDC-02", "DDC-11")
async def test_where_multicast_is_blocked_it_is_said_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object, **__: object) -> Zeroconf:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("zeroconf.asyncio.AsyncZeroconf", refused)
    search = Search(Wanted(on_usb=False, for_s=0.1), SystemClock())
    assert await search.run() == []
    assert search.notes == [
        "mDNS cannot be used here (Operation not permitted); the other ways can"
    ]


async def test_a_search_can_be_cancelled() -> None:
    search = Search(Wanted(on_usb=False, for_s=60, interfaces=HERE), SystemClock())
    task = asyncio.create_task(search.run())
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled()
