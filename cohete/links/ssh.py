"""Devices over SSH: one connection a device, jump hosts shared, host keys always verified."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
from platformdirs import user_config_path

from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.errors import (
    AuthRefused,
    CommandError,
    HostKeyChanged,
    HostKeyUnknown,
    LinkError,
    LinkRefused,
)
from cohete.links.base import Completed, LineSink
from cohete.links.commands import quote
from cohete.links.hostkeys import SYSTEM_KNOWN_HOSTS, HostKeys, KnownKeys, known_hosts_line
from cohete.links.keys import Identities, load_identities
from cohete.links.sessions import CollectSession, LineSession, SshStream
from cohete.links.sshconfig import MAX_HOPS, Resolved, resolve
from cohete.links.tcp import Dialer, Lookup, lookup
from cohete.text import sanitise

logging.getLogger("asyncssh").addHandler(logging.NullHandler())

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp521",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256")
HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
CERTIFICATES = tuple(f"{name}-cert-v01@openssh.com" for name in HOST_KEY_ALGORITHMS)
SIGNATURES = (*HOST_KEY_ALGORITHMS, "sk-ssh-ed25519@openssh.com")
"""Modern algorithms only; AES-GCM first, because it is the cheapest to decrypt here."""

_WINDOW_BYTES = 65_536
_CLOSE_TIMEOUT_S = 1.0
_CONNECTS_PER_JUMP = 8
"""OpenSSH drops connections once ten are unauthenticated; a jump host sees at most this many."""


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
    ) -> None:
        self.settings = settings or Ssh()
        self.files = files or SshFiles.of(self.settings)
        self.host_keys = HostKeys(self.files.known_hosts, self.files.user_known_hosts)
        self._dialer = Dialer(lookup)
        self._identities: dict[tuple[object, ...], asyncio.Task[Identities]] = {}
        self._jumps: dict[tuple[Target, ...], _Jump] = {}
        raise_open_file_limit()

    async def connect(
        self, spec: DeviceSpec
    ) -> tuple[asyncssh.SSHClientConnection, contextlib.AsyncExitStack]:
        """A connection to a device, and what to close with it. Raises LinkError, ConfigError."""
        resolved = await self._resolve(spec.target)
        if spec.identity_file:
            resolved = replace(resolved, identity_files=(spec.identity_file,), identities_only=True)
        jumps = resolved.jumps if spec.jumps is None else spec.jumps
        async with contextlib.AsyncExitStack() as stack:
            if jumps:
                chain = await self._full_chain(jumps)
                tunnel = await stack.enter_async_context(self._through(chain, spec))
            else:
                tunnel = None
            connection = await self._open(resolved, tunnel)
            return connection, stack.pop_all()
        raise AssertionError("unreachable")

    def trust(self, error: HostKeyUnknown) -> None:
        """Put a key that a person confirmed on record. Blocking, short."""
        self.host_keys.add_line(error.line)

    async def close(self) -> None:
        """Close the jump hosts that are still open, and the resolver."""
        jumps, self._jumps = list(self._jumps.values()), {}
        for jump in reversed(jumps):
            await jump.close()
        self._dialer.close()

    async def _resolve(self, target: Target) -> Resolved:
        if not self.files.config.is_file():
            return resolve(target, None)
        return await asyncio.get_running_loop().run_in_executor(
            None, resolve, target, self.files.config
        )

    async def _full_chain(self, jumps: Sequence[Target]) -> tuple[Target, ...]:
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

    @contextlib.asynccontextmanager
    async def _through(
        self, chain: tuple[Target, ...], spec: DeviceSpec
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A shared connection to the last host of `chain`, kept while anybody uses it."""
        jump = self._jumps.get(chain)
        if jump is None:
            jump = self._jumps[chain] = _Jump()
        jump.users += 1
        try:
            async with jump.lock:
                if jump.connection is None or jump.connection.is_closed():
                    await jump.close()
                    jump.connection = await self._open_jump(jump, chain, spec)
            yield jump.connection
        finally:
            jump.users -= 1
            if jump.users == 0 and self._jumps.get(chain) is jump:
                del self._jumps[chain]
                await jump.close()

    async def _open_jump(
        self, jump: _Jump, chain: tuple[Target, ...], spec: DeviceSpec
    ) -> asyncssh.SSHClientConnection:
        *before, last = chain
        resolved = await self._resolve(last)
        if spec.identity_file and not resolved.identity_files:
            resolved = replace(resolved, identity_files=(spec.identity_file,))
        tunnel = None
        if before:
            jump.before = contextlib.AsyncExitStack()
            tunnel = await jump.before.enter_async_context(self._through(tuple(before), spec))
        try:
            return await self._open(resolved, tunnel)
        except LinkRefused as error:
            error.where = f"jump host {error.where}"
            raise
        except LinkError as error:
            raise LinkError(error.what, where=f"jump host {error.where}", hint=error.hint) from None

    async def _open(
        self, to: Resolved, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        settings = self.settings
        where = str(to)
        identities = await self._identities_for(to)
        if not identities.keys:
            raise AuthRefused(
                f"no key to log in with as {to.user}",
                where=where,
                hint="; ".join(identities.problems) or "Make one with ssh-keygen, or use ssh-add.",
            )
        sock = None
        address = ""
        if tunnel is None:
            sock = await self._dialer.dial(to.host, to.port, settings.connect_timeout_s)
            address = str(sock.getpeername()[0])
        known = self.host_keys.lookup(to.known_name, address, to.port)
        client = _Client()
        limit = settings.login_timeout_s + (settings.connect_timeout_s if tunnel else 0)
        algorithms = known.algorithms()
        try:
            async with asyncio.timeout(limit), self._place_at(tunnel):
                return await asyncssh.connect(
                    to.host,
                    to.port,
                    sock=sock,
                    tunnel=tunnel,
                    config=None,
                    client_factory=lambda: client,
                    username=to.user,
                    client_keys=identities.keys,
                    agent_path=None,
                    known_hosts=known.as_argument(),
                    host_key_alias=to.known_name,
                    server_host_key_algs=algorithms or [*CERTIFICATES, *HOST_KEY_ALGORITHMS],
                    kex_algs=KEX,
                    encryption_algs=CIPHERS,
                    mac_algs=MACS,
                    signature_algs=SIGNATURES,
                    compression_algs=None,
                    preferred_auth="publickey",
                    agent_forwarding=False,
                    x11_forwarding=False,
                    x509_trusted_certs=None,
                    gss_host=None,
                    keepalive_interval=settings.keepalive_s,
                    keepalive_count_max=3,
                    login_timeout=limit + 1,
                    rekey_seconds=int(3600 * random.uniform(0.8, 1.2)),  # noqa: S311
                )
        except TimeoutError:
            raise LinkError(
                f"reached, but no SSH login within {limit:g} s",
                where=where,
                hint="The board may be overloaded, or something else answers on this port.",
            ) from None
        except asyncssh.HostKeyNotVerifiable:
            accepted = self._judge_key(to, known, client.shown)
            if accepted:
                return await self._open(to, tunnel)
            raise
        except asyncssh.PermissionDenied:
            problems = f" ({'; '.join(identities.problems)})" if identities.problems else ""
            raise AuthRefused(
                f"the board does not accept {to.user} with {identities.tried()}{problems}",
                where=where,
                hint=f"Install a key with `ssh-copy-id {to}`, or name the right user and key.",
            ) from None
        except asyncssh.KeyExchangeFailed as error:
            if algorithms:
                raise HostKeyChanged(
                    "the host no longer shows a key of the kind on record",
                    where=where,
                    hint=_changed_hint(to),
                    fingerprint="",
                ) from None
            raise LinkRefused(
                f"no common SSH algorithm: {sanitise(str(error), 160)}",
                where=where,
                hint="Its SSH server is too old or too restricted for a safe connection.",
            ) from None
        except asyncssh.ChannelOpenError as error:
            raise LinkError(
                f"not reachable from there: {sanitise(str(error), 120)}", where=where
            ) from None
        except (asyncssh.Error, OSError, ValueError) as error:
            raise LinkError(f"the SSH connection failed: {_reason(error)}", where=where) from None
        finally:
            if sock is not None and client.connection is None:
                sock.close()

    @contextlib.asynccontextmanager
    async def _place_at(self, tunnel: asyncssh.SSHClientConnection | None) -> AsyncIterator[None]:
        jump = next((j for j in self._jumps.values() if j.connection is tunnel), None)
        if tunnel is None or jump is None:
            yield
        else:
            async with jump.places:
                yield

    def _judge_key(self, to: Resolved, known: KnownKeys, shown: asyncssh.SSHKey | None) -> bool:
        """After a refused key: True where it may be put on record and tried again."""
        where = str(to)
        fingerprint = shown.get_fingerprint() if shown else ""
        if shown is not None and shown in known.revoked:
            raise HostKeyChanged(
                "the host shows a revoked key",
                where=where,
                hint=_changed_hint(to),
                fingerprint=fingerprint,
            )
        if known.named or shown is None:
            raise HostKeyChanged(
                f"THE HOST KEY HAS CHANGED, it is now {fingerprint or 'not verifiable'}",
                where=where,
                hint=_changed_hint(to),
                fingerprint=fingerprint,
            )
        if self.settings.accept_new:
            self.host_keys.add(to.known_name, to.port, shown)
            return True
        raise HostKeyUnknown(
            f"this host was never seen before; its key is {fingerprint}",
            where=where,
            hint="Compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the board, "
            "then accept it, or start with --accept-new.",
            fingerprint=fingerprint,
            line=known_hosts_line(to.known_name, to.port, shown),
        )

    async def _identities_for(self, to: Resolved) -> Identities:
        key = (to.identity_files, to.agent, to.identities_only)
        task = self._identities.get(key)
        if task is None or (task.done() and not task.result().keys):
            task = self._identities[key] = asyncio.create_task(
                load_identities(
                    to.identity_files, agent=to.agent, identities_only=to.identities_only
                )
            )
        return await asyncio.shield(task)


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
                channel.write_eof()
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

    async def stream(self, argv: Sequence[str], sink: LineSink) -> SshStream:
        session = LineSession(sink)
        channel = await self._start(session, argv)
        channel.write_eof()
        stream = SshStream(channel, session)
        self._streams.add(stream)
        session.done.add_done_callback(lambda _: self._streams.discard(stream))
        return stream

    async def _start(
        self, session: CollectSession | LineSession, argv: Sequence[str]
    ) -> asyncssh.SSHClientChannel[bytes]:
        if self._connection is None:
            raise LinkError("not connected", where=self._spec.id)
        try:
            channel, _ = await self._connection.create_session(
                lambda: session, quote(argv), encoding=None, window=_WINDOW_BYTES
            )
        except (asyncssh.Error, OSError) as error:
            raise LinkError(
                f"the board took no command: {_reason(error)}", where=self._spec.id
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


class _Client(asyncssh.SSHClient):
    """Remembers the key that was shown; whether it is good is decided by looking it up."""

    def __init__(self) -> None:
        self.shown: asyncssh.SSHKey | None = None
        self.connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.shown = key
        return False


class _Jump:
    """A shared connection to a jump host."""

    def __init__(self) -> None:
        self.connection: asyncssh.SSHClientConnection | None = None
        self.before: contextlib.AsyncExitStack | None = None
        self.lock = asyncio.Lock()
        self.places = asyncio.Semaphore(_CONNECTS_PER_JUMP)
        self.users = 0

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        before, self.before = self.before, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()
        if before is not None:
            await before.aclose()


def _changed_hint(to: Resolved) -> str:
    name = to.known_name if to.port == 22 else f"[{to.known_name}]:{to.port}"
    return (
        "Either the board was reinstalled or somebody sits in between. If you know it was "
        f"reinstalled: ssh-keygen -R '{name}'"
    )


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return sanitise(text[0].lower() + text[1:], 160)


def raise_open_file_limit() -> None:
    """Allow as many open files as the system grants: every device is at least one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
