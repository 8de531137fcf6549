"""One SSH connection: keys offered, host key verified, every failure said in words."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

import asyncssh

from cohete.config.schema import Ssh
from cohete.errors import AuthRefused, HostKeyChanged, HostKeyUnknown, LinkError, LinkRefused
from cohete.links.hostkeys import HostKeys, KnownKeys, known_hosts_line
from cohete.links.keys import Identities, KeyRing
from cohete.links.sshconfig import Resolved
from cohete.links.tcp import Dialer
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


Ask = Callable[[str], Awaitable[str]]
TYPING_S = 120.0


@dataclass(frozen=True, slots=True)
class Handshake:
    """Opens connections; what it needs is shared by all links of a run."""

    settings: Ssh
    host_keys: HostKeys
    keys: KeyRing
    dialer: Dialer
    ask: Ask | None = None
    """Asks a person for the password of a login, where no key is taken; None: only keys are."""

    async def open(
        self, to: Resolved, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        """A verified, logged-in connection. Raises LinkError, ConfigError."""
        async with self.keys.identities(to) as identities:
            if not identities.keys and self.ask is None:
                raise AuthRefused(
                    f"no key to log in with as {to.user}",
                    where=str(to),
                    hint="; ".join(identities.problems)
                    or "Make one with ssh-keygen, or use ssh-add.",
                )
            try:
                return await self._attempt(to, tunnel, identities)
            except HostKeyUnknown as error:
                if not self.settings.accept_new:
                    raise
                await self.host_keys.add_line(error.line)
            # The key is on record now; should another one be shown this time, it has changed.
            return await self._attempt(to, tunnel, identities)

    async def _attempt(
        self,
        to: Resolved,
        tunnel: asyncssh.SSHClientConnection | None,
        identities: Identities,
    ) -> asyncssh.SSHClientConnection:
        settings = self.settings
        known = await self.host_keys.lookup(*to.known_as, to.known_hosts_files)
        # Through a jump host the password would be asked for two machines: keys only.
        client = _Client(str(to), self.ask if tunnel is None else None)
        sock: socket.socket | None = None
        limit_s = settings.login_timeout_s
        try:
            if tunnel is None:
                sock = await self.dialer.dial(to.host, to.port, settings.connect_timeout_s)
            else:
                limit_s += settings.connect_timeout_s
            # However long somebody takes to type.
            async with asyncio.timeout(TYPING_S if client.ask else limit_s):
                connecting = self._connect(to, tunnel, sock, identities, known, client)
                return await _whole(connecting) if tunnel else await connecting
        except TimeoutError as error:
            _let_go(error)
            raise LinkError(
                f"reached, but no SSH login within {limit_s:g} s",
                where=str(to),
                hint="The board may be overloaded, or something else answers on this port.",
            ) from None
        except (asyncssh.Error, OSError, ValueError) as error:
            _let_go(error)
            raise _explained(error, to, identities, known, client.shown) from None
        finally:
            if sock is not None and not client.has_socket:
                sock.close()

    async def _connect(
        self,
        to: Resolved,
        tunnel: asyncssh.SSHClientConnection | None,
        sock: socket.socket | None,
        identities: Identities,
        known: KnownKeys,
        client: _Client,
    ) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            to.host,
            to.port,
            sock=sock,
            tunnel=tunnel,
            config=None,
            client_factory=lambda: client,
            username=to.user,
            client_keys=list(identities.keys),
            agent_path=None,
            known_hosts=known.as_argument(),
            host_key_alias=to.known_as[0],
            server_host_key_algs=known.algorithms(HOST_KEY_ALGORITHMS, CERTIFICATES),
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=SIGNATURES,
            compression_algs=None,
            preferred_auth="publickey,password,keyboard-interactive" if client.ask else "publickey",
            agent_forwarding=False,
            x11_forwarding=False,
            x509_trusted_certs=None,
            gss_host=None,
            keepalive_interval=0,
            login_timeout=TYPING_S if client.ask else self.settings.login_timeout_s + 1,
            rekey_seconds=int(3600 * random.uniform(0.8, 1.2)),  # noqa: S311 - spreads load
        )


class _Client(asyncssh.SSHClient):
    """Remembers the key that was shown; whether it is good is decided by looking it up.

    A password is asked for once, after the host has proven who it is.
    """

    def __init__(self, where: str, ask: Ask | None) -> None:
        self._where = where
        self.ask = ask
        self._asked = False
        self.shown: asyncssh.SSHKey | None = None
        self.has_socket = False
        """Whether a connection owns the socket, and closes it."""
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.has_socket = True
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        # It refers to itself by this, and would stay until somebody looks for such garbage: a
        # fleet that comes and goes leaves megabytes of it.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection._recv_handler = _nothing  # noqa: SLF001 - there is no public way

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.shown = key
        return False

    async def password_auth_requested(self) -> str | None:
        return await self._password()

    def kbdint_auth_requested(self) -> str | None:
        return None if self._asked or self.ask is None else ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        if not prompts:
            return []
        # One question that is not echoed is for the password; anything else is not answered.
        if len(prompts) != 1 or prompts[0][1]:
            return None
        password = await self._password()
        return None if password is None else [password]

    async def _password(self) -> str | None:
        if self._asked or self.ask is None:
            return None
        self._asked = True
        return await self.ask(f"Password of {self._where}")


def _let_go(error: BaseException | None) -> None:
    """Let nothing of a failed connection live on in the frames that its failure came through."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _nothing() -> bool:
    """What a connection that is over does with input."""
    return False


