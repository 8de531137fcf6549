"""Simulated boards behind real SSH servers on loopback, one port a board."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger

from cohete.clock import Clock, SystemClock
from cohete.links.hostkeys import known_hosts_line
from cohete.links.ssh import raise_open_file_limit
from cohete.simulator import homes
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.shell import Context, Pipe, run_line

LOOPBACK = "127.0.0.1"
USER = "nvidia"
BOOT_S = 2.0
"""How long a simulated board takes to start; real ones take 30 to 90 s."""
KEY_FILE = "id_simulator"
KNOWN_HOSTS_FILE = "known_hosts"

logging.getLogger("asyncssh").addHandler(logging.NullHandler())


class SimHost:
    """A board, its host key, its listener, and the commands that run on it right now."""

    def __init__(self, board: SimBoard, authorized: asyncssh.SSHKey, *, sudo: bool = False) -> None:
        self.board = board
        self.sudo = sudo
        self.port = 0
        self.commands: list[str] = []
        self.running: dict[asyncio.Task[None], str] = {}
        self._authorized = authorized
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self.accepted = 0
        self.password = ""
        """Lets somebody in beside the keys; empty: nobody."""
        self._booting: asyncio.Task[None] | None = None
        board.on_cut = self.cut
        board.on_reboot = self._begin_reboot

    @property
    def known_hosts(self) -> str:
        """The line of this host for a known_hosts file."""
        return known_hosts_line(LOOPBACK, self.port, self._key)

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; the port stays the same over restarts."""
        self._acceptor = await asyncssh.listen(
            LOOPBACK,
            port or self.port,
            server_factory=lambda: _Server(self),
            server_host_keys=[self._key],
            line_editor=False,
            x509_trusted_certs=None,
            gss_host=None,
            compression_algs=None,
            # What the OpenSSH of JetPack 5 to 7 offers.
            kex_algs=["curve25519-sha256", "ecdh-sha2-nistp256"],
            encryption_algs=["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"],
            keepalive_interval=0,
            reuse_address=True,
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Stop listening and drop who is connected."""
        if self._booting is not None:
            self._booting.cancel()
            await asyncio.gather(self._booting, return_exceptions=True)
        await self._stop_serving()

    async def _stop_serving(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.close()
        # From Python 3.12 on a listener is only closed once its connections are.
        self.cut()
        if acceptor is not None:
            await acceptor.wait_closed()
        for task in list(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def cut(self) -> None:
        """Drop every open connection."""
        for connection in list(self._connections):
            connection.abort()

    async def set_fault(self, fault: Fault, on: bool = True) -> None:
        """Switch a fault on or off."""
        board = self.board
        if on:
            board.faults.add(fault)
        else:
            board.faults.discard(fault)
        if fault is Fault.CUT:
            board.faults.discard(fault)
            self.cut()
        elif fault is Fault.DOWN:
            await self.stop()
            if not on:
                await self.start()
        elif fault is Fault.HOST_KEY and on:
            self._key = asyncssh.generate_private_key("ssh-ed25519")
            await self.stop()
            await self.start()
        elif fault is Fault.AUTH and on:
            self.cut()

    def _begin_reboot(self) -> None:
        self._booting = asyncio.get_running_loop().create_task(self._reboot())

    async def _reboot(self) -> None:
        """Gone, and back after a while at the same address."""
        await self._stop_serving()
        await self.board.clock.sleep(BOOT_S)
        if not self.board.has(Fault.DOWN):
            await self.start()

    def accepts(self, key: asyncssh.SSHKey) -> bool:
        """Whether this key may log in now."""
        return not self.board.has(Fault.AUTH) and key.public_data == self._authorized.public_data

    def connected(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)
        self.accepted += 1

    def disconnected(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def open_session(self, connection: asyncssh.SSHServerConnection) -> _Session:
        """A session of a client that is logged in: a command, or sftp."""
        channel = connection.create_server_channel(encoding=None)
        return channel, _Process(self._process, self._sftp)

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        assert isinstance(process, _Process)
        command = process.command
        if command is None:
            process.stdout.write(
                b"A simulated board: it has no shell. Try `ssh ... tegrastats`.\r\n"
            )
            process.exit(1)
            return
        self.commands.append(command)
        stdin = Pipe()
        environment = {"SIM_SUDO": "1"} if self.sudo else {}
        output = _Coalesced(process.stdout.write)
        context = Context(self.board, False, output.write, process.stderr.write, stdin, environment)
        work = asyncio.create_task(self._run(command, context, process, output))
        process.on_signal = work.cancel
        self.running[work] = command
        work.add_done_callback(lambda task: self.running.pop(task, None))
        with contextlib.suppress(asyncssh.Error, OSError):
            while data := await process.stdin.read(4096):
                stdin.write(data)
        stdin.end()

    async def _run(
        self,
        command: str,
        context: Context,
        process: asyncssh.SSHServerProcess[bytes],
        output: _Coalesced,
    ) -> None:
        try:
            status = await run_line(command, context, PROGRAMS)
            output.flush()
            process.exit(status)
        except (OSError, asyncssh.Error):
            return
        except asyncio.CancelledError:
            with contextlib.suppress(OSError, asyncssh.Error):
                process.exit_with_signal("TERM")

    def _sftp(self, channel: SSHChannel[bytes]) -> asyncssh.SFTPServer:
        return _Sftp(channel, str(homes.home_of(self.board)), self.board)


class _Coalesced:
    """Writes that come together leave together, as through the pipe of a real sshd."""

    _DELAY_S = 0.002

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._parts: list[bytes] = []
        self._error: OSError | None = None

    def write(self, data: bytes) -> None:
        """Take some output. Raises what the last flush met: BrokenPipeError and its like."""
        if self._error is not None:
            raise self._error
        if not self._parts:
            asyncio.get_running_loop().call_later(self._DELAY_S, self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Send what has come so far."""
        parts, self._parts = self._parts, []
        try:
            if parts:
                self._write(b"".join(parts))
        except OSError as error:
            self._error = error


_Session = tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]]


