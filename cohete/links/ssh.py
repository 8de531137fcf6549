"""Devices over SSH: one connection a device, jump hosts shared, host keys always verified."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
from platformdirs import user_config_path

from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.errors import CommandError, LinkError, LinkRefused
from cohete.links.base import Completed, LineSink
from cohete.links.commands import quote
from cohete.links.handshake import Ask, Handshake, reason
from cohete.links.hostkeys import SYSTEM_KNOWN_HOSTS, HostKeys
from cohete.links.jumps import Hop, JumpHosts
from cohete.links.keys import KeyRing
from cohete.links.putting import Sent, put
from cohete.links.sessions import CollectSession, LineSession, SshStream
from cohete.links.sshconfig import MAX_HOPS, Resolved, resolve
from cohete.links.tcp import Dialer, Lookup, lookup
from cohete.text import sanitise

_WINDOW_BYTES = 65_536
_CLOSE_TIMEOUT_S = 1.0
_KEEPALIVE_COUNT = 3


@dataclass(frozen=True, slots=True)
class SshFiles:
    """Where the user's ssh lives; tests bring their own."""

    config: Path
    known_hosts: Path
    user_known_hosts: tuple[Path, ...]

    @classmethod
    def of(cls, settings: Ssh) -> SshFiles:
        """The usual places, or what the settings say."""
        home = Path.home() / ".ssh"
        own = user_config_path("cohete") / "known_hosts"
        return cls(
            config=Path(settings.config_file).expanduser()
            if settings.config_file
            else home / "config",
            known_hosts=Path(settings.known_hosts).expanduser() if settings.known_hosts else own,
            user_known_hosts=(home / "known_hosts", SYSTEM_KNOWN_HOSTS),
        )


