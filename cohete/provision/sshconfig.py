"""A `Host` in the user's ssh configuration: added where it works, all else byte for byte. Blocking.

It goes before the first `Host` or `Match`, behind what holds for all hosts: the first value
that ssh finds counts, and nothing that was global may become this host's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cohete.config.rewriting import rewrite
from cohete.errors import ConfigError

MAX_BYTES = 4_194_304
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_VALUE = re.compile(r"[^\s\"#][^\r\n\"#]{0,254}")
_SECTION = re.compile(rb"[ \t]*(host|match)[ \t=]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HostEntry:
    """What is written. Raises ConfigError for values that could mean something else."""

    alias: str
    host: str
    user: str = ""
    port: int = 22
    identity_file: str = ""

    def __post_init__(self) -> None:
        if not _ALIAS.fullmatch(self.alias):
            raise ConfigError(f"`{self.alias[:60]}` is no name for a host")
        for value in (self.host, self.user, self.identity_file):
            if value and not _VALUE.fullmatch(value):
                raise ConfigError(f"{value[:60]!r} cannot stand in an ssh configuration")

    @property
    def lines(self) -> list[str]:
        """The block."""
        found = [f"Host {self.alias}", f"    HostName {self.host}"]
        if self.user:
            found.append(f"    User {self.user}")
        if self.port != 22:
            found.append(f"    Port {self.port}")
        if self.identity_file:
            quoted = f'"{self.identity_file}"' if " " in self.identity_file else self.identity_file
            found.append(f"    IdentityFile {quoted}")
        return found


def with_entry(text: bytes, entry: HostEntry) -> bytes:
    """The configuration with the host in it; unchanged where it is there as it should be.

    Raises ConfigError where a host of that name says something else.
    """
    newline = b"\r\n" if b"\r\n" in text else b"\n"
    lines = text.splitlines(keepends=True)
    starts = [nth for nth, line in enumerate(lines) if _SECTION.match(line)]
    for nth, start in enumerate(starts):
        if entry.alias in _names(lines[start]):
            end = starts[nth + 1] if nth + 1 < len(starts) else len(lines)
            if _meaning(lines[start:end]) == _meaning(
                [f"{each}\n".encode() for each in entry.lines]
            ):
                return text
            raise ConfigError(
                f"the ssh configuration has a host {entry.alias} that says something else",
                hint="Choose another name, or change that block by hand.",
            )
    at = starts[0] if starts else len(lines)
    # Comments that stand right above a host belong to it.
    while at and lines[at - 1].lstrip().startswith(b"#"):
        at -= 1
    before, after = b"".join(lines[:at]), b"".join(lines[at:])
    if before and not before.endswith(b"\n"):
        before += newline
    block = newline.join(line.encode() for line in entry.lines) + newline + newline
    return before + block + after


def without_entry(text: bytes, entry: HostEntry) -> bytes:
    """The configuration without the host, as `with_entry` has put it there; every other byte stays.

    Raises ConfigError where it is there otherwise.
    """
    lines = text.splitlines(keepends=True)
    wanted = [line.encode() for line in entry.lines]
    for nth in range(len(lines) - len(wanted) + 1):
        end = nth + len(wanted)
        if [line.rstrip(b"\r\n") for line in lines[nth:end]] == wanted:
            blank = end < len(lines) and not lines[end].strip()
            return b"".join(lines[:nth] + lines[end + blank :])
    raise ConfigError(
        f"the ssh configuration has no host {entry.alias} as it was written",
        hint="Remove that block by hand.",
    )


def _names(line: bytes) -> list[str]:
    words = line.decode("utf-8", "replace").replace("=", " ", 1).split()
    return [word.strip('"') for word in words[1:]] if words[0].lower() == "host" else []


def _meaning(lines: list[bytes]) -> list[tuple[str, str]]:
    found = []
    for line in lines:
        words = line.decode("utf-8", "replace").strip().replace("=", " ", 1).split(None, 1)
        if words and not words[0].startswith("#"):
            found.append((words[0].lower(), words[1].strip().strip('"') if len(words) > 1 else ""))
    return found


def add_entry(path: Path, entry: HostEntry) -> Path | None:
    """Put it into the file; the backup's path, None where nothing had to change.

    Raises ConfigError.
    """
    what = "the ssh configuration"
    try:
        old = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror}", path=str(path)) from None
    if len(old) > MAX_BYTES:
        raise ConfigError("this is no ssh configuration", path=str(path))
    new = with_entry(old, entry)
    return None if new == old else rewrite(path, new, what)
