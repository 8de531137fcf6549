"""Sweeps over real SSH servers on loopback: nobody missed, nobody asked twice."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from cohete.clock import SystemClock
from cohete.device.discovery import network, usual
from cohete.device.discovery.found import Address, Found, Kind, Sighting, Way
from cohete.device.discovery.memory import FILE, remember, remembered
from cohete.device.discovery.search import Search, Wanted
from cohete.errors import ConfigError
from tests.boards import raw_server, simulated
from tests.cli.test_commands import run_async
from tests.openssh import openssh

NOTHING = Wanted(on_usb=False, by_mdns=False)


def test_networks_are_what_was_named() -> None:
    assert network.hosts_in(["10.0.0.0/30", "10.0.0.1", "fd00::5"]) == [
        "10.0.0.1", "10.0.0.2", "fd00::5",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="is no network"):
        network.hosts_in(["10.0.0"])
    with pytest.raises(ConfigError, match="has 16777216 addresses"):
        network.hosts_in(["10.0.0.0/8"])
    with pytest.raises(ConfigError, match="more than 65536"):
        network.hosts_in(["10.0.0.0/17", "10.1.0.0/17", "10.2.0.0/24", "10.3.0.0/24"])


@pytest.mark.claim("FO-01", "DDC-11")
async def test_every_reachable_board_in_one_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "KEY_S", 1.0)
    modules = ["nano", "orin-nano-8gb", "tx2", "thor"] * 10
    async with simulated(*modules, folder=tmp_path) as (fleet, _, specs), raw_server(b"") as silent:
        with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
            # Some that never answer: a server whose queue is full, one that says nothing.
            held = [socket.create_connection(full.getsockname()) for _ in range(2)]
            places = [("127.0.0.1", spec.target.port or 22) for spec in specs]
            places += [full.getsockname(), ("127.0.0.1", silent), ("127.0.0.1", 1)]
            begun = time.monotonic()
            search = Search(Wanted(on_usb=False, by_mdns=False, hosts=tuple(places)), SystemClock())
            found = await search.run()
            assert time.monotonic() - begun <= 30
            for each in held:
                each.close()
        assert len(found) == len(specs)
        assert {each.addresses[0].port for each in found} == {spec.target.port for spec in specs}
        assert all(each.kind is Kind.CANDIDATE and each.host_key for each in found)
        assert (search.tried, search.to_try) == (len(places), len(places))
        # One connection each, and no login.
        assert {host.accepted for host in fleet.hosts.values()} == {1}


@pytest.mark.claim("FO-01")
async def test_openssh_answers_once_and_is_the_same_by_every_way(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        config = tmp_path / "config"
        config.write_text(
            f"Host *\n  User x\nHost cam\n  HostName 127.0.0.1\n  Port {server.port}\n"
        )
        known = tmp_path / "known"
        known.write_text(server.known_hosts)
        wanted = Wanted(
            on_usb=False, by_mdns=False, hosts=(("127.0.0.1", server.port),), ssh_config=config,
            known_hosts=known,
        )  # fmt: skip
        (found,) = await Search(wanted, SystemClock()).run()
        assert found.name == "cam"
        assert found.ways == (Way.NETWORK, Way.SSH)
        assert found.host_key == server.host_key.get_fingerprint()


async def test_a_place_that_several_ways_lead_to_is_connected_to_once(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, specs):
        wanted = Wanted(
            on_usb=False, by_mdns=False, hosts=(("127.0.0.1", specs[0].target.port or 22),),
            known_hosts=tmp_path / "known_hosts",
        )  # fmt: skip
        for times in (1, 2):
            (found,) = await Search(wanted, SystemClock()).run()
            assert found.ways == (Way.NETWORK, Way.SSH)
            assert fleet.hosts["nano-0"].accepted == times


async def test_boards_behind_one_address_keep_their_names(tmp_path: Path) -> None:
    async with simulated("nano", "tx2", folder=tmp_path) as (_, __, specs):
        config = tmp_path / "config"
        config.write_text(
            "".join(
                f"Host {spec.id}\n  HostName 127.0.0.1\n  Port {spec.target.port}\n"
                for spec in specs
            )
        )
        wanted = Wanted(on_usb=False, by_mdns=False, ssh_config=config)
        found = await Search(wanted, SystemClock()).run()
        assert [each.target for each in found] == ["nano-0", "tx2-1"]
        ports = {each.name: each.addresses[0].port for each in found}
        assert ports == {spec.id: spec.target.port for spec in specs}


async def test_what_is_no_ssh_server_is_none() -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert await network.host_key_at("127.0.0.1", port) is None


def test_names_of_the_ssh_configuration(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "lab").write_text("Host lab-1 lab-* !lab-2\n")
    config = tmp_path / "config"
    config.write_text(
        "# Host not-this\nInclude conf.d/*\nHost=cam\n  HostName 10.0.0.1\nHost * ?x\nMatch all\n"
        "Include config\nHost a\x1b[2J\n"
    )
    assert usual.aliases(config) == ["lab-1", "cam"]
    assert usual.aliases(tmp_path / "none") == []
    known = tmp_path / "known"
    known.write_text(
        "cam,10.0.0.1 ssh-ed25519 AAAA\n[10.0.0.2]:2222 ssh-rsa AAAA c\n|1|x|y ssh-rsa AAAA\n"
        "@revoked z ssh-rsa AAAA\n*.lab ssh-rsa AAAA\nbroken\n"
    )
    assert usual.known(known) == [("cam", 22), ("10.0.0.1", 22), ("10.0.0.2", 2222)]


BOARD = Found(
    "cam-01", Kind.BOARD, (Way.USB,), (Address("10.0.0.7", 2222, True),), "SHA256:x", ("serial 1",)
)


@pytest.mark.claim("DDC-09")
def test_what_was_found_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    remember(folder, [BOARD, Found("Nano", Kind.RECOVERY, (Way.USB,), ())])
    path = folder / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert remembered(folder) == [
        Sighting(
            Way.KNOWN, Kind.BOARD, "cam-01", (Address("10.0.0.7", 2222),), "SHA256:x", ("serial 1",)
        )
    ]
    # Whoever is killed while writing leaves the last whole file.
    (folder / "boards.part").write_text('{"version": 2, "boa')
    assert len(remembered(folder)) == 1
    remember(folder, [BOARD])
    assert len(remembered(folder)) == 1


@pytest.mark.claim("DDC-09")
def test_older_files_are_read_and_newer_ones_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text('{"boards": [{"name": "cam", "host": "10.0.0.7", "port": 2200}, {"host": 3}]}')
    (old,) = remembered(tmp_path)
    assert (old.name, old.addresses) == ("cam", (Address("10.0.0.7", 2200),))
    newer = '{"version": 99, "boards": {}}'
    path.write_text(newer)
    assert remembered(tmp_path) == []
    remember(tmp_path, [BOARD])
    assert path.read_text() == newer
    for text in ("", "[]", "null", '{"version": 2, "boards": 5}', "[" * 100_000):
        path.write_text(text)
        assert remembered(tmp_path) == []


@pytest.mark.claim("DDC-09")
async def test_a_board_that_is_off_is_still_known(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, __, specs):
        port = specs[0].target.port or 22
        wanted = Wanted(
            on_usb=False, by_mdns=False, hosts=(("127.0.0.1", port),), state_folder=tmp_path
        )
        (now,) = await Search(wanted, SystemClock()).run()
    (later,) = await Search(wanted, SystemClock()).run()
    assert later.host_key == now.host_key
    assert later.ways == (Way.KNOWN,)
    assert [address.is_open for address in later.addresses] == [None]


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    wanted = Wanted(on_usb=False, by_mdns=False, state_folder=tmp_path / "state")
    search = Search(wanted, SystemClock())
    assert await search.run() == []
    assert search.notes[0].startswith("what was found cannot be remembered: ")


async def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with simulated("nano", folder=tmp_path) as (_, __, specs):
        port = specs[0].target.port
        path = tmp_path / "found.yaml"
        path.write_text(f"discovery: {{methods: [static: ['127.0.0.1:{port}']]}}\n")
        more = ("--config", str(path), "--for", "0.1")
        status, out, _ = await run_async("discover", *more)
        assert status == 0
        assert "candidate" in out
        assert f"127.0.0.1:{port}" in out
        assert "SHA256:" in out
    status, out, _ = await run_async("discover", "--net", "127.0.0.9", "--json", "--forget", *more)
    assert (status, out) == (1, '{\n  "boards": []\n}\n')
    status, _, err = await run_async("discover", "--net", "nonsense")
    assert status == 2
    assert "is no network" in err


async def test_hosts_are_tried_at_the_same_time_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = most = 0

    async def slow(host: str, port: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    monkeypatch.setattr(network, "host_key_at", slow)
    await network.answering([(f"10.0.{nth // 256}.{nth % 256}", 22) for nth in range(2_000)])
    assert most == network.AT_ONCE
