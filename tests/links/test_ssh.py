"""Over real SSH to simulated boards: keys, refusals, bounds, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from cohete.config.schema import Ssh
from cohete.config.target import Target
from cohete.device.facts import read_facts
from cohete.errors import AuthRefused, CommandError, HostKeyChanged, HostKeyUnknown, LinkError
from cohete.links.base import MAX_OUTPUT_BYTES
from cohete.links.commands import tegrastats
from cohete.links.handshake import CIPHERS, HOST_KEY_ALGORITHMS, KEX
from cohete.links.ssh import SshConnector, SshFiles, SshLink
from cohete.links.tcp import AddressInfo, lookup
from cohete.simulator.faults import Fault
from tests.boards import lonely_files, raw_server, simulated, until


@pytest.mark.claim("DDC-03")
async def test_a_command_and_the_facts_over_one_connection(tmp_path: Path) -> None:
    async with simulated("orin-nx-16gb", folder=tmp_path) as (fleet, config, (spec,)):
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        facts = await read_facts(link)
        assert facts.module_name == "Orin NX 16GB"
        assert facts.hostname == "orin-nx-16gb-0"
        assert link.fingerprint.startswith("SHA256:")
        host = next(iter(fleet.hosts.values()))
        assert len(host.commands) == 1
        await link.close()
        await connector.close()


@pytest.mark.claim("DDC-10")
async def test_an_unknown_key_is_shown_and_nothing_is_sent(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        files = SshFiles(tmp_path / "none", tmp_path / "empty_known_hosts", ())
        connector = SshConnector(config.ssh, files)
        with pytest.raises(HostKeyUnknown) as caught:
            await SshLink(spec, connector).open()
        assert caught.value.fingerprint in caught.value.what
        assert host.known_hosts == caught.value.line
        assert not host.commands
        assert not files.known_hosts.exists()
        await connector.host_keys.add_line(caught.value.line)
        link = SshLink(spec, connector)
        await link.open()
        await link.close()
        await connector.close()


@pytest.mark.claim("DDC-10")
async def test_accept_new_accepts_new_and_nothing_else(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, (spec,)):
        host = next(iter(fleet.hosts.values()))
        files = SshFiles(tmp_path / "none", tmp_path / "own", ())
        connector = SshConnector(Ssh(accept_new=True), files)
        link = SshLink(spec, connector)
        await link.open()
        await link.close()
        assert files.known_hosts.read_text() == host.known_hosts + "\n"
        await host.set_fault(Fault.HOST_KEY)
        with pytest.raises(HostKeyChanged) as caught:
            await SshLink(spec, connector).open()
        assert "HAS CHANGED" in caught.value.what
        assert f"ssh-keygen -R '[127.0.0.1]:{host.port}'" in caught.value.hint
        assert files.known_hosts.read_text() != host.known_hosts + "\n"
        await connector.close()


@pytest.mark.claim("DDC-10", "DDC-03")
async def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        known = tmp_path / "revoked"
        known.write_text(f"{host.known_hosts}\n@revoked * {host.known_hosts.split(' ', 1)[1]}\n")
        connector = SshConnector(config.ssh, SshFiles(tmp_path / "none", known, ()))
        with pytest.raises(HostKeyChanged):
            await SshLink(spec, connector).open()
        await connector.close()


@pytest.mark.claim("DDC-03")
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_a_rejected_key_names_host_user_and_key(tmp_path: Path, kind: str) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
        stranger = tmp_path / "stranger"
        stranger.touch(0o600)
        stranger.write_bytes(asyncssh.generate_private_key(kind).export_private_key())
        connector = SshConnector(config.ssh, lonely_files(config))
        with pytest.raises(AuthRefused) as caught:
            await SshLink(replace(spec, identity_file=str(stranger)), connector).open()
        text = str(caught.value)
        assert "nvidia@127.0.0.1" in text
        assert str(stranger) in text
        assert "ssh-copy-id" in text
        await connector.close()


@pytest.mark.claim("DDC-03")
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_each_kind_of_key_opens_a_session(tmp_path: Path, kind: str) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        key = asyncssh.generate_private_key(kind)
        for host in fleet.hosts.values():
            host._authorized = key.convert_to_public()
        file = tmp_path / "key"
        file.touch(0o600)
        file.write_bytes(key.export_private_key())
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(replace(spec, identity_file=str(file)), connector)
        await link.open()
        assert (await link.run(("echo", "hello"), timeout_s=5)).stdout == b"hello\n"
        await link.close()
        await connector.close()


@pytest.mark.claim("SS-02", "DDC-03")
async def test_a_key_open_to_others_is_not_used(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
        assert spec.identity_file is not None
        os.chmod(spec.identity_file, 0o644)
        connector = SshConnector(config.ssh, lonely_files(config))
        with pytest.raises(AuthRefused, match="chmod 600"):
            await SshLink(spec, connector).open()
        await connector.close()


async def test_an_encrypted_key_says_how_to_unlock_it(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
        assert spec.identity_file is not None
        key = asyncssh.read_private_key(spec.identity_file)
        Path(spec.identity_file).write_bytes(key.export_private_key(passphrase="canary-secret"))
        connector = SshConnector(config.ssh, lonely_files(config))
        with pytest.raises(AuthRefused, match="ssh-add") as caught:
            await SshLink(spec, connector).open()
        assert "canary-secret" not in str(caught.value)
        await connector.close()


@pytest.mark.claim("SS-02")
def test_only_modern_algorithms_are_offered() -> None:
    offered = " ".join((*KEX, *CIPHERS, *HOST_KEY_ALGORITHMS))
    for weak in ("sha1", "3des", "arcfour", "cbc", "md5", "ssh-dss", "group1-", "group-exchange"):
        assert weak not in offered
    assert "ssh-rsa" not in HOST_KEY_ALGORITHMS


@pytest.mark.claim("SS-02")
async def test_no_password_is_ever_offered(tmp_path: Path) -> None:
    """Against a server that only takes passwords there is nothing to say."""

    class PasswordServer(asyncssh.SSHServer):
        asked = 0

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            PasswordServer.asked += 1
            return True

    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=PasswordServer,
                                   server_host_keys=[key])  # fmt: skip
    async with simulated("nano", folder=tmp_path) as (_, _, (spec,)):
        target = replace(spec, target=Target("127.0.0.1", "nvidia", server.get_port()))
        connector = SshConnector(
            Ssh(accept_new=True), SshFiles(tmp_path / "none", tmp_path / "own", ())
        )
        with pytest.raises(AuthRefused):
            await SshLink(target, connector).open()
        assert PasswordServer.asked == 0
        await connector.close()
    server.close()
    await server.wait_closed()


@pytest.mark.claim("DDC-03", "DDC-13")
async def test_a_silent_port_fails_within_its_time_limit(tmp_path: Path) -> None:
    """A server that accepts and says nothing: the login time-out of the settings decides."""
    async with (
        raw_server(b"") as port,
        simulated("nano", folder=tmp_path) as (_, config, (spec,)),
    ):
        target = replace(spec, target=Target("127.0.0.1", "nvidia", port))
        for limit_s in (0.3, 0.9):
            connector = SshConnector(Ssh(login_timeout_s=limit_s), lonely_files(config))
            begin = time.monotonic()
            with pytest.raises(LinkError, match=f"no SSH login within {limit_s:g} s"):
                await SshLink(target, connector).open()
            assert limit_s <= time.monotonic() - begin < limit_s + 1.5
            await connector.close()


@pytest.mark.claim("DDC-03")
async def test_a_full_backlog_fails_within_the_connect_limit(tmp_path: Path) -> None:
    """A listener that never accepts, its queue full: SYNs are dropped as by a black hole."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
            target = replace(spec, target=Target("127.0.0.1", "n", listener.getsockname()[1]))
            connector = SshConnector(
                Ssh(connect_timeout_s=0.5, login_timeout_s=0.5), lonely_files(config)
            )
            begin = time.monotonic()
            with pytest.raises(LinkError):
                await SshLink(target, connector).open()
            assert time.monotonic() - begin < 2.0
            await connector.close()
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "banner",
    [b"\x00\xff" * 400 + b"\n", b"SSH-1.0-old\r\n", b"A" * 1_048_576, b"HTTP/1.1 400\r\n"],
    ids=["binary", "old", "endless", "http"],
)
async def test_a_port_that_is_no_ssh_is_an_error_not_a_crash(tmp_path: Path, banner: bytes) -> None:
    async with (
        raw_server(banner) as port,
        simulated("nano", folder=tmp_path) as (_, config, (spec,)),
    ):
        connector = SshConnector(Ssh(login_timeout_s=1), lonely_files(config))
        target = replace(spec, target=Target("127.0.0.1", "n", port))
        with pytest.raises(LinkError) as caught:
            await SshLink(target, connector).open()
        assert str(caught.value).isprintable()
        await connector.close()


