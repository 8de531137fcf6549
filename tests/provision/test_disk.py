"""A disk set up for real: partitioned, formatted, mounted at each start; what it holds is kept."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import MARK
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision.disk import PrepareDisk
from cohete.provision.swap import AddSwapFile
from cohete.provision.undo import undo_of
from tests.cli.test_commands import run_async
from tests.control.faulty import Fault, Faulty, Hurried
from tests.provision.loops import NAME, SIZE, LoopBoard, loop_board

CONSENT = f"{NAME} {SIZE / 1e9:.0f} GB"


@dataclass
class Test:
    """A board, and the one way to change it."""

    __test__ = False

    board: LoopBoard
    control: Control
    link: Runner

    def disk(self, consent: str = CONSENT) -> PrepareDisk:
        return PrepareDisk(NAME, str(self.board.mount), consent)

    def swap(self, size_gb: int = 2) -> AddSwapFile:
        return AddSwapFile(size_gb, str(self.board.mount), NAME)

    async def apply(self, action: Action, runner: Runner | None = None) -> Result:
        return await self.control.apply(self.board.server.spec(), runner or self.link, action)


@asynccontextmanager
async def board(folder: Path) -> AsyncIterator[Test]:
    with loop_board(folder) as found:
        known = folder / "known"
        known.write_text(found.server.known_hosts)
        clock = Hurried()
        connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
        control = Control(Gate(), AuditLog(folder / "state", clock), clock)
        async with ReopeningLink(make_opener(connector, clock), found.server.spec()) as link:
            yield Test(found, control, link)
        await connector.close()


@pytest.mark.claim("SM-02", "SM-03", "PS-10", "SM-05", "SM-06")
async def test_a_blank_disk_is_ready_and_a_second_time_nothing_changes(tmp_path: Path) -> None:
    async with board(tmp_path) as test:
        shown = await test.control.look(test.board.server.spec(), test.link, test.disk())
        assert "gets a new partition table and file system" in " ".join(shown.notes)
        result = await test.apply(test.disk())
        assert result.outcome is Outcome.DONE, result.words
        mounts = test.board.inside("findmnt", "-n", "-o", "FSTYPE,OPTIONS", str(test.board.mount))
        assert mounts.stdout.startswith("ext4")
        assert "noatime" in mounts.stdout
        lines = test.board.fstab.read_text().splitlines()
        assert "" not in lines
        # What stood there is there, and a last line without an end is still its own line.
        assert lines[:2] == ["# the system", "UUID=1111-2222 /nowhere ext4 defaults,noauto 0 0"]
        source, place, kind, options, *_ = lines[2].split()
        assert (place, kind) == (str(test.board.mount), "ext4")
        assert source.startswith("UUID=")
        assert "nofail" in options.split(",")
        assert _below(test.board) == {
            "models": "755", "data": "755", "cache": "755", "docker": "711",
        }  # fmt: skip
        swapped = await test.apply(test.swap())
        assert swapped.outcome is Outcome.DONE, swapped.words
        assert f"{test.board.mount}/swapfile none swap sw,nofail,pri=1 0 0" in (
            test.board.fstab.read_text()
        )
        swaps = test.board.inside("cat", "/proc/swaps").stdout
        assert "swapfile" in swaps
        # The reboot: everything is there again from fstab alone.
        test.board.inside("swapoff", f"{test.board.mount}/swapfile")
        test.board.inside("umount", str(test.board.mount))
        assert test.board.inside("mount", "-a", "-O", "noatime").returncode == 0
        assert test.board.inside("swapon", "-a").returncode == 0
        verified = test.board.inside("findmnt", "--verify", "--tab-file", "/etc/fstab")
        assert "0 parse errors, 0 errors" in verified.stdout + verified.stderr
        before = test.board.fstab.read_bytes()
        assert (await test.apply(test.disk(consent=""))).outcome is Outcome.ALREADY
        assert (await test.apply(test.swap())).outcome is Outcome.ALREADY
        assert test.board.fstab.read_bytes() == before
        for action in (test.swap(), test.disk()):
            undo = undo_of(action)
            assert undo is not None
            result = await test.apply(undo)
            assert result.outcome is Outcome.DONE, result
            assert (await test.apply(undo)).outcome is Outcome.ALREADY
        assert test.board.fstab.read_text().splitlines() == lines[:2]
        assert "swapfile" not in test.board.inside("cat", "/proc/swaps").stdout
        # What is on the disk stays on it, and is used again without anybody's word.
        assert (await test.apply(test.disk(consent=""))).outcome is Outcome.DONE
        assert (await test.apply(test.swap())).outcome is Outcome.DONE
        refused = await test.apply(test.swap(4))
        assert refused.outcome is Outcome.REFUSED
        assert "has 2.0 GB already" in refused.words


def _below(board: LoopBoard) -> dict[str, str]:
    """The modes of the folders."""
    folders = [f"{board.mount}/{name}" for name in FOLDERS]
    said = board.inside("stat", "-c", "%n %a", *folders).stdout
    return {Path(line.split()[0]).name: line.split()[1] for line in said.splitlines()}


FOLDERS = ("models", "data", "cache", "docker")


@pytest.mark.claim("PS-05")
@pytest.mark.parametrize("consent", ["", "yes", "{name}", "{name} 500 GB", "nvme0n1 21 GB"])
async def test_nobody_erases_without_naming_the_disk_and_its_size(
    tmp_path: Path, consent: str
) -> None:
    async with board(tmp_path) as test:
        result = await test.apply(test.disk(consent.format(name=NAME)))
        assert result.outcome is Outcome.REFUSED
        assert f"Whoever owns it says `{CONSENT}`." in result.words
        assert _is_blank(test.board)


@pytest.mark.claim("SM-02", "PS-05")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("mkfs.ext4 -q {loop}", "it is used as it is"),
        ("mkfs.ext4 -q {loop} && dd if=/dev/zero of={loop} bs=1k count=1 seek=1", "is not empty"),
        ("mkswap {loop}", "holds something: {name} swap"),
        ("echo 'label: gpt' | sfdisk -q {loop}", "holds something: gpt"),
        (
            "printf ',1G\\n,1G\\n' | sfdisk -q {loop}; partx -u {loop}",
            "holds something: {name}p1",
        ),
        ("echo 'name=mine' | sfdisk -q -X gpt {loop}; partx -u {loop}", "holds something: gpt"),
        # Partitions whose table was lost: the gap before them is zero, what they hold is not.
        (
            "echo ',1G' | sfdisk -q -X dos {loop}; partx -u {loop}; mkfs.ext4 -q {loop}p1; "
            "partx -d {loop}; dd if=/dev/zero of={loop} bs=512 count=1",
            "It is not empty",
        ),
        (
            "echo ',1G' | sfdisk -q -X gpt {loop}; partx -u {loop}; mkfs.ext4 -q {loop}p1; "
            "partx -d {loop}; dd if=/dev/zero of={loop} bs=1M count=1",
            "It is not empty",
        ),
        # Only the spare table at the end is left.
        (
            "echo 'start=4G' | sfdisk -q -X gpt {loop}; partx -d {loop}; "
            "dd if=/dev/zero of={loop} bs=1M count=1",
            "It is not empty",
        ),
        # A database on the bare disk: no sign that anybody knows.
        ("echo data | dd of={loop} bs=512 seek=100", "It is not empty"),
    ],
)
async def test_what_holds_something_stays_as_it_is(tmp_path: Path, how: str, words: str) -> None:
    async with board(tmp_path) as test:
        script = f"({how.format(loop=test.board.loop)}) 2>&1; sync"
        subprocess.run(["sh", "-c", script], capture_output=True, check=True)
        before = _beginning(test.board)
        result = await test.apply(test.disk())
        if words == "it is used as it is":
            assert result.outcome is Outcome.DONE, result.words
            return
        assert result.outcome is Outcome.REFUSED, result.words
        assert words.format(name=NAME) in result.words
        assert _beginning(test.board) == before


@pytest.mark.claim("SM-02", "PS-01")
@pytest.mark.parametrize("fault", list(Fault))
async def test_what_was_cut_off_is_gone_on_with(tmp_path: Path, fault: Fault) -> None:
    for at in range(12):
        async with board(tmp_path / f"{at}") as test:
            struck = Faulty(test.link, fault, at)
            before = test.board.fstab.read_bytes()
            result = await test.apply(test.disk(), struck)
            if result.outcome is Outcome.UNCHANGED:
                assert _is_blank(test.board)
                assert test.board.fstab.read_bytes() == before
                assert not test.board.mount.exists()
            again = await test.apply(test.disk())
            assert again.outcome.is_well, (at, fault, result.words, again.words)
            text = test.board.fstab.read_text()
            assert text.count(str(test.board.mount)) == 1
            if at >= struck.commands:
                return


@pytest.mark.claim("SM-05")
async def test_swap_that_was_cut_off_is_told_and_gone_on_with(tmp_path: Path) -> None:
    async with board(tmp_path) as test:
        assert (await test.apply(test.disk())).outcome is Outcome.DONE
        fstab, file = test.board.fstab.read_bytes(), test.board.mount / "swapfile"
        for at in range(8):
            struck = Faulty(test.link, Fault.REFUSED, at)
            result = await test.apply(test.swap(1), struck)
            is_there = test.board.inside("test", "-e", str(file)).returncode == 0
            changed = is_there or test.board.fstab.read_bytes() != fstab
            assert (result.outcome is Outcome.UNCHANGED) <= (not changed), (at, result)
            assert (await test.apply(test.swap(1))).outcome.is_well
            if at >= struck.commands:
                return
            test.board.inside("swapoff", str(file))
            test.board.inside("rm", str(file))
            test.board.fstab.write_bytes(fstab)


async def test_folders_of_a_disk_that_was_used_keep_owner_and_mode(tmp_path: Path) -> None:
    async with board(tmp_path) as test:
        assert (await test.apply(test.disk())).outcome is Outcome.DONE
        models, cache = (str(test.board.mount / name) for name in ("models", "cache"))
        for argv in (
            ("chmod", "700", models), ("chown", "12345", models), ("rmdir", cache),
            ("umount", str(test.board.mount)),
        ):  # fmt: skip
            assert test.board.inside(*argv).returncode == 0
        result = await test.apply(test.disk(consent=""))
        assert result.outcome is Outcome.DONE, result.words
        said = test.board.inside("stat", "-c", "%a %u", models, cache).stdout
        assert said.splitlines() == ["700 12345", "755 0"]


def test_another_file_system_that_is_mounted_is_mounted_as_what_it_is() -> None:
    part = {
        "name": "nvme0n1p1", "type": "part", "size": 10**12, "fstype": "xfs", "uuid": "ab-12-cd-34",
        "mountpoint": "/mnt/nvme",
    }  # fmt: skip
    disk = {"name": "nvme0n1", "type": "disk", "size": 10**12, "tran": "nvme", "children": [part]}
    stat = "\n".join(f"755 /mnt/nvme/{name}" for name in FOLDERS)
    said = {
        "lsblk": json.dumps({"blockdevices": [disk]}).encode(), "user": b"nvidia", "fstab": b"",
        "folders": stat.encode(),
    }  # fmt: skip
    change = PrepareDisk().plan("board", said)
    assert change.notes == ("Nothing on it is erased.",)
    assert change.before == "nvme0n1p1, xfs, mounted, not at each start"
    assert "UUID=ab-12-cd-34 /mnt/nvme xfs defaults,noatime,nofail 0 0" in " ".join(change.lines)


@pytest.mark.parametrize("said", ["TYPE=ext4", "DEVNAME=/dev/x\nPTTYPE=dos"])
async def test_what_comes_to_light_in_the_new_partition_stays(tmp_path: Path, said: str) -> None:
    async with board(tmp_path) as test:

        class Surprised:
            async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
                if any("blkid" in word for word in argv) and not any(MARK in w for w in argv):
                    return Completed(0, said.encode(), b"")
                assert not any("mkfs" in word for word in argv)
                return await test.link.run(argv, timeout_s=timeout_s)

        result = await test.apply(test.disk(), Surprised())
        assert result.outcome is Outcome.FAILED
        assert f"there is {said.rpartition('=')[2]} in it: it is never erased" in result.words


@pytest.mark.claim("PS-05", "PS-10", "AI-01")
async def test_from_yaml_only_where_board_disk_and_size_are_named(tmp_path: Path) -> None:
    with loop_board(tmp_path) as found:
        known, path = tmp_path / "known", tmp_path / "cohete.yaml"
        known.write_text(found.server.known_hosts)

        def write(erase: str) -> None:
            path.write_text(
                f"ssh: {{known_hosts: {known}}}\n"
                f"provision: {{nvme: {{disk: {NAME}, mount_point: {found.mount}, swap_size_gb: 1, "
                f"erase: {erase}}}}}\n"
                f"fleet: {{devices: [{{id: board, ip: 127.0.0.1, port: {found.server.port}, "
                f"user: root, identity_file: {found.server.client_key}}}]}}\n"
            )

        more = ("provision", "--config", str(path), "--yes")
        for erase in ("{}", f"{{other: {CONSENT}}}", f"{{board: {NAME} 1 GB}}"):
            write(erase)
            status, out, _ = await run_async(*more)
            assert status == 1
            assert f"Whoever owns it says `{CONSENT}`." in out
            assert "swapfile" not in found.fstab.read_text()
            assert not found.mount.exists()
            assert _is_blank(found)
        write(f"{{board: {CONSENT}}}")
        status, out, err = await run_async(*more)
        assert status == 0, (out, err)
        assert found.inside("findmnt", str(found.mount)).returncode == 0
        assert "swapfile" in found.inside("cat", "/proc/swaps").stdout
        kept = found.fstab.read_bytes()
        status, out, _ = await run_async(*more)
        assert (status, out.count("already so")) == (0, 4)
        assert found.fstab.read_bytes() == kept


async def test_a_place_that_is_taken(tmp_path: Path) -> None:
    async with board(tmp_path) as test:
        test.board.mount.mkdir()
        (test.board.mount / "notes.txt").write_text("mine")
        result = await test.apply(test.disk())
        assert result.outcome is Outcome.REFUSED
        assert "holds 1 files, which the disk would hide" in result.words
        (test.board.mount / "notes.txt").unlink()
        test.board.fstab.write_text(f"/dev/sdz1 {test.board.mount} ext4 defaults 0 0\n")
        result = await test.apply(test.disk())
        assert result.outcome is Outcome.REFUSED
        assert f"/etc/fstab has /dev/sdz1 at {test.board.mount} already" in result.words
        assert _is_blank(test.board)
        assert "no nvme98n1" in (await test.apply(PrepareDisk("nvme98n1"))).words


@pytest.mark.parametrize(
    ("disk", "mount"),
    [("sda", "/mnt/nvme"), ("nvme0n1p1", "/mnt/nvme"), ("nvme0n1; reboot", "/mnt/nvme"),
     ("nvme0n1", "/"), ("nvme0n1", "mnt"), ("nvme0n1", "/mnt/../etc"), ("nvme0n1", "/mnt/a b")],
)  # fmt: skip
def test_names_that_could_mean_something_else(disk: str, mount: str) -> None:
    with pytest.raises(ChangeRefused):
        PrepareDisk(disk, mount)


def _beginning(board: LoopBoard) -> bytes:
    with board.image.open("rb") as file:
        return file.read(2 << 20)


def _is_blank(board: LoopBoard) -> bool:
    return not _beginning(board).strip(b"\0")
