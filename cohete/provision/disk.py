"""A blank NVMe made into room for models: one ext4 partition, mounted by UUID at each start.

Nothing is ever written to a disk that holds something, and nothing to a blank one without a consent
that names it and its size.
"""

from __future__ import annotations

import re
import shlex
import uuid
from dataclasses import dataclass, replace

from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    fed_lines,
    output_of,
)
from cohete.control.commands import TEE
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Probe
from cohete.provision.fstab import FSTAB_ENDS, FSTAB_FILE, Mounting, fstab_steps
from cohete.storage.disks import PROBES as STORAGE_PROBES
from cohete.storage.disks import Disk, Part, Storage, look
from cohete.storage.layout import MODES, ROOT, StorageLayout
from cohete.text import decode, sanitise

LABEL = "cohete"
BLANK_BYTES = 33_554_432
"""Of the beginning of a disk that has to be zero: the gap before the first partition, whose table
may be lost, and the beginning of what is in that partition."""
MKFS_LIMIT_S = 900.0
SFDISK, MKFS, BLKID = "/usr/sbin/sfdisk", "/usr/sbin/mkfs.ext4", "/usr/sbin/blkid"
OD, WIPEFS = "/usr/bin/od", "/usr/sbin/wipefs"
MKDIR, INSTALL, MOUNT = "/usr/bin/mkdir", "/usr/bin/install", "/usr/bin/mount"
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_NAME = re.compile(r"nvme\d{1,3}n\d{1,4}", re.ASCII)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f-]{8,36}", re.ASCII)
_STAT = re.compile(r"^[0-7]{3,4} (/\S{1,255})$", re.MULTILINE | re.ASCII)
_FSTYPE = re.compile(r"[a-z0-9]{2,16}", re.ASCII)
_ZERO = re.compile(rf"0+(?: +0{{16}}){{32}}\s+\*\s+0*{BLANK_BYTES}", re.ASCII)
_OWN = uuid.UUID("6f6b9a52-3e0e-5f0c-9c1b-7a8f5f1c0de7")


class ConsentNeeded(ChangeRefused):
    """Only a person's word is missing."""


