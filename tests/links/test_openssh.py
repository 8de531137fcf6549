"""End to end against OpenSSH's sshd: facts, streams, jump hosts, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.device.activity import between, counters_from
from cohete.errors import AuthRefused, HostKeyUnknown
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.links.commands import activity, split_sections
from cohete.links.ssh import SshConnector, SshFiles, SshLink
from tests.boards import is_live, until
from tests.openssh import Sshd, openssh


def connector_for(folder: Path, *servers: Sshd, config: Path | None = None) -> SshConnector:
    known = folder / "known_hosts"
    known.write_text("".join(server.known_hosts for server in servers))
    return SshConnector(Ssh(), SshFiles(config or folder / "none", known, ()))


@pytest.mark.claim("DDC-03")
async def test_a_board_behind_sshd_goes_live_with_facts_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    with openssh(tmp_path / "board") as server:
        connector = connector_for(tmp_path, server)
        async with FleetSession(FleetPlan([server.spec()]), connector=connector) as session:
            device = session.store["board"]
            await until(lambda: device.state is State.LIVE and device.facts is not None)
            assert device.stats is not None
            assert device.stats.gpu_percent == 63
            assert device.mode_name == "25W"
            assert device.facts is not None
            assert device.facts.jetpack == "JetPack 6.2.1"
            assert device.facts.l4t == "36.4.7"
            assert device.module_name == "unknown board"
            assert len(server.pids()) == 1
        await until(lambda: not server.pids(), 5)
        arguments = (tmp_path / "board" / "tegrastats.args").read_text()
        assert arguments == "--interval 1000\n"


def _hear_signals() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_whatever_ends_us_no_process_stays_on_the_board(
    tmp_path: Path, ending: signal.Signals
) -> None:
    with openssh(tmp_path / "board") as server:
        (tmp_path / "known").write_text(server.known_hosts)
        config = tmp_path / "cohete.yaml"
        target = server.spec().target
        config.write_text(
            f"ssh: {{known_hosts: {tmp_path}/known}}\nfleet: {{devices: [{{id: b, "
            f"ip: 127.0.0.1, port: {target.port}, user: {target.user}, "
            f"identity_file: {server.client_key}}}]}}\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cohete", "watch", "--config", str(config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            # Tests that run in the background, or under nohup, inherit signals that are ignored.
            preexec_fn=_hear_signals,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            await asyncio.wait_for(process.stdout.readline(), 20)
            await until(lambda: len(server.pids()) == 1)
            process.send_signal(ending)
            _, errors = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
        assert b"Traceback" not in errors
        await until(lambda: not server.pids(), 5)


@pytest.mark.claim("DDC-14", "DDC-10")
async def test_two_hops_from_the_ssh_config_each_with_its_key_checked(tmp_path: Path) -> None:
    with (
        openssh(tmp_path / "gate1") as gate1,
        openssh(tmp_path / "gate2", client_key=gate1.client_key) as gate2,
        openssh(tmp_path / "board", client_key=gate1.client_key) as board,
    ):
        extra = tmp_path / "extra.conf"
        user = gate1.spec().target.user
        extra.write_text(
            f"Host gate2\n  HostName 127.0.0.1\n  Port {gate2.port}\n  ProxyJump gate1\n"
        )
        config = tmp_path / "config"
        config.write_text(
            f"Include {extra}\n"
            f"Host gate1\n  HostName 127.0.0.1\n  Port {gate1.port}\n"
            f"Host board\n  HostName 127.0.0.1\n  Port {board.port}\n  ProxyJump gate2\n"
            f"Host *\n  User {user}\n  IdentityFile {gate1.client_key}\n  ForwardAgent yes\n"
        )
        spec = DeviceSpec("b", Target("board"))
        connector = connector_for(tmp_path, gate1, gate2, board, config=config)
        link = SshLink(spec, connector)
        await link.open()
        done = await link.run(("sh", "-c", "echo $SSH_AUTH_SOCK-$STANDIN"), timeout_s=10)
        assert done.stdout.decode().strip() == f"-{tmp_path}/board"
        await link.close()
        await connector.close()
        await until(lambda: not gate1.sessions(), 5)

        unchecked = connector_for(tmp_path, gate1, board, config=config)
        with pytest.raises(HostKeyUnknown) as caught:
            await SshLink(spec, unchecked).open()
        assert caught.value.where.startswith("jump host")
        assert caught.value.line == gate2.known_hosts.strip()
        await unchecked.close()


@pytest.mark.claim("DDC-14")
async def test_many_boards_share_one_connection_to_a_jump_host(tmp_path: Path) -> None:
    """Thirty boards behind one bastion with OpenSSH's default MaxStartups: all live."""
    with (
        openssh(tmp_path / "gate") as gate,
        openssh(tmp_path / "board", client_key=gate.client_key) as board,
    ):
        connector = connector_for(tmp_path, gate, board)
        jump = gate.spec().target
        specs = [board.spec(f"board-{n}", jumps=(jump,)) for n in range(30)]
        async with FleetSession(FleetPlan(specs), connector=connector) as session:
            await until(lambda: all(device.state is State.LIVE for device in session.store), 30)
            assert gate.log.count("Accepted publickey") == 1
        await until(lambda: not board.pids(), 5)
        await until(lambda: not gate.sessions(), 5)


