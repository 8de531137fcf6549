"""Host keys: always verified. Unknown is asked about once, changed is refused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from cohete.errors import ConfigError

SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_SHA1_SIGNATURE = b"ssh-rsa"


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is on record for one host. `named` are the entries for exactly this host and port."""

    trusted: list[asyncssh.SSHKey]
    authorities: list[asyncssh.SSHKey]
    revoked: list[asyncssh.SSHKey]
    named: bool

    def as_argument(
        self,
    ) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        """In the form asyncssh takes instead of a file."""
        return self.trusted, self.authorities, self.revoked

    def algorithms(self) -> list[str] | None:
        """Signature algorithms to ask for so that a key on record is shown; None: any modern."""
        if self.authorities or not self.trusted:
            return None
        names: dict[str, None] = {}
        for key in self.trusted:
            for algorithm in key.sig_algorithms:
                if algorithm != _SHA1_SIGNATURE:
                    names[algorithm.decode("ascii")] = None
        return list(names) or None


class HostKeys:
    """The known_hosts files of a run: the user's, the system's, and our own, which alone grows."""

    def __init__(self, own_file: Path, read_only_files: Sequence[Path] = ()) -> None:
        self.own_file = own_file
        self._files = (own_file, *read_only_files)
        self._known: asyncssh.SSHKnownHosts | None = None

    def lookup(self, name: str, address: str, port: int) -> KnownKeys:
        """What is on record for `name` at `address`. Blocking on first use; raises ConfigError."""
        if self._known is None:
            self._known = self._load()
        known = self._known
        if port != 22:
            # As OpenSSH does: an entry without a port may vouch for another port, never accuse it.
            exact = known.match(f"[{name}]:{port}", "", None)
            loose = known.match(name, address, port)
            trusted = list({*exact[0], *loose[0]})
            return KnownKeys(
                trusted,
                list({*exact[1], *loose[1]}),
                [*exact[2], *loose[2]],
                bool(exact[0] or exact[1]),
            )
        found = known.match(name, address, None)
        return KnownKeys(list(found[0]), list(found[1]), list(found[2]), bool(found[0] or found[1]))

    def add(self, name: str, port: int, key: asyncssh.SSHKey) -> None:
        """Put the key of a new host on record, under a lock, in a file only its owner reads."""
        self.add_line(known_hosts_line(name, port, key))

    def add_line(self, line: str) -> None:
        """The same for a line made by `known_hosts_line`. Raises ConfigError."""
        try:
            self._append(line)
        except OSError as error:
            raise ConfigError(
                f"cannot keep the host key: {(error.strerror or 'not writable').lower()}",
                path=str(self.own_file),
                hint="Make this file writable, or name another one as ssh.known_hosts.",
            ) from None
        self._known = None

    def _append(self, line: str) -> None:
        self.own_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.own_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            if line not in text.splitlines():
                file.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")

    def _load(self) -> asyncssh.SSHKnownHosts:
        known = asyncssh.SSHKnownHosts()
        for path in self._files:
            try:
                known.load(path.read_text("utf-8", "replace"))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"cannot use this known_hosts file: {error}",
                    path=str(path),
                    hint="Correct or move the file; host keys are never left unchecked.",
                ) from None
        return known


def known_hosts_line(name: str, port: int, key: asyncssh.SSHKey) -> str:
    """The entry for a host in OpenSSH's known_hosts format."""
    host = name if port == 22 else f"[{name}]:{port}"
    kind, blob = key.export_public_key("openssh").decode("ascii").split()[:2]
    return f"{host} {kind} {blob}"
