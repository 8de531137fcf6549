"""The keys to log in with: files whose permissions are checked, then the agent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh

from cohete.links.sshconfig import Resolved
from cohete.text import sanitise

DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
MAX_KEYS = 5
"""OpenSSH gives up on a client after six keys and may penalise it; the named ones go first."""

_AGENT_TIMEOUT_S = 5.0

Key = asyncssh.SSHKey | asyncssh.SSHKeyPair


@dataclass(frozen=True, slots=True)
class Identities:
    """Keys to offer, their names for messages, and why others were left out."""

    keys: tuple[Key, ...] = ()
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    public: frozenset[bytes] = field(default_factory=frozenset)
    """Public halves that the files name, for IdentitiesOnly."""

    def tried(self) -> str:
        """What was offered, in words."""
        return ", ".join(self.names) or "no key"

    def plus(self, key: Key, name: str) -> Identities:
        """With one key more, while there is room."""
        if len(self.keys) >= MAX_KEYS:
            return self
        return replace(self, keys=(*self.keys, key), names=(*self.names, name))

    def without(self, problem: str) -> Identities:
        """With the reason why a key is not offered."""
        return replace(self, problems=(*self.problems, problem))


class KeyRing:
    """Key files, read once; the agent, asked for each login on a connection of its own."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, ...], Identities] = {}
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def identities(self, to: Resolved) -> AsyncIterator[Identities]:
        """The keys to offer to a host; they are good while the context lasts."""
        async with self._lock:
            known = self._files.get(to.identity_files)
            if known is None or not known.keys:
                known = await asyncio.to_thread(_load_files, to.identity_files)
                self._files[to.identity_files] = known
        path = os.environ.get("SSH_AUTH_SOCK", "") if to.agent is None else to.agent
        if not path or len(known.keys) >= MAX_KEYS:
            yield known
            return
        # An agent of its own: a login that is given up in the middle of a signature must not
        # leave an answer behind for the next one.
        agent: asyncssh.SSHAgentClient | None = None
        try:
            try:
                async with asyncio.timeout(_AGENT_TIMEOUT_S):
                    agent = await asyncssh.connect_agent(_expanded(path))
                    pairs = list(await agent.get_keys())
            except (OSError, ValueError, asyncssh.Error, TimeoutError):
                known = known.without("the ssh agent does not answer")
                pairs = []
            for pair in pairs:
                if not to.identities_only or pair.public_data in known.public:
                    comment = sanitise(pair.get_comment() or "unnamed key", 60)
                    known = known.plus(pair, f"agent: {comment}")
            yield known
        finally:
            if agent is not None:
                agent.close()


def _load_files(names: Sequence[str]) -> Identities:
    explicit = bool(names)
    found = Identities()
    for name in names or [f"~/.ssh/{name}" for name in DEFAULT_FILES]:
        try:
            path = Path(name).expanduser()
            found = _load_file(path, explicit, found)
        except (OSError, RuntimeError, ValueError) as error:
            found = found.without(f"{sanitise(name, 120)}: {sanitise(str(error), 120)}")
    return found


def _load_file(path: Path, explicit: bool, found: Identities) -> Identities:
    with contextlib.suppress(OSError, ValueError):
        public = asyncssh.read_public_key(path.with_name(path.name + ".pub")).public_data
        found = replace(found, public=found.public | {public})
    try:
        mode = path.stat().st_mode
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        return found.without(f"{path}: {reason}") if explicit else found
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        shown = f"{stat.S_IMODE(mode):04o}"
        return found.without(f"{path} is open to others (mode {shown}): chmod 600 {path}")
    try:
        key = asyncssh.read_private_key(path)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        if isinstance(error, asyncssh.KeyEncryptionError) or "assphrase" in str(error):
            return found.without(f"{path} needs its passphrase: ssh-add {path}")
        return found.without(f"{path}: {sanitise(str(error), 120)}") if explicit else found
    found = replace(found, public=found.public | {key.public_data})
    return found.plus(key, str(path))


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())
