"""Disks, swap, packages and rights of a simulated board: what setting it up runs."""

from __future__ import annotations

import json
import re
import zlib

from cohete.simulator import homes
from cohete.simulator.faults import Fault
from cohete.simulator.files import read_file
from cohete.simulator.shell import Context, Program

NVME_BYTES = 64_023_257_088
ZRAM_UNIT = "cohete-zram.service"
_ZRAM = re.compile(r"echo ([a-z][a-z0-9-]*) > .*swapon -p (-?\d+)")
DISK, PART = "/dev/nvme0n1", "/dev/nvme0n1p1"


async def lsblk(context: Context, argv: list[str]) -> int:
    """`lsblk -J -b`: the NVMe, and the module's own eMMC."""
    if "-J" not in argv:
        context.complain("lsblk: only -J is here")
        return 1
    disk = context.board.disk
    serial = f"S{zlib.crc32(context.board.name.encode()):08X}"
    root = {"type": "part", "size": 15_000_000_000, "fstype": "ext4",
            "uuid": f"{zlib.crc32(serial.encode()):08x}-0000", "mountpoint": "/"}  # fmt: skip
    nvme: dict[str, object] = {
        "name": "nvme0n1", "type": "disk", "size": NVME_BYTES, "tran": "nvme",
        "model": "Simulated SSD", "serial": serial,
    }  # fmt: skip
    emmc: dict[str, object] = {"name": "mmcblk0", "type": "disk", "size": 15_758_000_128}
    if disk.has_system:
        nvme["children"] = [{"name": "nvme0n1p1", **root}]
    else:
        emmc["children"] = [{"name": "mmcblk0p1", **root}]
        if disk.is_partitioned:
            nvme["children"] = [
                {"name": "nvme0n1p1", "type": "part", "size": NVME_BYTES - 1_048_576,
                 "fstype": "ext4" if disk.uuid else None, "uuid": disk.uuid or None,
                 "mountpoint": disk.mount or None}
            ]  # fmt: skip
    boot = {"name": "mmcblk0boot0", "type": "disk", "size": 4_194_304}
    context.say(json.dumps({"blockdevices": [nvme, emmc, boot]}))
    return 0


