"""Swap for models: a file on a disk that bears it, below zram, and never into the last room."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root
from cohete.device.rooms import LOW_SHARE
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.provision.fstab import FSTAB_ENDS, Mounting, fstab_steps
from cohete.storage.disks import PROBES as STORAGE_PROBES
from cohete.storage.disks import Kind, Storage, look
from cohete.storage.layout import ROOT, StorageLayout
from cohete.text import decode

FALLOCATE, CHMOD, MKDIR = "/usr/bin/fallocate", "/usr/bin/chmod", "/usr/bin/mkdir"
MKSWAP, SWAPON = "/usr/sbin/mkswap", "/usr/sbin/swapon"
GIB = 1 << 30
PRIORITY = 1
"""Below zram, to which NVIDIA's service gives 5: the disk is for what memory cannot squeeze."""
_SWAP = re.compile(
    r"^(/\S{1,255})\s+(partition|file)\s+(\d{1,15})\s+\d{1,15}\s+(-?\d{1,6})$",
    re.MULTILINE | re.ASCII,
)
_STAT = re.compile(r"(\d{1,15}) ([0-7]{3,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddSwapFile:
    """A swap file of so many GiB below `folder`, now and at each start."""

    size_gb: int = 16
    folder: str = ROOT
    disk: str = ""
    """The disk it has to be on; empty is any. Swap meant for an NVMe never fills the system's."""

    def __post_init__(self) -> None:
        if not 1 <= self.size_gb <= 512:
            raise ChangeRefused("a swap file has 1 to 512 GB")
        _ = StorageLayout(self.folder)

    @property
    def path(self) -> str:
        """Where the file is."""
        return f"{self.folder}/swapfile"

    @property
    def intent(self) -> str:
        return f"swap to {self.size_gb} GB at {self.path}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            *STORAGE_PROBES,
            FSTAB_ENDS,
            Probe("file", ("stat", "-c", "%s %a", self.path)),
            Probe("folder", ("stat", "-c", "%F", self.folder)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where there is no room for it, or another file is in its place."""
        storage = look(board)
        active = {
            path: (int(kib) * 1024, int(priority))
            for path, _, kib, priority in _SWAP.findall(decode(board.get("swaps", b"")))
        }
        there = _STAT.fullmatch(decode(board.get("file", b"")).strip())
        size, wanted = (int(there[1]) if there else 0), self.size_gb * GIB
        if there and size != wanted:
            raise ChangeRefused(
                f"{self.path} has {size / GIB:.1f} GB already", where=device,
                hint="Choose that size, or `swapoff` and remove it there first.",
            )  # fmt: skip
        on = storage.disk_of(self.path)
        if self.disk and (on is None or on.name != self.disk):
            where = f"is on {on.name}" if on is not None else "is on no disk that it tells of"
            raise ChangeRefused(
                f"{self.folder} {where}, and not on {self.disk}", where=device,
                hint=f"Have {self.disk} there first.",
            )  # fmt: skip
        steps: list[Step] = []
        if not there:
            self._check_room(device, storage, wanted)
            if decode(board.get("folder", b"")).strip() != "directory":
                steps.append(_step("make the folder", MKDIR, "-p", self.folder))
            steps.append(_step("make the file", FALLOCATE, "-l", f"{self.size_gb}G", self.path))
        if not there or there[2] != "600":
            steps.append(_step("for root only", CHMOD, "600", self.path))
        if self.path not in active:
            steps.append(_step("make it swap", MKSWAP, self.path))
            steps.append(_step("use it", SWAPON, "-p", str(PRIORITY), self.path))
        mounting = Mounting(self.path, "none", "swap", f"sw,nofail,pri={PRIORITY}")
        written = fstab_steps(device, storage.fstab, board, mounting)
        steps += written
        after = f"{self.size_gb} GB of swap at {self.path}, also after a start"
        others = ", ".join(f"{path} {kib / GIB:.1f} GB" for path, (kib, _) in active.items())
        file = f"{self.path} of mode {there[2]}" if there else f"no {self.path}"
        before = f"swap: {others or 'none'}; {file}, {'not ' if written else ''}in fstab"
        return Change(
            device, self.intent, before if steps else after, after, tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            notes=self._notes(storage, active) if steps else (),
            undo_words=f"Undone by `swapoff {self.path}`, removing it and its line from fstab.",
        )  # fmt: skip

    def _check_room(self, device: str, storage: Storage, wanted: int) -> None:
        room = storage.room_for(self.path)
        if room is None:
            raise ChangeRefused("the board does not tell its free space", where=device)
        if room.free - wanted < LOW_SHARE * room.total:
            free = f"{room.mount} has {room.free / GIB:.1f} GB free"
            raise ChangeRefused(
                f"{free}, and {self.size_gb} GB of swap would leave less than a tenth of it",
                where=device, hint="Choose a smaller swap_size_gb.",
            )  # fmt: skip

    def _notes(self, storage: Storage, active: dict[str, tuple[int, int]]) -> tuple[str, ...]:
        notes = []
        disk = storage.disk_of(self.path)
        if disk is not None and disk.kind in (Kind.SD, Kind.EMMC):
            notes.append(f"{disk.name} is an {disk.kind}: swap wears it out.")
        inverted = [
            path for path, (_, priority) in active.items()
            if path.startswith("/dev/zram") and priority <= PRIORITY
        ]  # fmt: skip
        if inverted:
            notes.append(f"{', '.join(inverted)} comes after it: the disk is used before memory.")
        return tuple(notes)


def rules_for(size_gb: int, folder: str) -> tuple[str, ...]:
    """The sudo rules that this step needs, beside the line of fstab."""
    path = AddSwapFile(size_gb, folder).path
    return (
        f"{MKDIR} -p {folder}",
        f"{FALLOCATE} -l {size_gb}G {path}",
        f"{CHMOD} 600 {path}",
        f"{MKSWAP} {path}",
        f"{SWAPON} -p {PRIORITY} {path}",
    )


def _step(title: str, *argv: str) -> Step:
    return Step(title, as_root(*argv), rule=" ".join(argv), limit_s=300.0)
