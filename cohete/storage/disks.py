"""Disks of a board, what is on them, where they are mounted, how full they are. Pure.

Formats: `lsblk -J -b` of util-linux 2.27 to 2.40 (numbers as numbers or as text, `mountpoint` or
`mountpoints`); `grep . /sys/block/*/device/type` (MMC is soldered, SD is a card); `df -P -k`; and
`/etc/fstab`. Sizes are bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cohete.device.rooms import MAX_LINES, Room, rooms_from
from cohete.links.commands import Argv, Probe
from cohete.text import decode, sanitise

MAX_DISKS, MAX_PARTS = 64, 128

_COLUMNS = "NAME,KNAME,TYPE,SIZE,TRAN,RM,RO,ROTA,MODEL,SERIAL,FSTYPE,LABEL,UUID,MOUNTPOINT"
LSBLK = Probe("lsblk", ("timeout", "10", "lsblk", "-J", "-b", "-o", _COLUMNS))
CARDS = Probe("cards", ("sh", "-c", "grep -s . /sys/block/mmcblk*/device/type"))
DF = Probe("df", ("timeout", "5", "df", "-P", "-k"))
FSTAB = Probe("fstab", ("cat", "/etc/fstab"))
SWAPS = Probe("swaps", ("cat", "/proc/swaps"))
PROBES: tuple[Probe, ...] = (LSBLK, CARDS, DF, FSTAB, SWAPS)

_NVME = re.compile(r"nvme(\d{1,3})n(\d{1,4})", re.ASCII)
_CARD = re.compile(r"^/sys/block/(mmcblk\d{1,2})/device/type:(\S{1,16})$", re.MULTILINE | re.ASCII)


class Kind(StrEnum):
    """What a disk is."""

    NVME = "NVMe"
    EMMC = "eMMC"
    SD = "SD card"
    USB = "USB"
    SATA = "SATA"
    ZRAM = "zram"
    OTHER = "disk"


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, or a whole disk with a file system on it. Empty text is unknown or none."""

    name: str
    size: int
    fstype: str = ""
    label: str = ""
    uuid: str = ""
    mount: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk. `namespace` counts from 1 on NVMe, where one device may have several."""

    name: str
    kind: Kind
    size: int
    model: str = ""
    serial: str = ""
    read_only: bool = False
    namespace: int | None = None
    parts: tuple[Part, ...] = ()

    @property
    def path(self) -> str:
        return f"/dev/{self.name}"

    @property
    def size_words(self) -> str:
        """As it is sold, in decimal units, and as the board counts."""
        return f"{self.size / 1e9:.0f} GB ({self.size / 2**30:.1f} GiB)"

    @property
    def is_blank(self) -> bool:
        """Whether nothing is on it that the kernel knows of."""
        return not self.parts

    @property
    def mounts(self) -> tuple[str, ...]:
        """Where any part of it is mounted."""
        return tuple(part.mount for part in self.parts if part.mount)


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything a board keeps things on."""

    disks: tuple[Disk, ...] = ()
    rooms: tuple[Room, ...] = ()
    fstab: tuple[FstabLine, ...] = ()
    swaps: tuple[str, ...] = ()
    note: str = ""
    """Why disks are unknown."""

    @property
    def low(self) -> tuple[Room, ...]:
        """File systems with less than a tenth free."""
        return tuple(room for room in self.rooms if room.is_low)

    def room_for(self, path: str) -> Room | None:
        """The file system a path is on; None where that is unknown."""
        fitting = [
            room
            for room in self.rooms
            if path == room.mount or path.startswith(room.mount.rstrip("/") + "/")
        ]
        return max(fitting, key=lambda room: len(room.mount), default=None)

    def disk_of(self, path: str) -> Disk | None:
        """The disk a path is on; None where that is unknown."""
        room = self.room_for(path)
        if room is None:
            return None
        return next((disk for disk in self.disks if room.mount in disk.mounts), None)


@dataclass(frozen=True, slots=True)
class FstabLine:
    """A line of /etc/fstab that mounts something."""

    source: str
    mount: str
    fstype: str
    options: tuple[str, ...] = field(default=())

    @property
    def by_uuid(self) -> bool:
        """Whether it means the same file system whatever order disks are found in."""
        return self.source.upper().startswith(("UUID=", "PARTUUID=", "LABEL=", "PARTLABEL="))