async def df(context: Context, argv: list[str]) -> int:
    disk = context.board.disk
    used = 100 if context.board.has(Fault.DISK_FULL) else 41
    context.say("Filesystem     1K-blocks     Used Available Use% Mounted on")
    root = PART if disk.has_system else "/dev/mmcblk0p1"
    places = [(root, 61_255_492 if disk.has_system else 14_384_136, used, "/")]
    if disk.mount:
        places.append((PART, NVME_BYTES // 1024, 1, disk.mount))
    for source, total, share, mount in places:
        taken = total * share // 100
        context.say(f"{source}  {total} {taken}  {total - taken}  {share}% {mount}")
    return 0


async def blkid(context: Context, argv: list[str]) -> int:
    disk, path = context.board.disk, argv[-1]
    if not context.root:
        return 2
    if path == DISK and (disk.is_partitioned or disk.has_system):
        context.say(f"DEVNAME={DISK}\nPTTYPE=gpt")
        return 0
    if path == PART and disk.is_partitioned:
        context.say(f"DEVNAME={PART}\nPART_ENTRY_NAME=cohete")
        if disk.uuid:
            context.say(f"TYPE=ext4\nUUID={disk.uuid}")
        return 0
    return 2


async def od(context: Context, argv: list[str]) -> int:
    """Only of a disk that is blank."""
    count = argv[argv.index("-N") + 1]
    if context.board.disk.has_system or context.board.disk.is_partitioned:
        context.say("0000000 eb 63 90 00 00 00 00 00 00 00 00 00 00 00 00 00")
        return 0
    context.say(f"0000000 {' '.join(['0' * 16] * 32)}\n*\n{count}")
    return 0


async def wipefs(context: Context, argv: list[str]) -> int:
    """`wipefs -n -p`: nothing of a disk that is blank."""
    if context.board.disk.has_system or context.board.disk.is_partitioned:
        context.say("# offset,uuid,label,type\n0x200,,,gpt")
    return 0


async def nvme(context: Context, argv: list[str]) -> int:
    """`nvme smart-log -o json`: a disk in its second year."""
    if not context.root:
        context.complain("Permission denied")
        return 1
    hours = 9_000 + int(context.board.clock.monotonic() // 3600)
    context.say(json.dumps({
        "critical_warning": 0, "temperature": 315, "avail_spare": 100, "spare_thresh": 10,
        "percent_used": 3, "data_units_written": 9_100_000, "power_on_hours": hours,
        "unsafe_shutdowns": 21, "media_errors": 0,
    }))  # fmt: skip
    return 0


async def sfdisk(context: Context, argv: list[str]) -> int:
    await context.stdin.read_all()
    context.board.disk.is_partitioned = True
    return 0


async def mkfs(context: Context, argv: list[str]) -> int:
    disk = context.board.disk
    if not disk.is_partitioned:
        context.complain(f"The file {PART} does not exist and no size was specified.")
        return 1
    disk.uuid = argv[argv.index("-U") + 1]
    return 0


async def mount(context: Context, argv: list[str]) -> int:
    disk, place = context.board.disk, argv[-1]
    fstab = (read_file(context.board, "/etc/fstab") or b"").decode()
    if not disk.uuid or f"UUID={disk.uuid} {place} " not in fstab:
        context.complain(f"mount: {place}: can't find in /etc/fstab.")
        return 32
    disk.mount = place
    return 0


async def mountpoint(context: Context, argv: list[str]) -> int:
    return 0 if context.board.disk.mount == argv[-1] else 32


async def mkdir(context: Context, argv: list[str]) -> int:
    mode = argv[argv.index("-m") + 1] if "-m" in argv else "755"
    context.board.disk.modes.setdefault(argv[-1], (mode, 0))
    if "-m" not in argv:
        homes.make_folder(context.board, argv[-1])
    return 0


async def install(context: Context, argv: list[str]) -> int:
    context.board.disk.modes[argv[-1]] = (argv[argv.index("-m") + 1], 0)
    return 0


async def test(context: Context, argv: list[str]) -> int:
    """`test -d`."""
    return 0 if argv[-1] in context.board.disk.modes else 1


async def chmod(context: Context, argv: list[str]) -> int:
    modes = context.board.disk.modes
    modes[argv[-1]] = (argv[-2], modes.get(argv[-1], ("", 0))[1])
    return 0


async def stat(context: Context, argv: list[str]) -> int:
    board, status = context.board, 0
    modes = board.disk.modes
    for path in argv[3:]:
        place = homes.stored(board, path)
        if place is not None:
            context.say(argv[2].replace("%n", path).replace("%s", str(place.stat().st_size)))
            continue
        if path not in modes and path not in board.written:
            context.complain(f"stat: cannot statx '{path}': No such file or directory")
            status = 1
            continue
        mode, size = modes.get(path, ("644", len(board.written.get(path, b""))))
        kind = "regular file" if path in board.written or size else "directory"
        text = argv[2].replace("%a", mode).replace("%n", path).replace("%s", str(size))
        context.say(text.replace("%F", kind))
    return status


async def fallocate(context: Context, argv: list[str]) -> int:
    size = int(argv[argv.index("-l") + 1].rstrip("G")) << 30
    context.board.disk.modes[argv[-1]] = ("644", size)
    return 0


async def swapon(context: Context, argv: list[str]) -> int:
    path = argv[-1]
    kib = context.board.disk.modes[path][1] // 1024
    before = read_file(context.board, "/proc/swaps") or b""
    priority = argv[argv.index("-p") + 1]
    context.board.written["/proc/swaps"] = before + f"{path} file {kib} 0 {priority}\n".encode()
    return 0


async def apt_get(context: Context, argv: list[str]) -> int:
    if context.board.has(Fault.DISK_FULL):
        context.complain("E: You don't have enough free space in /var/cache/apt/archives/.")
        return 100
    for name in argv[argv.index("install") + 1 :]:
        context.board.packages[name] = "1.0-1"
    return 0


async def sysctl(context: Context, argv: list[str]) -> int:
    value = argv[-1].partition("=")[2]
    context.board.written["/proc/sys/vm/swappiness"] = f"{value}\n".encode()
    return 0


async def mv(context: Context, argv: list[str]) -> int:
    written = context.board.written
    if homes.move(context.board, argv[-2], argv[-1]):
        return 0
    if argv[-2] not in written:
        context.complain(f"mv: cannot stat '{argv[-2]}': No such file or directory")
        return 1
    written[argv[-1]] = written.pop(argv[-2])
    return 0


def zram_unit(context: Context, verb: str) -> int:
    """systemctl for the unit that packs swap otherwise."""
    written = context.board.written
    unit = written.get(f"/etc/systemd/system/{ZRAM_UNIT}", b"").decode()
    enabled = f"/etc/systemd/system/multi-user.target.wants/{ZRAM_UNIT}"
    if verb == "is-enabled":
        context.say("enabled" if enabled in written else "disabled")
        return 0 if enabled in written else 1
    said = _ZRAM.search(unit)
    if said is None:
        context.complain(f"Failed to {verb} unit: Unit {ZRAM_UNIT} not found.")
        return 5
    if verb == "enable":
        written[enabled] = b""
    elif verb == "restart":
        context.board.disk.zram_algorithm = said[1]
        swaps = (read_file(context.board, "/proc/swaps") or b"").decode()
        written["/proc/swaps"] = re.sub(
            r"(?m)^(/dev/zram.*) -?\d+$", rf"\g<1> {said[2]}", swaps
        ).encode()
    return 0


async def well(context: Context, argv: list[str]) -> int:
    """What has nothing to say here."""
    return 0


PROVISIONING: dict[str, Program] = {
    "apt-get": apt_get,
    "blkid": blkid,
    "chmod": chmod,
    "df": df,
    "fallocate": fallocate,
    "install": install,
    "lsblk": lsblk,
    "mkdir": mkdir,
    "mkfs.ext4": mkfs,
    "mkswap": well,
    "mount": mount,
    "mountpoint": mountpoint,
    "mv": mv,
    "nvme": nvme,
    "od": od,
    "sfdisk": sfdisk,
    "stat": stat,
    "swapon": swapon,
    "sysctl": sysctl,
    "test": test,
    "udevadm": well,
    "visudo": well,
    "wipefs": wipefs,
}