class _Process(asyncssh.SSHServerProcess[bytes]):
    """A command that a signal of the client ends, also after its input has ended."""

    def __init__(
        self,
        factory: Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]],
        sftp: Callable[[SSHChannel[bytes]], asyncssh.SFTPServer],
    ) -> None:
        super().__init__(factory, sftp, sftp_version=3, allow_scp=False)
        self.on_signal: Callable[[], object] | None = None

    def signal_received(self, signal: str) -> None:
        if self.on_signal is not None:
            self.on_signal()


class _Server(asyncssh.SSHServer):
    def __init__(self, host: SimHost) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        _send_no_ignore_packets(conn)
        self._connection = conn
        self._host.connected(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._host.disconnected(self._connection)

    def session_requested(self) -> _Session:
        assert self._connection is not None
        return self._host.open_session(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return bool(self._host.password)

    def validate_password(self, username: str, password: str) -> bool:
        return username == USER and password == self._host.password

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and self._host.accepts(key)


def _send_no_ignore_packets(connection: asyncssh.SSHServerConnection) -> None:
    # The library puts one before every packet, OpenSSH's sshd none: with them a client would take
    # twice the packets of real boards.
    send = connection.send_packet

    def send_packet(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    setattr(connection, "send_packet", send_packet)  # noqa: B010


class _Sftp(asyncssh.SFTPServer):
    """The board's home folder, and nothing else of this machine."""

    def __init__(self, channel: SSHChannel[bytes], home: str, board: SimBoard) -> None:
        assert isinstance(channel, asyncssh.SSHServerChannel)
        super().__init__(channel, chroot=home.encode())
        self._board = board

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        # One that is moved afterwards would lead out of the folder.
        raise asyncssh.SFTPPermissionDenied("no links here")

    link = symlink

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if self._board.has(Fault.DISK_FULL):
            raise asyncssh.SFTPFailure("No space left on device")
        return super().write(file_obj, offset, data)  # type: ignore[return-value]


class SimFleet:
    """Simulated boards that run together, with one key to log in to all of them."""

    def __init__(
        self, boards: Iterable[SimBoard], *, clock: Clock | None = None, sudo: bool = False
    ) -> None:
        self.clock = clock or SystemClock()
        self.client_key = asyncssh.generate_private_key("ssh-ed25519", comment="cohete simulator")
        self.hosts = {
            board.name: SimHost(board, self.client_key.convert_to_public(), sudo=sudo)
            for board in boards
        }
        raise_open_file_limit()

    async def __aenter__(self) -> SimFleet:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, base_port: int = 0) -> None:
        """Start every board; ports count up from `base_port`, 0 lets the system choose."""
        for nth, host in enumerate(self.hosts.values()):
            await host.start(base_port + nth if base_port else 0)
            if host.board.has(Fault.DOWN):
                await host.stop()

    async def stop(self) -> None:
        """Stop every board."""
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))
        for host in self.hosts.values():
            homes.forget(host.board)

    def write_files(self, folder: Path, name: str = "simulated") -> Path:
        """cohete.yaml, known_hosts and the key to log in with; the path of the first."""
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / KEY_FILE
        key.unlink(missing_ok=True)
        key.touch(0o600)
        key.write_bytes(self.client_key.export_private_key())
        known = folder / KNOWN_HOSTS_FILE
        known.write_text("".join(f"{host.known_hosts}\n" for host in self.hosts.values()))
        lines = [
            "# Simulated boards. They exist while `cohete simulate` runs.",
            'version: "1.0"',
            "ssh:",
            f"  known_hosts: {_quoted(str(known.resolve()))}",
            "fleet:",
            f"  name: {_quoted(name)}",
            "  devices:",
        ]
        for host in self.hosts.values():
            lines += [
                f"    - id: {host.board.name}",
                f"      ip: {LOOPBACK}",
                f"      port: {host.port}",
                f"      user: {USER}",
                f"      identity_file: {_quoted(key.name)}",
                f"      tags: [{host.board.workload}, simulated]",
            ]
        path = folder / "cohete.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