def look(sections: Mapping[str, bytes]) -> Storage:
    """From what the board said. Never raises."""
    said = sections.get(LSBLK.name, b"")
    cards = dict(_CARD.findall(decode(sections.get(CARDS.name, b""))))
    disks = disks_from(said, cards)
    note = (
        "" if disks else f"lsblk tells no disks: {sanitise(decode(said).strip(), 120) or 'nothing'}"
    )
    return Storage(
        disks,
        rooms_from(decode(sections.get(DF.name, b""))),
        fstab_from(decode(sections.get(FSTAB.name, b""))),
        tuple(
            sanitise(line.split()[0], 120)
            for line in decode(sections.get(SWAPS.name, b"")).splitlines()[1:64]
            if line.startswith("/")
        ),
        note,
    )


def disks_from(output: bytes, cards: Mapping[str, str]) -> tuple[Disk, ...]:
    """Disks of `lsblk -J -b`; loop devices and the boot areas of eMMC are none. Never raises."""
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        return ()
    listed = document.get("blockdevices") if isinstance(document, dict) else None
    entries = (
        [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    )
    soldered = {
        str(each.get("name")).partition("boot")[0]
        for each in entries
        if "boot" in str(each.get("name"))
    }
    found = [_disk(entry, cards, soldered) for entry in entries[:MAX_DISKS]]
    return tuple(disk for disk in found if disk is not None)


def _disk(entry: Mapping[str, object], cards: Mapping[str, str], soldered: set[str]) -> Disk | None:
    name = _text(entry, "name", 32)
    if entry.get("type") != "disk" or not name or re.search(r"boot\d|rpmb", name):
        return None
    size = _number(entry.get("size"))
    if not size:
        return None
    nvme = _NVME.fullmatch(name)
    children = entry.get("children")
    inner = list(_flat(children)) if isinstance(children, list) else []
    # Without a partition table a disk may have a file system itself.
    whole = [entry] if _text(entry, "fstype", 32) or _mount(entry) else []
    parts = tuple(_part(each) for each in [*whole, *inner][:MAX_PARTS])
    return Disk(
        name, _kind(name, entry, cards, soldered), size, _text(entry, "model", 64),
        _text(entry, "serial", 64), _yes(entry.get("ro")),
        int(nvme[2]) if nvme else None, parts,
    )  # fmt: skip


def _kind(
    name: str, entry: Mapping[str, object], cards: Mapping[str, str], soldered: set[str]
) -> Kind:
    if name.startswith("nvme"):
        return Kind.NVME
    if name.startswith("zram"):
        return Kind.ZRAM
    if name.startswith("mmcblk"):
        card = cards.get(name)
        if card is not None:
            return Kind.SD if card == "SD" else Kind.EMMC
        return Kind.EMMC if name in soldered else Kind.SD
    transport = _text(entry, "tran", 16)
    return {"usb": Kind.USB, "sata": Kind.SATA, "nvme": Kind.NVME}.get(transport, Kind.OTHER)


def _part(entry: Mapping[str, object]) -> Part:
    return Part(
        _text(entry, "name", 32), _number(entry.get("size")) or 0, _text(entry, "fstype", 32),
        _text(entry, "label", 64), _text(entry, "uuid", 64), _mount(entry),
    )  # fmt: skip


def _flat(entries: Sequence[object], depth: int = 0) -> Iterable[Mapping[str, object]]:
    for entry in entries[:MAX_PARTS]:
        if isinstance(entry, dict):
            yield entry
            children = entry.get("children")
            if isinstance(children, list) and depth < 8:
                yield from _flat(children, depth + 1)


def _mount(entry: Mapping[str, object]) -> str:
    several = entry.get("mountpoints")
    places = several if isinstance(several, list) else [entry.get("mountpoint")]
    return next((sanitise(place, 255) for place in places if isinstance(place, str)), "")


def _text(entry: Mapping[str, object], key: str, limit: int) -> str:
    value = entry.get(key)
    return sanitise(value.strip(), limit) if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _yes(value: object) -> bool:
    return value in (True, "1", 1)


def fstab_from(text: str) -> tuple[FstabLine, ...]:
    """What /etc/fstab mounts. Never raises."""
    found = []
    for line in text.splitlines()[:MAX_LINES]:
        words = line.partition("#")[0].split() if line.lstrip().startswith("#") else line.split()
        if len(words) >= 3 and not words[0].startswith("#"):
            options = tuple(sanitise(words[3], 255).split(",")) if len(words) > 3 else ()
            found.append(
                FstabLine(sanitise(words[0], 255), sanitise(words[1], 255), words[2][:32], options)
            )
    return tuple(found)


def reading() -> Argv:
    """All of it in one command; nothing of it needs root."""
    from cohete.links.commands import look as looking

    return looking(PROBES)