class SshConnector:
    """What all SSH links of a run share: keys, host keys, jump hosts, the resolver."""

    def __init__(
        self,
        settings: Ssh | None = None,
        files: SshFiles | None = None,
        *,
        lookup: Lookup = lookup,
        ask: Ask | None = None,
    ) -> None:
        self.settings = settings or Ssh()
        self.files = files or SshFiles.of(self.settings)
        self.host_keys = HostKeys(self.files.known_hosts, self.files.user_known_hosts)
        self._handshake = Handshake(self.settings, self.host_keys, KeyRing(), Dialer(lookup), ask)
        self._jumps = JumpHosts(self._open_hop)
        raise_open_file_limit()

    async def connect(
        self, spec: DeviceSpec
    ) -> tuple[asyncssh.SSHClientConnection, contextlib.AsyncExitStack]:
        """A connection to a device, and what to close after it. Raises LinkError, ConfigError."""
        to = await self._resolve(spec.target)
        if spec.moved_to:
            to = replace(to, host=spec.moved_to, shown_by=to.known_as)
        if spec.identity_file:
            to = replace(to, identity_files=(spec.identity_file,), identities_only=True)
        jumps = to.jumps if spec.jumps is None else spec.jumps
        async with contextlib.AsyncExitStack() as stack:
            if jumps:
                hops = await self._whole_chain(jumps)
                chain = tuple(Hop(hop, spec.identity_file) for hop in hops)
                tunnel = await stack.enter_async_context(self._jumps.through(chain))
                async with self._jumps.places(chain):
                    connection = await self._handshake.open(to, tunnel)
            else:
                connection = await self._handshake.open(to, None)
            if spec.interval_ms >= 1000 * self.settings.keepalive_s:
                # Samples that come more often are a better sign of life than SSH's own.
                self._keep_alive(connection)
            return connection, stack.pop_all()
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the jump hosts that are still open."""
        await self._jumps.close()

    async def _resolve(self, target: Target) -> Resolved:
        if not self.files.config.is_file():
            return resolve(target, None)
        # In a thread: a configuration of thousands of blocks takes its time for each host.
        return await asyncio.to_thread(resolve, target, self.files.config)

    async def _whole_chain(self, jumps: Sequence[Target]) -> tuple[Target, ...]:
        """Jump hosts in order of travel, with the jumps that the first of them needs itself."""
        chain = list(jumps)
        while True:
            before = (await self._resolve(chain[0])).jumps
            if not before:
                return tuple(chain)
            chain = [*before, *chain]
            if len(chain) > MAX_HOPS:
                raise LinkRefused(
                    f"more than {MAX_HOPS} jump hosts in a row",
                    where=str(jumps[-1]),
                    hint="Look for a loop of ProxyJump lines in your ssh configuration.",
                )

    async def _open_hop(
        self, hop: Hop, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        to = await self._resolve(hop.target)
        if hop.identity_file and not to.identity_files:
            to = replace(to, identity_files=(hop.identity_file,))
        connection = await self._handshake.open(to, tunnel)
        self._keep_alive(connection)
        return connection

    def _keep_alive(self, connection: asyncssh.SSHClientConnection) -> None:
        connection.set_keepalive(self.settings.keepalive_s, _KEEPALIVE_COUNT)


class SshLink:
    """One device over SSH."""

    def __init__(self, spec: DeviceSpec, connector: SshConnector) -> None:
        self._spec = spec
        self._connector = connector
        self._connection: asyncssh.SSHClientConnection | None = None
        self._held: contextlib.AsyncExitStack | None = None
        self._streams: set[SshStream] = set()

    @property
    def description(self) -> str:
        jumps = self._spec.jumps or ()
        via = f" via {', '.join(map(str, jumps))}" if jumps else ""
        return f"ssh {self._spec.target}{via}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 fingerprint of the key this device showed; empty before it is connected."""
        key = self._connection.get_server_host_key() if self._connection else None
        return key.get_fingerprint() if key else ""

    async def open(self) -> None:
        self._connection, self._held = await self._connector.connect(self._spec)

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        session = CollectSession()
        channel: asyncssh.SSHClientChannel[bytes] | None = None
        try:
            async with asyncio.timeout(timeout_s):
                channel = await self._start(session, argv)
                # Shielded: a cancelled wait must not cancel what tells whether it ended.
                return await asyncio.shield(session.done)
        except TimeoutError:
            raise CommandError(
                f"`{sanitise(argv[0], 40)}` did not finish within {timeout_s:g} s",
                where=self._spec.id,
            ) from None
        finally:
            if channel is not None and not session.done.done():
                with contextlib.suppress(OSError):
                    channel.terminate()
                channel.close()

    async def put(self, local: str, remote: str, sent: Sent) -> None:
        """Send a file, from where it was cut off. Raises LinkError, CommandError."""
        if self._connection is None:
            raise LinkError("not connected", where=self._spec.id)
        await put(self._connection, self._spec.id, local, remote, sent)

    async def stream(self, argv: Sequence[str], sink: LineSink) -> SshStream:
        session = LineSession(sink)
        limit_s = self._connector.settings.command_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                channel = await self._start(session, argv)
        except TimeoutError:
            raise LinkError(
                f"the board took no command within {limit_s:g} s", where=self._spec.id
            ) from None
        stream = SshStream(channel, session)
        self._streams.add(stream)
        session.done.add_done_callback(lambda _: self._streams.discard(stream))
        return stream

    async def _start(
        self, session: CollectSession | LineSession, argv: Sequence[str]
    ) -> asyncssh.SSHClientChannel[bytes]:
        if self._connection is None:
            raise LinkError("not connected", where=self._spec.id)
        opening = asyncio.create_task(
            self._connection.create_session(
                lambda: session, quote(argv), encoding=None, window=_WINDOW_BYTES
            )
        )
        try:
            channel, _ = await asyncio.shield(opening)
            channel.write_eof()
        except asyncio.CancelledError:
            # A channel whose opening is cancelled would stay open on the board.
            opening.add_done_callback(_close_late)
            raise
        except (asyncssh.Error, OSError) as error:
            raise LinkError(
                f"the board took no command: {reason(error)}", where=self._spec.id
            ) from None
        return channel

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        held, self._held = self._held, None
        if connection is not None:
            for stream in list(self._streams):
                stream.close()
            connection.close()
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()
            finally:
                if held is not None:
                    await held.aclose()


_Opening = asyncio.Task[tuple[asyncssh.SSHClientChannel[bytes], asyncssh.SSHClientSession[bytes]]]


def _close_late(opening: _Opening) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


def raise_open_file_limit() -> None:
    """Allow as many open files as the system grants: every device is at least one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