async def _whole(
    connecting: Coroutine[None, None, asyncssh.SSHClientConnection],
) -> asyncssh.SSHClientConnection:
    """Connect through a jump host; given up in the middle, the channel there is closed later.

    A channel whose opening is cancelled would stay open on the jump host's connection.
    """
    task = asyncio.create_task(connecting)
    try:
        return await asyncio.shield(task)
    except (asyncio.CancelledError, TimeoutError):
        task.add_done_callback(_abort_late)
        raise


def _abort_late(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


def _explained(
    error: Exception,
    to: Resolved,
    identities: Identities,
    known: KnownKeys,
    shown: asyncssh.SSHKey | None,
) -> LinkError:
    """The failure in words: what a person has to do, or that it is tried again."""
    where = str(to)
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return _judged(error, to, known, shown)
    if isinstance(error, asyncssh.PermissionDenied) or "authentication failures" in str(error):
        problems = f" ({'; '.join(identities.problems)})" if identities.problems else ""
        return AuthRefused(
            f"the board does not accept {to.user} with {identities.tried()}{problems}",
            where=where,
            hint=f"Install a key with `ssh-copy-id {to}`, or name the right user and key.",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        if known.named and "host key" in str(error):
            return HostKeyChanged(
                "the host no longer shows a key of the kind on record",
                where=where,
                hint=_changed_hint(to),
                fingerprint="",
            )
        return LinkRefused(
            f"no common SSH algorithm: {sanitise(str(error), 160)}",
            where=where,
            hint="Its SSH server is too old or too restricted for a safe connection.",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return LinkError(f"not reachable from there: {reason(error)}", where=where)
    return LinkError(f"the SSH connection failed: {reason(error)}", where=where)


def _judged(
    error: Exception, to: Resolved, known: KnownKeys, shown: asyncssh.SSHKey | None
) -> LinkError:
    """A host key that is not trusted: revoked, changed, or never seen before."""
    where = str(to)
    fingerprint = shown.get_fingerprint() if shown else ""
    if shown is None:
        what = "the host shows a key that is not valid here"
        if "revoked" in str(error):
            what = "the host shows a revoked key"
        return HostKeyChanged(what, where=where, hint=_changed_hint(to), fingerprint="")
    if known.named:
        return HostKeyChanged(
            f"THE HOST KEY HAS CHANGED, it is now {fingerprint}",
            where=where,
            hint=_changed_hint(to),
            fingerprint=fingerprint,
        )
    return HostKeyUnknown(
        f"this host was never seen before; its key is {fingerprint}",
        where=where,
        hint="Compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the board, "
        "then accept it, or start with --accept-new.",
        fingerprint=fingerprint,
        line=known_hosts_line(*to.known_as, shown),
    )


def _changed_hint(to: Resolved) -> str:
    name, port = to.known_as
    entry = name if port == 22 else f"[{name}]:{port}"
    return (
        "Either the board was reinstalled or somebody sits in between. If you know it was "
        f"reinstalled: ssh-keygen -R '{entry}', with -f FILE where FILE holds the old key"
    )


def reason(error: Exception) -> str:
    """An error of the SSH library as the end of a sentence."""
    text = str(error) or type(error).__name__
    return sanitise(text[0].lower() + text[1:], 160)
