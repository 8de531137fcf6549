"""Host keys: always verified. Unknown is asked about once, changed is refused."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from cohete.errors import ConfigError

SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_SHA1_SIGNATURE = b"ssh-rsa"
_Keys = list[asyncssh.SSHKey]


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is on record for one host. `named`: there is a key for exactly this host and port."""

    trusted: _Keys = field(default_factory=list)
    authorities: _Keys = field(default_factory=list)
    revoked: _Keys = field(default_factory=list)
    named: bool = False

    def as_argument(self) -> tuple[_Keys, _Keys, _Keys]:
        """In the form asyncssh takes instead of a file."""
        return self.trusted, self.authorities, self.revoked

    def algorithms(self, plain: Sequence[str], certificates: Sequence[str]) -> list[str]:
        """Host key algorithms to ask for: those on record alone where the host is known by name,
        else those first; certificates only where an authority vouches for this host."""
        known: dict[str, None] = {}
        for key in self.trusted:
            for algorithm in key.sig_algorithms:
                if algorithm != _SHA1_SIGNATURE:
                    known[algorithm.decode("ascii")] = None
        others = [] if self.named else [name for name in plain if name not in known]
        return [*(certificates if self.authorities else ()), *known, *others]


class HostKeys:
    """The known_hosts files of a run: the user's, the system's, and our own, which alone grows.

    Files are read again when they have changed, so that a key removed with ssh-keygen is gone.
    """

    def __init__(self, own_file: Path, read_only_files: Sequence[Path] = ()) -> None:
        self.own_file = own_file
        self._usual = tuple(read_only_files)
        self._read: dict[Path, _File] = {}
        self._lock = asyncio.Lock()

    async def lookup(self, name: str, port: int, files: Sequence[str] = ()) -> KnownKeys:
        """What is on record for a host; `files` stand in for the user's usual ones.

        The address behind a name is not looked up: a key that is on record for an address does
        not vouch for whatever name points there. Raises ConfigError.
        """
        if self._is_read(files):
            return self._lookup(name.lower(), port, files)
        async with self._lock:
            return await asyncio.to_thread(self._lookup, name.lower(), port, tuple(files))

    async def add_line(self, line: str) -> None:
        """Put a new host on record (a line of `known_hosts_line`), in a file only its owner
        reads. Raises ConfigError."""
        async with self._lock:
            try:
                await asyncio.to_thread(_append, self.own_file, line)
            except OSError as error:
                raise ConfigError(
                    f"cannot keep the host key: {(error.strerror or 'not writable').lower()}",
                    path=str(self.own_file),
                    hint="Make this file writable, or name another one as ssh.known_hosts.",
                ) from None
            file = self._read.get(self.own_file)
            if file is not None:
                # One line more, not the whole file again: fleets are first seen all at once.
                file.known.load(line + "\n")
                file.stamp = _stamp(self.own_file)

    def _paths(self, files: Sequence[str]) -> list[Path]:
        users = [Path(file).expanduser() for file in files] if files else self._usual
        return list(dict.fromkeys((self.own_file, *users)))

    def _is_read(self, files: Sequence[str]) -> bool:
        """Whether looking a host up only takes looking at what was read before."""
        for path in self._paths(files):
            file = self._read.get(path)
            try:
                stamp = _stamp(path)
            except OSError:
                stamp = None
            if stamp != (file.stamp if file else None):
                return False
        return True

    def _lookup(self, name: str, port: int, files: Sequence[str]) -> KnownKeys:
        trusted: dict[asyncssh.SSHKey, None] = {}
        authorities: dict[asyncssh.SSHKey, None] = {}
        revoked: dict[asyncssh.SSHKey, None] = {}
        named = False
        for path in self._paths(files):
            known = self._load(path)
            if known is None:
                continue
            matches = [known.match(name if port == 22 else f"[{name}]:{port}", "", None)]
            named = named or bool(matches[0][0])
            if port != 22:
                # As OpenSSH does: an entry without a port may vouch for another port, never
                # accuse it.
                matches.append(known.match(name, "", None))
            for found in matches:
                trusted |= dict.fromkeys(found[0])
                authorities |= dict.fromkeys(found[1])
                revoked |= dict.fromkeys(found[2])
        return KnownKeys(list(trusted), list(authorities), list(revoked), named)

    def _load(self, path: Path) -> asyncssh.SSHKnownHosts | None:
        try:
            stamp = _stamp(path)
            file = self._read.get(path)
            if file is None or file.stamp != stamp:
                file = self._read[path] = _File(_parse(path.read_text("utf-8", "replace")), stamp)
        except FileNotFoundError:
            self._read.pop(path, None)
            return None
        except OSError as error:
            raise ConfigError(
                f"cannot use this known_hosts file: {(error.strerror or 'unreadable').lower()}",
                path=str(path),
                hint="Correct or move the file; host keys are never left unchecked.",
            ) from None
        return file.known


@dataclass(slots=True)
class _File:
    known: asyncssh.SSHKnownHosts
    stamp: tuple[int, int]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _parse(text: str) -> asyncssh.SSHKnownHosts:
    known = asyncssh.SSHKnownHosts()
    try:
        known.load(text)
    except ValueError:
        # One line that is none must not hide the others.
        known = asyncssh.SSHKnownHosts()
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                known.load(line + "\n")
    return known


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if line not in text.splitlines():
            file.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")


def known_hosts_line(name: str, port: int, key: asyncssh.SSHKey) -> str:
    """The entry for a host in OpenSSH's known_hosts format."""
    host = name.lower() if port == 22 else f"[{name.lower()}]:{port}"
    kind, blob = key.export_public_key("openssh").decode("ascii").split()[:2]
    return f"{host} {kind} {blob}"
