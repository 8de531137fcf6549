"""A line of /etc/fstab, added once, with what stands there left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cohete.control.change import Sections, Step, as_root, fed_lines
from cohete.control.commands import TEE
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.storage.disks import FSTAB, FstabLine
from cohete.text import decode

FSTAB_FILE = "/etc/fstab"
FSTAB_ENDS = Probe("fstab_ends", ("sh", "-c", f"tail -c 1 {FSTAB_FILE} | wc -l"))
"""1 where its last line has an end."""


@dataclass(frozen=True, slots=True)
class Mounting:
    """What is mounted, or swapped to, at each start. `check` is when fsck looks at it."""

    source: str
    place: str
    fstype: str
    options: str
    check: int = 0

    @property
    def line(self) -> str:
        return f"{self.source} {self.place} {self.fstype} {self.options} 0 {self.check}"


def fstab_steps(
    device: str, lines: Sequence[FstabLine], board: Sections, wanted: Mounting
) -> list[Step]:
    """Nothing where it is there. Raises ChangeRefused where the file says otherwise."""
    for line in lines:
        same_source = line.source.casefold() == wanted.source.casefold()
        same_place = wanted.place != "none" and line.mount == wanted.place
        if same_source and (same_place or wanted.place == "none"):
            return []
        if same_source or same_place:
            raise ChangeRefused(
                f"{FSTAB_FILE} has {line.source} at {line.mount} already", where=device,
                hint="Change or remove that line there, then do this again.",
            )  # fmt: skip
    text = decode(board.get(FSTAB.name, b""))
    ends = decode(board.get(FSTAB_ENDS.name, b"")).strip() == "1"
    # A last line without an end must not become one with ours.
    added = [*([] if ends or not text else [""]), wanted.line]
    argv = (TEE, "-a", FSTAB_FILE)
    return [Step("at each start", fed_lines(added, as_root(*argv)), rule=" ".join(argv))]
