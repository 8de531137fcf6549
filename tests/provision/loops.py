"""A disk for tests: a loop device behind OpenSSH's sshd, in a mount namespace of its own.

Real sfdisk, mkfs.ext4, blkid, mount and mkswap work on it. Only its name is another one: lsblk and
df say nvme99n… where they mean the loop device. The machine's own fstab is hidden by an empty one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.openssh import Sshd, openssh

NAME = f"nvme99n{1000 + os.getpid() % 9000}"
"""Another one for each process of a parallel run."""
SIZE = 21_474_836_480
TOOLS = ("losetup", "sfdisk", "partx", "mkfs.ext4", "blkid", "unshare", "nsenter", "mkswap",
         "findmnt")  # fmt: skip
SUDO = """#!/bin/sh
[ "$1" = -n ] && [ "$2" = -- ] || {{ echo "sudo: usage" >&2; exit 1; }}
shift 2
if [ "$1" = /bin/sed ]; then
  # The empty fstab lies over the machine's own: it can be written, and not be replaced.
  kept=$(sed "$3" "$4") && printf '%s\\n' "$kept" > "$4"; exit $?
fi
"$@"; status=$?
# A kernel without its own reader of partition tables is told of them.
[ "$1" != /usr/sbin/sfdisk ] || partx -u {loop} >/dev/null 2>&1
exit $status
"""
LSBLK = """#!/bin/sh
/usr/bin/lsblk "$@" {loop} | sed -e 's/{base}p1/{name}p1/g' -e 's/"{base}"/"{name}"/g' \\
  -e 's/"type": *"loop"/"type":"disk"/' -e 's/"tran": *null/"tran":"nvme"/' \\
  -e 's/"serial": *null/"serial":"TEST1"/'
"""
DF = """#!/bin/sh
/usr/bin/df "$@" | sed -e 's#^{loop}p1 #/dev/{name}p1 #'
"""


@dataclass
class LoopBoard:
    """A board with a disk that is a file."""

    server: Sshd
    loop: str
    image: Path
    fstab: Path
    mount: Path

    def inside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the board's mounts are."""
        assert self.server.process is not None
        return subprocess.run(
            ["nsenter", "-m", "-t", str(self.server.process.pid), *argv],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@contextlib.contextmanager
def loop_board(folder: Path) -> Iterator[LoopBoard]:
    """Skips with the reason where this machine does not allow it."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    image, fstab = folder / "disk.img", folder / "fstab"
    with image.open("wb") as file:
        file.truncate(SIZE)
    fstab.write_text("# the system\nUUID=1111-2222 /nowhere ext4 defaults,noauto 0 0")
    done = subprocess.run(
        ["losetup", "--find", "--partscan", "--show", str(image)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr.strip()}")
    loop = done.stdout.strip()
    links = [Path(f"/dev/{NAME}"), Path(f"/dev/{NAME}p1")]
    try:
        if any(link.exists() or link.is_symlink() for link in links):
            pytest.skip(f"there is a {NAME} on this machine")
        script = f'mount --bind {fstab} /etc/fstab && exec "$@"'
        world = ("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh")
        probe = subprocess.run([*world, "true"], capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            pytest.skip(f"no mount namespace here: {probe.stderr.strip()}")
        links[0].symlink_to(loop)
        links[1].symlink_to(f"{loop}p1")
        with openssh(folder / "board", inside=world) as server:
            words = {"loop": loop, "base": Path(loop).name, "name": NAME}
            for name, text in (("sudo", SUDO), ("lsblk", LSBLK), ("df", DF)):
                program = server.folder / "bin" / name
                program.write_text(text.format(**words))
                program.chmod(0o755)
            board = LoopBoard(server, loop, image, fstab, folder / "mnt")
            try:
                yield board
            finally:
                board.inside("swapoff", str(board.mount / "swapfile"))
                board.inside("umount", str(board.mount))
    finally:
        for link in links:
            if link.is_symlink():
                link.unlink()
        subprocess.run(["losetup", "--detach", loop], check=False)
