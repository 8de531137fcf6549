"""Waking a board: the packet byte by byte, and no success that was not seen."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from cohete.clock import SystemClock
from cohete.control.audit import default_folder, read_audit
from cohete.errors import ConfigError
from cohete.power.wake import PACKETS, is_reachable, magic_packet, parse_mac, send, woke
from tests.boards import raw_server
from tests.cli.test_commands import run_async
from tests.openssh import free_port

MAC = bytes.fromhex("48b02d112233")


@pytest.mark.claim("PM-06")
def test_the_packet_byte_by_byte() -> None:
    packet = magic_packet(MAC)
    assert len(packet) == 102
    assert packet[:6] == b"\xff" * 6
    assert [packet[6 + 6 * nth : 12 + 6 * nth] for nth in range(16)] == [MAC] * 16
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        send(MAC, "127.0.0.1", receiver.getsockname()[1])
        assert [receiver.recv(1024) for _ in range(PACKETS)] == [packet] * PACKETS


@pytest.mark.claim("PM-06")
@pytest.mark.parametrize("text", ["48:b0:2d:11:22:33", "48-B0-2D-11-22-33", "48b02d112233"])
def test_addresses(text: str) -> None:
    assert parse_mac(text) == MAC


@pytest.mark.claim("PM-06")
@pytest.mark.parametrize(
    "text",
    ["", "48:b0:2d:11:22", "48:b0:2d:11:22:33:44", "48:b0-2d:11:22:33", "zz:b0:2d:11:22:33",
     "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "01:00:5e:00:00:01", "48b02d11223g"],
)  # fmt: skip
def test_what_is_no_address_of_a_board(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_mac(text)


@pytest.mark.claim("PM-06")
async def test_only_what_can_be_reached_woke() -> None:
    async with raw_server(b"SSH-2.0-x\r\n") as port:
        assert await is_reachable("127.0.0.1", port)
        assert await woke("127.0.0.1", port, SystemClock(), 5) is not None
    assert await woke("127.0.0.1", port, SystemClock(), 0) is None


@pytest.mark.claim("PM-06")
async def test_the_command(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "cohete.yaml"
    path.write_text(
        f"fleet: {{devices: [{{id: a, ip: 127.0.0.1, port: {port}, mac: '48:b0:2d:11:22:33'}}, "
        "{id: b, ip: 127.0.0.1}]}\n"
    )
    more = ("--config", str(path), "--broadcast", "127.0.0.1")
    status, out, _ = await run_async("wake", "a", *more, "--wait", "0.1")
    assert (status, out) == (1, "a: packet sent, not reached within 0.1 s\n")
    status, out, _ = await run_async("wake", "a", *more, "--wait", "0")
    assert (status, out) == (0, "a: packet sent; not waited for\n")
    status, out, _ = await run_async("wake", "a", *more, "--dry-run", "--json")
    (device,) = json.loads(out)["devices"]
    assert device["words"] == "send a magic packet for 48:b0:2d:11:22:33 to 127.0.0.1:9"
    entries = read_audit(default_folder(), device="a")[-2:]
    assert [entry.outcome for entry in entries] == ["failed, not as it was", "not known"]
    assert entries[0].intent == device["words"]
    status, _, err = await run_async("wake", "b", *more)
    assert status == 2
    assert "the MAC address of b is not known. Name it with --mac." in err
    async with raw_server(b"SSH-2.0-x\r\n") as open_port:
        path.write_text(path.read_text().replace(f"port: {port}", f"port: {open_port}"))
        status, out, _ = await asyncio.create_task(run_async("wake", "a", *more, "--wait", "5"))
        assert status == 0
        assert out.startswith("a: reached after ")


async def test_boards_that_sleep_are_meant_by_what_is_written_of_them(tmp_path: Path) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text(
        "fleet: {devices: ["
        "{id: a, ip: 127.0.0.1, mac: '48:b0:2d:11:22:33', tags: [lab]}, "
        "{id: b, ip: 127.0.0.1, mac: '48:b0:2d:11:22:34', tags: [field]}]}\n"
    )
    more = ("--config", str(path), "--dry-run")
    status, out, _ = await run_async("wake", "--filter", "tag:lab", *more)
    assert (status, out.partition(":")[0]) == (0, "a")
    status, _, err = await run_async("wake", "--filter", "tag:none", *more)
    assert status == 2
    assert "no board is meant" in err
    # Nobody wakes a whole fleet by forgetting a name.
    status, _, err = await run_async("wake", *more)
    assert status == 2
    assert "Name the boards to wake, or which with --filter." in err


@pytest.mark.parametrize("how", ["option", "everything", "device"])
async def test_read_only_wakes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    sent: list[object] = []
    monkeypatch.setattr("cohete.power.wake.send", lambda *given: sent.append(given))
    path = tmp_path / "cohete.yaml"
    of_device = ", read_only: true" if how == "device" else ""
    path.write_text(
        f"fleet: {{devices: [{{id: a, ip: 127.0.0.1, mac: '48:b0:2d:11:22:33'{of_device}}}]}}\n"
        + ("control: {read_only: true}\n" if how == "everything" else "")
    )
    more = ("--read-only",) if how == "option" else ()
    status, out, _ = await run_async("wake", "a", "--config", str(path), "--wait", "0", *more)
    assert (status, sent) == (1, [])
    assert out.startswith("a: refused: ")
    assert "read-only" in out or "read_only" in out
