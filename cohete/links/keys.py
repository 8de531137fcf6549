"""The keys to log in with: files whose permissions are checked, then the agent."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from cohete.text import sanitise

DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
MAX_AGENT_KEYS = 5
"""OpenSSH gives up on a client after six keys; the named ones go first."""


@dataclass(slots=True)
class Identities:
    """Keys to offer, their names for messages, and why others were left out."""

    keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tried(self) -> str:
        """What was offered, in words."""
        return ", ".join(self.names) or "no key"


async def load_identities(
    files: Sequence[str], *, agent: str | None, identities_only: bool
) -> Identities:
    """Named key files, else the usual ones in ~/.ssh; then the agent's. Never raises."""
    found = Identities()
    explicit = bool(files)
    names = files or [f"~/.ssh/{name}" for name in DEFAULT_FILES]
    loop = asyncio.get_running_loop()
    for name in names:
        await loop.run_in_executor(None, _load_file, name, explicit, found)
    if not (identities_only and found.keys):
        await _load_agent(agent or os.environ.get("SSH_AUTH_SOCK"), found)
    return found


def _load_file(name: str, explicit: bool, found: Identities) -> None:
    path = Path(name).expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if explicit:
            found.problems.append(f"{path}: {(error.strerror or 'unreadable').lower()}")
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        found.problems.append(
            f"{path} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
        )
        return
    try:
        key = asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError:
        found.problems.append(f"{path} needs its passphrase: ssh-add {path}")
    except asyncssh.KeyImportError as error:
        if "assphrase" in str(error):
            found.problems.append(f"{path} needs its passphrase: ssh-add {path}")
        elif explicit:
            found.problems.append(f"{path}: {sanitise(str(error), 120)}")
    except (OSError, ValueError) as error:
        found.problems.append(f"{path}: {sanitise(str(error), 120)}")
    else:
        found.keys.append(key)
        found.names.append(str(path))


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


async def _load_agent(path: str | None, found: Identities) -> None:
    if not path:
        return
    try:
        agent = await asyncssh.connect_agent(_expanded(path))
        pairs = await agent.get_keys()
    except (OSError, ValueError, asyncssh.Error):
        found.problems.append("the ssh agent does not answer")
        return
    for pair in list(pairs)[:MAX_AGENT_KEYS]:
        found.keys.append(pair)
        comment = pair.get_comment() or "unnamed key"
        found.names.append(f"agent: {sanitise(comment, 60)}")