@pytest.mark.claim("DDC-12")
@pytest.mark.parametrize("host", ["::1", "dual.example"])
async def test_ipv6_and_dual_stack(tmp_path: Path, host: str) -> None:
    """A server on ::1 only; a name whose IPv4 address is dead must not get stuck on it."""
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))

    def both(host: str, port: int, flags: int) -> list[AddressInfo]:
        if host == "::1":
            return lookup(host, port, flags)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        dead = lookup("127.0.0.1", unused.getsockname()[1], 0)
        return [*dead, *lookup("::1", port, 0)]

    try:
        key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "::1", 0, server_host_keys=[key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                client_key.export_public_key().decode()
            ),
            process_factory=lambda process: process.exit(0),
        )  # fmt: skip
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    file = tmp_path / "id"
    file.touch(0o600)
    file.write_bytes(client_key.export_private_key())
    connector = SshConnector(
        Ssh(accept_new=True), SshFiles(tmp_path / "none", tmp_path / "own", ()), lookup=both
    )
    from cohete.config.spec import DeviceSpec

    spec = DeviceSpec("six", Target(host, "u", server.get_port()), identity_file=str(file))
    link = SshLink(spec, connector)
    await link.open()
    assert (await link.run(("true",), timeout_s=5)).exit_status == 0
    await link.close()
    await connector.close()
    unused.close()
    server.close()
    await server.wait_closed()