@dataclass(frozen=True, slots=True)
class PrepareDisk:
    """The disk mounted with the folders of the layout. Raises ChangeRefused for a bad name.

    `consent` is what a person typed, or declared for this very board: the disk's name and size, as
    `consent_for` words them. Without it a disk that is blank stays so.
    """

    disk: str = "nvme0n1"
    mount: str = ROOT
    consent: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.disk):
            raise ChangeRefused(f"`{self.disk[:40]}` is no NVMe disk", hint="As in nvme0n1.")
        _ = self._layout

    @property
    def _layout(self) -> StorageLayout:
        return StorageLayout(self.mount)

    @property
    def intent(self) -> str:
        return f"have {self.disk} at {self.mount}"

    @property
    def _path(self) -> str:
        return f"/dev/{self.disk}"

    @property
    def _part_path(self) -> str:
        return f"{self._path}p1"

    @property
    def probes(self) -> tuple[Probe, ...]:
        folders = [self._layout.folder(name) for name in MODES]
        return (
            *STORAGE_PROBES,
            Probe("disk_signs", as_root(*_signs_argv(self._path))),
            Probe("part_signs", as_root(*_signs_argv(self._part_path))),
            Probe("disk_begin", as_root(*_begin_argv(self._path))),
            Probe("disk_left", as_root(*_left_argv(self._path))),
            FSTAB_ENDS,
            Probe("below", ("ls", "-A", self.mount)),
            Probe("user", ("id", "-un")),
            Probe("folders", ("stat", "-c", "%a %n", *folders)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the disk holds something, or nobody has agreed to erase it."""
        storage = look(board)
        disk = next((each for each in storage.disks if each.name == self.disk), None)
        if disk is None:
            raise ChangeRefused(
                f"there is no {self.disk}", where=device,
                hint=storage.note or f"It has {_names(storage)}.",
            )  # fmt: skip
        if "/" in disk.mounts:
            words = f"the system runs from {disk.name}: there is nothing to prepare"
            return Change(device, self.intent, words, words)
        disk = self._known(disk, board)
        mounted = next((p for p in disk.parts if p.mount == self.mount), None)
        part = mounted or self._usable(device, disk)
        if mounted is None:
            self._check_place(device, storage, board)
        steps: list[Step] = []
        if part is None:
            steps += self._erase(device, disk, board)
            part_uuid, fstype = _uuid_of(disk), "ext4"
            how = "is partitioned and has no file system" if disk.parts else "is blank"
            before = f"{disk.name}, {disk.size_words}, {how}"
        else:
            part_uuid, fstype = part.uuid, part.fstype
            if not _UUID.fullmatch(part_uuid):
                raise ChangeRefused(
                    f"{part.name} does not tell its UUID", where=device,
                    hint=f"Its sudoers file needs: {' '.join(_signs_argv(self._part_path))}",
                )  # fmt: skip
            if not _FSTYPE.fullmatch(fstype):
                raise ChangeRefused(f"{part.name} does not tell its file system", where=device)
            before = f"{part.name}, {fstype}, {'mounted' if mounted else 'not mounted'}"
        if mounted is None:
            has_place = "No such file" not in decode(board.get("below", b""))
            before += "" if has_place else f", no {self.mount}"
            steps.append(_root_step("make the place", MKDIR, "-p", self.mount))
        check = 2 if fstype == "ext4" else 0
        options = "defaults,noatime,nofail"
        mounting = Mounting(f"UUID={part_uuid}", self.mount, fstype, options, check)
        written = fstab_steps(device, storage.fstab, board, mounting)
        before += ", not at each start" if written else ", at each start"
        steps += written
        if mounted is None:
            steps.append(_root_step("mount it", MOUNT, self.mount))
            steps.append(
                Step("see that it is", ("mountpoint", "-q", self.mount), judge=_is_mounted)
            )
        folders = self._folders(board, fresh=mounted is None)
        if mounted is not None and folders:
            before += f", without {len(folders)} of its folders"
        steps += folders
        after = f"{self.mount} by UUID at each start, with {', '.join(MODES)}"
        return Change(
            device, self.intent, before if steps else after, after, tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            notes=(
                (f"{self._path} gets a new partition table and file system: it is blank.",)
                if part is None
                else ("Nothing on it is erased.",)
            ) if steps else (),
            undo_words=f"Undone by `umount {self.mount}` and removing its line from {FSTAB_FILE}.",
        )  # fmt: skip

    def _known(self, disk: Disk, board: Sections) -> Disk:
        """With what blkid read itself where lsblk does not say it (yet): udev tells it later."""
        whole, first = _signs(board, "disk_signs"), _signs(board, "part_signs")
        if not disk.parts and "TYPE" in whole:
            return replace(disk, parts=(_told(Part(disk.name, disk.size), whole),))
        signs = {disk.name: whole, f"{disk.name}p1": first}
        return replace(
            disk, parts=tuple(_told(part, signs.get(part.name, {})) for part in disk.parts)
        )

    def _usable(self, device: str, disk: Disk) -> Part | None:
        """Its one ext4 file system; None where it has to be made.

        Raises ChangeRefused for a disk that holds anything else.
        """
        named = f"{disk.name}p1"
        if not disk.parts or (
            [part.name for part in disk.parts] == [named] and not disk.parts[0].fstype
        ):
            return None
        (first, *others) = disk.parts
        if not others and first.fstype == "ext4" and first.uuid and not first.mount:
            return first
        holds = ", ".join(
            f"{part.name} {part.fstype or 'of an unknown kind'}"
            + (f" at {part.mount}" if part.mount else "")
            for part in disk.parts[:6]
        )
        raise ChangeRefused(
            f"{disk.name} holds something: {holds}", where=device,
            hint="A disk that holds something is never erased; do it by hand if it may go.",
        )  # fmt: skip

    def _check_place(self, device: str, storage: Storage, board: Sections) -> None:
        other = next((room for room in storage.rooms if room.mount == self.mount), None)
        if other is not None:
            raise ChangeRefused(f"{other.source} is mounted at {self.mount}", where=device)
        said = decode(board.get("below", b""))
        entries = [line for line in said.splitlines() if line and not line.startswith("ls: ")]
        if entries:
            raise ChangeRefused(
                f"{self.mount} holds {len(entries)} files, which the disk would hide", where=device,
                hint="Move them away first, or choose another mount_point.",
            )  # fmt: skip

    def _erase(self, device: str, disk: Disk, board: Sections) -> list[Step]:
        """Partition and file system, or what is missing of them. Raises ChangeRefused."""
        wanted = consent_for(disk)
        signs = _signs(board, "disk_signs")
        part_signs = _signs(board, "part_signs")
        is_ours = part_signs.get("PART_ENTRY_NAME") == LABEL and "TYPE" not in part_signs
        if not (disk.parts and is_ours):
            if disk.parts or signs:
                holds = signs.get("TYPE") or signs.get("PTTYPE") or "a partition table"
                raise ChangeRefused(
                    f"{disk.name} holds something: {holds}", where=device,
                    hint="A disk that holds something is never erased; do it by hand if it may go.",
                )  # fmt: skip
            self._check_blank(device, disk, board)
        if " ".join(self.consent.split()).casefold() != wanted.casefold():
            raise ConsentNeeded(
                f"{disk.name}, {disk.size_words}, is blank, and nobody has agreed to use it",
                where=device, hint=f"Whoever owns it says `{wanted}`.",
            )  # fmt: skip
        steps: list[Step] = []
        if not disk.parts:
            divide = (SFDISK, "--quiet", "--wipe", "never", self._path)
            lines = ["label: gpt", f"type={_LINUX}, name={LABEL}"]
            steps.append(
                Step("partition it", fed_lines(lines, as_root(*divide)), rule=shlex.join(divide))
            )
            steps.append(
                Step("wait for it", ("udevadm", "settle", "--timeout=10"), goes_on=True,
                     judge=_settled)
            )  # fmt: skip
        looking = _signs_argv(self._part_path)
        steps.append(
            Step("see that nothing is in it", as_root(*looking), rule=" ".join(looking),
                 judge=_is_empty)
        )  # fmt: skip
        argv = (MKFS, "-q", "-L", LABEL, "-U", _uuid_of(disk), self._part_path)
        steps.append(Step("make ext4", as_root(*argv), rule=shlex.join(argv), limit_s=MKFS_LIMIT_S))
        return steps

    def _check_blank(self, device: str, disk: Disk, board: Sections) -> None:
        """Raises ChangeRefused unless its beginning is zero and no sign is found anywhere on it."""
        begin = decode(board.get("disk_begin", b"")).strip()
        left = decode(board.get("disk_left", b"?")).strip()
        if _ZERO.fullmatch(begin) and not left:
            return
        hint = "It is not empty. It is never erased; do it by hand if it may go."
        for said, argv in ((begin, _begin_argv(disk.path)), (left, _left_argv(disk.path))):
            if "sudo" in said or "not found" in said:
                hint = f"Its sudoers file needs: {' '.join(argv)}"
        raise ChangeRefused(f"it cannot be told that {disk.name} is blank", where=device, hint=hint)

    def _folders(self, board: Sections, *, fresh: bool) -> list[Step]:
        user = decode(board.get("user", b"")).strip()
        if not _USER.fullmatch(user):
            raise ChangeRefused("the board does not tell who is logged in")
        there = set() if fresh else set(_STAT.findall(decode(board.get("folders", b""))))
        return [
            _folder_step(self._layout, name, user)
            for name in MODES
            if self._layout.folder(name) not in there
        ]


def consent_for(disk: Disk) -> str:
    """What a person types, or declares, to have a blank disk used: `nvme0n1 500 GB`."""
    return f"{disk.name} {disk.size / 1e9:.0f} GB"


def rules_for(disk: str, mount: str, user: str) -> tuple[str, ...]:
    """The sudo rules that this step needs. The UUID of the file system is the disk's own."""
    path = f"/dev/{disk}"
    layout = StorageLayout(mount)
    any_uuid = "-".join("[0-9a-f]" * size for size in (8, 4, 4, 4, 12))
    return (
        " ".join(_signs_argv(path)),
        " ".join(_signs_argv(f"{path}p1")),
        " ".join(_begin_argv(path)),
        " ".join(_left_argv(path)),
        f"{SFDISK} --quiet --wipe never {path}",
        f"{MKFS} -q -L {LABEL} -U {any_uuid} {path}p1",
        f"{MKDIR} -p {mount}",
        f"{TEE} -a {FSTAB_FILE}",
        f"{MOUNT} {mount}",
        *(" ".join(_install_argv(layout, name, user)) for name in MODES),
    )


def _install_argv(layout: StorageLayout, name: str, user: str) -> tuple[str, ...]:
    """Docker's own folder is root's; the others are for whoever logs in."""
    owner = "root" if name == "docker" else user
    return (INSTALL, "-d", "-m", f"{MODES[name]:o}", "-o", owner, layout.folder(name))


def _folder_step(layout: StorageLayout, name: str, user: str) -> Step:
    """One that is there keeps its owner and its mode."""
    argv = _install_argv(layout, name, user)
    line = f"test -d {shlex.quote(layout.folder(name))} || {shlex.join(as_root(*argv))}"
    return Step(f"the folder {name}", ("sh", "-c", line), rule=" ".join(argv))


def _begin_argv(path: str) -> tuple[str, ...]:
    # Long lines: equal ones are told as `*`, and comparing them is most of the work.
    return (OD, "-A", "d", "-t", "x8", "-w256", "-N", str(BLANK_BYTES), path)


def _left_argv(path: str) -> tuple[str, ...]:
    """Every sign of a file system or a partition table, also a spare one at the end. Only reads."""
    return (WIPEFS, "-n", "-p", path)


def _signs_argv(path: str) -> tuple[str, ...]:
    return (BLKID, "-p", "-o", "export", path)


def _root_step(title: str, *argv: str) -> Step:
    return Step(title, as_root(*argv), rule=" ".join(argv))


def _is_mounted(done: Completed) -> Verdict:
    """What is made below it must not lie on the system's own disk."""
    return Verdict(done.exit_status == 0, "" if done.exit_status == 0 else "it is not mounted")


def _is_empty(done: Completed) -> Verdict:
    """The new partition may lie where an old one was, whose table got lost."""
    found = re.search(r"^(?:TYPE|PTTYPE)=(\S{1,32})$", decode(done.stdout), re.MULTILINE)
    if found:
        return Verdict(False, f"there is {found[1]} in it: it is never erased")
    # 2 is blkid's word for nothing.
    well = done.exit_status in (0, 2)
    return Verdict(well, "" if well else output_of(done) or "it does not say what is in it")


def _settled(done: Completed) -> Verdict:
    """A board without udev has nothing to wait for."""
    return Verdict(True)


def _uuid_of(disk: Disk) -> str:
    """The same for the same disk, so that what was cut off is gone on with."""
    return str(uuid.uuid5(_OWN, f"{disk.name} {disk.model} {disk.serial} {disk.size}"))


def _told(part: Part, signs: dict[str, str]) -> Part:
    return replace(
        part, fstype=part.fstype or sanitise(signs.get("TYPE", ""), 32),
        uuid=part.uuid or sanitise(signs.get("UUID", ""), 64),
    )  # fmt: skip


def _signs(board: Sections, name: str) -> dict[str, str]:
    """What `blkid -p -o export` says of a device; empty for one without any sign."""
    lines = decode(board.get(name, b"")).splitlines()
    found = dict(line.split("=", 1) for line in lines[:64] if re.match(r"[A-Z_]{2,32}=", line))
    return {key: value for key, value in found.items() if key != "DEVNAME"}


def _names(storage: Storage) -> str:
    return ", ".join(f"{disk.name} ({disk.kind})" for disk in storage.disks[:8]) or "no disk"
