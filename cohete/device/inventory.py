"""What a board is set up with, to compare two looks at it: power mode, packages, files.

Of a file only its SHA-256 is taken, so that a difference never shows a secret. Reads without root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cohete.device.identity import parse_power_mode
from cohete.links.commands import PROBE_LIMIT_S, Argv, Probe, probe_script
from cohete.text import decode, sanitise

FILES = (
    "/boot/extlinux/extlinux.conf",
    "/etc/apt/sources.list.d/nvidia-l4t-apt-source.list",
    "/etc/docker/daemon.json",
    "/etc/fstab",
    "/etc/hosts",
    "/etc/nvfancontrol.conf",
    "/etc/nvpmodel.conf",
    "/etc/ssh/sshd_config",
    "/etc/sysctl.conf",
)
"""Watched on every board, besides those of the configuration."""

ABSENT = "not there"
UNREADABLE = "not readable"
MAX_PACKAGES = 20_000
_LIMIT_BYTES = 460_000
"""Of each of two long sections, below what a link keeps of an answer."""

_MODE = Probe("mode", ("timeout", "5", "nvpmodel", "-q"))
_PACKAGES = Probe(
    "packages",
    ("timeout", "15", "dpkg-query", "-W", "-f",
     "${binary:Package} ${Version} ${db:Status-Status}\\n"),
)  # fmt: skip
_PACKAGE = re.compile(r"([a-z0-9][a-z0-9.+:-]{0,127}) ([A-Za-z0-9.+~:-]{1,127}) installed")
_DIGEST = re.compile(r"([0-9a-f]{64}) [ *](/.*)")

Kind = Literal["mode", "package", "file"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A power mode by name, versions by package, digests (or why there is none) by path.

    None is what the board did not tell.
    """

    mode: str | None
    packages: Mapping[str, str] | None
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was; None is a package or file that is, or was, not there."""

    kind: Kind
    name: str
    before: str | None
    now: str | None

    def __str__(self) -> str:
        if self.kind == "file":
            return f"file {self.name} {self._of_file()}"
        label = "power mode" if self.kind == "mode" else f"package {self.name}"
        if self.now is None:
            return f"{label} is gone, was {self.before}"
        return f"{label} is {self.now}, " + (f"was {self.before}" if self.before else "is new")

    def _of_file(self) -> str:
        if self.now is None:
            return "is gone"
        if self.before is None:
            return "is new"
        return "can no longer be read" if self.now == UNREADABLE else "has changed"


def take_inventory(files: Sequence[str]) -> Argv:
    """One command that reads it all."""
    digests = Probe("files", ("timeout", "15", "sha256sum", "--", *files))
    script = probe_script((_MODE, _PACKAGES, digests), _LIMIT_BYTES)
    return ("timeout", "-k", "2", str(PROBE_LIMIT_S), "sh", "-c", script)


def inventory_from(sections: Mapping[str, bytes], files: Sequence[str]) -> Inventory:
    """From the raw output of each probe. Never raises."""
    mode = parse_power_mode(decode(sections.get("mode", b"")))
    return Inventory(
        mode.name if mode is not None else None,
        _packages(sections.get("packages", b"")),
        _files(decode(sections.get("files", b"")), files),
    )


def _packages(answer: bytes) -> dict[str, str] | None:
    # Cut off in the middle, the rest would seem to be removed.
    if len(answer) >= _LIMIT_BYTES - 1:
        return None
    found: dict[str, str] = {}
    for line in decode(answer).splitlines()[:MAX_PACKAGES]:
        if match := _PACKAGE.fullmatch(line.strip()):
            found[match[1]] = match[2]
    return found or None


def _files(answer: str, files: Sequence[str]) -> dict[str, str]:
    digests = {m[2]: m[1] for line in answer.splitlines() if (m := _DIGEST.fullmatch(line))}
    said = answer.splitlines()
    found: dict[str, str] = {}
    for path in files:
        if path in digests:
            found[path] = digests[path]
            continue
        why = next((sanitise(line, 300) for line in said if f" {path}: " in line), None)
        # Neither a digest nor a complaint: sha256sum did not get there.
        if why is not None:
            found[path] = ABSENT if why.endswith("No such file or directory") else UNREADABLE
    return found


def compare(before: Inventory, now: Inventory) -> list[Difference]:
    """What differs, mode first, then packages and files by name. Unknown on either side is none."""
    found: list[Difference] = []
    if before.mode is not None and now.mode is not None and before.mode != now.mode:
        found.append(Difference("mode", "", before.mode, now.mode))
    if before.packages is not None and now.packages is not None:
        found += _between("package", before.packages, now.packages)
    both = before.files.keys() & now.files.keys()
    earlier = {path: before.files[path] for path in both if before.files[path] != ABSENT}
    later = {path: now.files[path] for path in both if now.files[path] != ABSENT}
    return found + _between("file", earlier, later)


def _between(kind: Kind, before: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(kind, name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