@pytest.mark.claim("DDC-12")
def test_a_zone_names_the_interface() -> None:
    (info,) = lookup("fe80::1%lo", 22, socket.AI_NUMERICHOST)
    assert info[4][3:] == (socket.if_nametoindex("lo"),)


async def test_output_is_bounded_and_a_command_is_cut_off_in_time(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        host.board.written["/big"] = b"x" * (3 * MAX_OUTPUT_BYTES)
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        done = await link.run(("cat", "/big"), timeout_s=10)
        assert done.truncated
        assert len(done.stdout) == MAX_OUTPUT_BYTES
        with pytest.raises(CommandError, match=r"did not finish within 0\.2 s"):
            await link.run(("sleep", "60"), timeout_s=0.2)
        await until(lambda: not host.running)
        assert (await link.run(("echo", "a b;c $x"), timeout_s=5)).stdout == b"a b;c $x\n"
        await link.close()
        await connector.close()


@pytest.mark.parametrize("ending", ["close", "abort", "cancel"])
async def test_nothing_goes_on_running_on_a_board(tmp_path: Path, ending: str) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        got: list[bytes] = []
        stream = await link.stream(tegrastats(100), got.extend)
        await until(lambda: len(got) > 1)
        if ending == "close":
            stream.close()
            await link.close()
        elif ending == "abort":
            link.abort()
        else:
            task = asyncio.create_task(stream.wait())
            await asyncio.sleep(0)
            task.cancel()
            await link.close()
        await until(lambda: not host.running, 5)
        await link.close()
        await connector.close()


async def test_loud_stderr_does_not_stall_the_stream(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        got: list[bytes] = []
        noise = "echo " + "x" * 900 + " >/dev/null; cat " + " ".join(["/no"] * 400)
        script = f"{noise}; tegrastats --interval 50"
        stream = await link.stream(("sh", "-c", script), got.extend)
        await until(lambda: len(got) > 3)
        stream.close()
        await link.close()
        await connector.close()


async def test_two_hundred_cancellations_leak_nothing(tmp_path: Path) -> None:
    """Cancelled at random points of connecting and running: no fd, task or session stays."""
    import random

    rng = random.Random(3)
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        connector = SshConnector(config.ssh, lonely_files(config))

        async def work() -> None:
            link = SshLink(spec, connector)
            try:
                await link.open()
                await link.stream(tegrastats(20), lambda fresh: None)
                await link.run(("sleep", "1"), timeout_s=5)
            finally:
                await link.close()

        await asyncio.gather(*(_cancelled(work, rng.uniform(0, 0.05)) for _ in range(5)))
        await until(lambda: not host.running)
        tasks, fds = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
        for _ in range(25):
            await asyncio.gather(*(_cancelled(work, rng.uniform(0, 0.08)) for _ in range(8)))
        await until(lambda: not host.running)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= fds + 2)
        await connector.close()


async def _cancelled(work: object, after_s: float) -> None:
    task = asyncio.ensure_future(work())  # type: ignore[operator]
    await asyncio.sleep(after_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
