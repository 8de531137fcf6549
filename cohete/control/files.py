"""Files put on a board: space first, resumed where it stopped, checked there, then given its name.

The data goes over SFTP beside the commands; everything else is a command like any other. What was
cut off stays as a hidden part with the file's digest in its name, so that only the same file goes
on with it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cohete.control.change import Change, Need, Sections, Step, Upload, fed
from cohete.device.rooms import LOW_SHARE
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.text import decode

DEFAULT_FOLDER = "models"
"""In the login user's home."""
SPARE_MB = 512
"""Left free on the board's disk."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_FOLDER = re.compile(r"/?[A-Za-z0-9._][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9._-]{1,64}){0,12}", re.A)
_DIGEST = re.compile(r"([0-9a-f]{64}) ", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ROOM = re.compile(r"^\S+ +(\d{1,15}) +\d+ +(\d{1,15}) +", re.MULTILINE | re.ASCII)
_MEMORY = re.compile(r"^MemTotal: +(\d{1,12}) kB", re.MULTILINE | re.ASCII)
DIGEST_LIMIT_S = 15
"""For reading again what is there; some gigabytes from an NVMe disk."""
SYSTEM_MIB = 1024
"""Of a board's memory, for its system."""
_SLOWEST_BYTES_S = 5e6
"""Of hashing on a board, and of a link: how long is waited follows from it."""


@dataclass(frozen=True, slots=True)
class PutFile:
    """A file of this machine on the board, whole, under its own name in a folder there.

    Raises ChangeRefused for names that could mean something to a shell or leave the folder.
    """

    LANE: ClassVar[str] = "files"

    local: str
    sha256: str
    size: int
    folder: str = DEFAULT_FOLDER
    needs_mib: int = 0
    """What it takes to be served, where that is known: a board without so much gets no copy."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ChangeRefused(f"`{self.name[:60]}` is no name for a file on a board")
        if not _FOLDER.fullmatch(self.folder) or ".." in self.folder.split("/"):
            raise ChangeRefused(f"`{self.folder[:60]}` is no folder for a board")
        if not _SHA256.fullmatch(self.sha256) or not 0 < self.size < 1 << 50:
            raise ChangeRefused("the file has no digest, or no size")

    @property
    def name(self) -> str:
        """Its name, here and there."""
        return Path(self.local).name

    @property
    def path(self) -> str:
        """Where it will be."""
        return f"{self.folder}/{self.name}"

    @property
    def part(self) -> str:
        """Where it is while it is not all there."""
        return f"{self.folder}/.{self.name}.{self.sha256[:12]}.part"

    @property
    def intent(self) -> str:
        return f"copy {self.name} ({_mb(self.size)}) to {self.folder}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        # Of the folder, or of the nearest above it that is there: its disk.
        look = (
            f"d={shlex.quote(self.folder)}; "
            'while [ ! -e "$d" ]; do d=$(dirname -- "$d"); done; df -P -k -- "$d"'
        )
        return (
            Probe("file", ("stat", "-c", "%s", self.path)),
            Probe("part", ("stat", "-c", "%s", self.part)),
            Probe("noted", ("cat", f"{self.path}.sha256")),
            Probe("space", ("sh", "-c", look)),
            Probe("meminfo", ("cat", "/proc/meminfo")),
            Probe("digest", ("timeout", str(DIGEST_LIMIT_S), "sha256sum", "--", self.path)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where there is too little room."""
        there, part = (_size(board, name) for name in ("file", "part"))
        noted = decode(board.get("noted", b"")).split()
        after = f"there, {self.size} bytes, sha256 {self.sha256[:12]}"
        before = "not there" if there is None else f"another file of {there} bytes"
        if there == self.size and noted[:1] == [self.sha256]:
            found = _DIGEST.match(decode(board.get("digest", b"")))
            if found is None:
                noted_only = f"{after} as noted when it was copied; not read again in time"
                if board.get("digest", b"").strip():
                    noted_only = f"{after} as noted when it was copied; it cannot be read again"
                return Change(device, self.intent, noted_only, noted_only)
            if found[1] == self.sha256:
                return Change(device, self.intent, after, after)
            before = f"a damaged copy of it, sha256 {found[1][:12]}"
        if part is not None:
            before = f"{before}, {part} of {self.size} bytes copied"
        self._require_memory(device, board)
        left_share = self._require_room(device, board, part or 0)
        notes = ["A copy that is cut off goes on where it stopped."]
        if left_share < LOW_SHARE:
            notes.append(f"Only {100 * left_share:.0f} % of its disk will be free after it.")
        limit_s = 60 + self.size / _SLOWEST_BYTES_S
        quoted = shlex.quote(self.part)
        check = (
            f"echo '{self.sha256}  {self.part}' | sha256sum -c -"
            f" || {{ rm -f {quoted}; echo the copy is damaged; exit 1; }}"
        )
        return Change(
            device, self.intent, before, after,
            steps=(
                Step("make the folder", ("mkdir", "-p", "--", self.folder)),
                Step("copy", ("sftp", "put", self.local, self.part), limit_s=limit_s,
                     upload=Upload(self.local, self.part, self.size)),
                Step("check it on the board", ("sh", "-c", check), limit_s=limit_s),
                # Whatever is noted is of the file that was there.
                Step("forget the old digest", ("rm", "-f", "--", f"{self.path}.sha256")),
                Step("give it its name", ("mv", "-f", "--", self.part, self.path)),
                Step("note its digest", fed(f"{self.sha256}  {self.name}",
                                            ("tee", "--", f"{self.path}.sha256"))),
            ),
            needs=frozenset[Need](),
            notes=tuple(notes),
            undo_words=f"Undone by removing {self.path} there.",
        )  # fmt: skip

    def _require_memory(self, device: str, board: Sections) -> None:
        match = _MEMORY.search(decode(board.get("meminfo", b"")))
        if not self.needs_mib or match is None:
            return
        total_mib = int(match[1]) // 1024
        if self.needs_mib + SYSTEM_MIB > total_mib:
            raise ChangeRefused(
                f"it takes {self.needs_mib} MiB to be served, and the board has {total_mib} MiB",
                where=device,
                hint="`cohete fit` shows the levels that fit; `cohete quantize` makes one.",
            )

    def _require_room(self, device: str, board: Sections, copied: int) -> float:
        """The share of the disk that is free after it. Raises ChangeRefused."""
        found = _ROOM.findall(decode(board.get("space", b"")))
        if not found:
            raise ChangeRefused("it does not tell how much room it has", where=device)
        total, free = (int(text) * 1024 for text in found[-1])
        need = self.size - copied
        if need + SPARE_MB * 1_000_000 > free:
            raise ChangeRefused(
                f"{_mb(need)} and {SPARE_MB} to spare are needed, {_mb(free)} are free",
                where=device,
                hint="Make room there, or name another folder with --to.",
            )
        return (free - need) / total if total else 1.0


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"


def _size(board: Sections, name: str) -> int | None:
    text = decode(board.get(name, b"")).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