@pytest.mark.claim("DDC-07")
async def test_a_killed_sshd_is_noticed_and_its_return_too(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        connector = connector_for(tmp_path, server)
        async with FleetSession(FleetPlan([server.spec()]), connector=connector) as session:
            device = session.store["board"]
            await until(is_live(device))
            server.stop()
            await until(lambda: device.state is State.LOST, 5)
            server.start()
            await until(is_live(device), 8)


def send(pid: int, number: signal.Signals) -> None:
    """To a process that may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.claim("DDC-07")
async def test_a_stopped_sshd_is_noticed_within_ten_seconds(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        connector = connector_for(tmp_path, server)
        async with FleetSession(FleetPlan([server.spec()]), connector=connector) as session:
            device = session.store["board"]
            await until(is_live(device))
            everybody = [*server.sessions(), *server.pids()]
            for pid in everybody:
                send(pid, signal.SIGSTOP)
            await until(lambda: device.state is State.STALE, 5)
            await until(lambda: device.state is State.LOST or device.attempts > 1, 10)
            for pid in everybody:
                send(pid, signal.SIGCONT)
            await until(is_live(device), 10)
        await until(lambda: not server.pids(), 10)


async def test_a_refused_key_is_tried_once(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        (tmp_path / "board" / "authorized_keys").write_text("")
        connector = connector_for(tmp_path, server)
        with pytest.raises(AuthRefused) as caught:
            await SshLink(server.spec(), connector).open()
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        await connector.close()
        async with FleetSession(
            FleetPlan([server.spec()]), connector=connector_for(tmp_path, server)
        ) as session:
            device = session.store["board"]
            await until(lambda: device.state is State.REFUSED)
            assert device.attempts == 1


async def test_a_device_without_tegrastats_says_so(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        (tmp_path / "board" / "bin" / "tegrastats").unlink()
        connector = connector_for(tmp_path, server)
        async with FleetSession(FleetPlan([server.spec()]), connector=connector) as session:
            device = session.store["board"]
            await until(lambda: device.state is State.LOST, 5)
            assert "tegrastats was not found" in device.error


async def test_a_bastion_that_refuses_is_asked_once_for_all(tmp_path: Path) -> None:
    with (
        openssh(tmp_path / "gate") as gate,
        openssh(tmp_path / "board", client_key=gate.client_key) as board,
    ):
        (tmp_path / "gate" / "authorized_keys").write_text("")
        connector = connector_for(tmp_path, gate, board)
        jump = gate.spec().target
        specs = [board.spec(f"board-{n}", jumps=(jump,)) for n in range(12)]
        async with FleetSession(FleetPlan(specs), connector=connector) as session:
            await until(lambda: all(device.state is State.REFUSED for device in session.store))
            assert "jump host" in session.store["board-0"].error or session.store["board-0"].hint
        assert (
            gate.log.count("Connection closed by authenticating user")
            + gate.log.count("Disconnected from authenticating user")
            <= 2
        )


async def test_processes_network_and_disks_of_a_real_system(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        connector = connector_for(tmp_path, server)
        link = SshLink(server.spec(), connector)
        await link.open()
        try:
            readings = []
            for _ in range(2):
                done = await link.run(activity(sudo=False, thor=False), timeout_s=30)
                readings.append(counters_from(split_sections(done.stdout)))
            found = between(*readings)
        finally:
            await link.close()
            await connector.close()
        assert server.process is not None
        assert server.process.pid in {process.pid for process in found.processes}
        assert os.getpid() in {process.pid for process in found.processes}
        mine = next(process for process in found.processes if process.pid == os.getpid())
        assert mine.rss_mb > 10
        assert found.span_s is not None
        assert not found.gpu_known
