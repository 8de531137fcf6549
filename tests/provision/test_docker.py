"""Docker's data moved: every byte there, settings kept, and a Docker that runs on every way out."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.control import attempt
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Change
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision.docker import CP, MoveDocker, _same
from cohete.provision.undo import undo_of
from tests.control.faulty import Fault, Faulty, Hurried
from tests.control.rooted import Rooted, build
from tests.openssh import Sshd, openssh

TO = "/run/nvme/docker"
DOCKER = """#!/bin/sh
root="$STANDIN/root"
[ "$(cat "$root/units/docker.service")" = active ] || {
  echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.'; exit 1; }
at=$(sed -n 's/.*"data-root": "\\([^"]*\\)".*/\\1/p' "$root/etc/docker/daemon.json" 2>/dev/null)
echo "${at:-/var/lib/docker}"
"""
SYSTEMCTL = """#!/bin/sh
units="$STANDIN/root/units"
case $1 in
stop) echo inactive > "$units/$2";;
reset-failed) rm -f "$units/limit";;
start) [ ! -e "$units/limit" ] || { echo 'start request repeated too quickly' >&2; exit 1; }
  [ ! -e "$STANDIN/broken" ] || ! grep -q nvme "$STANDIN/root/etc/docker/daemon.json" || {
    : > "$units/limit"; echo 'Job for docker.service failed.' >&2; exit 1; }
  echo active > "$units/$2";;
esac
"""
"""As with Docker's own unit, one that failed has been started again too often meanwhile."""
DF = """#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo '/dev/nvme0n1p1 400000000 1 399999999 1% /run/nvme'
"""
TIGHT = """#!/bin/sh
size() { du -sk "$STANDIN/root/$1" | cut -f1; }
free=$((10000 + $(size var/lib/docker) + 8 - $(size run/nvme)))
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo "/dev/nvme0n1p1 100000 $((100000 - free)) $free 90% /run/nvme"
echo '/dev/mmcblk0p1 100000 60000 40000 60% /'
"""
"""A disk with room for the data once."""
DEVICE = "character special file"
CONFIG: dict[str, object] = {
    "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}},
    "log-level": "it's",
}


@dataclass
class Board:
    """A board with Docker, and what is in its data."""

    server: Sshd
    root: Path
    control: Control
    runner: Runner

    async def apply(self, runner: Runner | None = None) -> Result:
        return await self.control.apply(self.server.spec(), runner or self.runner, MoveDocker(TO))

    async def undo(self, runner: Runner | None = None) -> Result:
        undo = undo_of(MoveDocker(TO))
        assert undo is not None
        return await self.control.apply(self.server.spec(), runner or self.runner, undo)

    def data(self, path: str) -> dict[str, tuple[int, bytes]]:
        folder = self.root / path.lstrip("/")
        return {
            str(each.relative_to(folder)): (
                each.lstat().st_mode, b"" if each.is_symlink() else each.read_bytes()
            )
            for each in sorted(folder.rglob("*"))
            if each.is_symlink() or each.is_file()
        }  # fmt: skip

    @property
    def runs(self) -> bool:
        return (self.root / "units/docker.service").read_text() == "active\n"

    @property
    def settings(self) -> dict[str, object]:
        text = (self.root / "etc/docker/daemon.json").read_text().replace(str(self.root), "")
        found: dict[str, object] = json.loads(text)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with openssh(tmp_path_factory.mktemp("board")) as running:
        yield running


@asynccontextmanager
async def board(
    server: Sshd, folder: Path, config: dict[str, object] | None = CONFIG
) -> AsyncIterator[Board]:
    folder.mkdir(exist_ok=True)
    root = build(server)
    files = {
        "units/docker.service": "active\n", "units/docker.socket": "active\n",
        "usr/bin/docker": DOCKER, "bin/systemctl": SYSTEMCTL,
        "var/lib/docker/overlay2/l/one": "layer " * 999, "var/lib/docker/image/two": "image",
        "etc/docker/here": "", "run/nvme/docker/.": "",
    }  # fmt: skip
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/."):
            file.write_text(text)
            file.chmod(0o755)
    (root / "run/nvme/docker").mkdir(exist_ok=True)
    (root / "var/lib/docker/overlay2/link").symlink_to("l/one")
    if config is not None:
        (root / "etc/docker/daemon.json").write_text(json.dumps(config))
    (server.folder / "bin" / "df").write_text(DF)
    (server.folder / "bin" / "df").chmod(0o755)
    (server.folder / "broken").unlink(missing_ok=True)
    known = folder / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
    clock = Hurried()
    control = Control(Gate(), AuditLog(folder / "state", clock), clock)
    async with ReopeningLink(make_opener(connector, clock), server.spec()) as link:
        yield Board(server, root, control, Rooted(link, root))
    await connector.close()


@pytest.mark.claim("SM-09")
@pytest.mark.parametrize("config", [CONFIG, None])
async def test_every_byte_is_there_and_the_old_stays(
    server: Sshd, tmp_path: Path, config: dict[str, object] | None
) -> None:
    async with board(server, tmp_path, config) as test:
        before = test.data("/var/lib/docker")
        assert len(before) == 3
        result = await test.apply()
        assert result.outcome is Outcome.DONE, result.words
        assert test.data(TO) == test.data("/var/lib/docker") == before
        # What else stood in its settings stands there.
        assert test.settings == {**(config or {}), "data-root": TO}
        assert test.runs
        if config is not None:
            kept = test.root / "etc/docker/daemon.json.cohete-backup"
            assert json.loads(kept.read_text()) == config
        assert (await test.apply()).outcome is Outcome.ALREADY


@pytest.mark.claim("SM-09")
@pytest.mark.parametrize("config", [CONFIG, None])
async def test_one_that_does_not_start_there_is_started_where_it_was(
    server: Sshd, tmp_path: Path, config: dict[str, object] | None
) -> None:
    async with board(server, tmp_path, config) as test:
        (server.folder / "broken").touch()
        before = test.data("/var/lib/docker")
        result = await test.apply()
        assert result.outcome is Outcome.UNDONE, result
        assert "Job for docker.service failed" in result.words
        assert test.runs
        assert test.data("/var/lib/docker") == before
        if config is not None:
            assert test.settings == config


@pytest.mark.claim("SM-09")
@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_at_every_command(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(attempt, "BACK_WITHIN_S", 0.5)
    for at in range(20):
        async with board(server, tmp_path / f"{at}") as test:
            (server.folder / "bin" / "df").write_text(TIGHT)
            before = test.data("/var/lib/docker")
            struck = Faulty(test.runner, fault, at)
            result = await test.apply(struck)
            assert test.data("/var/lib/docker") == before
            again = await test.apply()
            assert again.outcome.is_well or "holds something" in again.words, (at, result, again)
            assert test.runs, (at, fault, result, again)
            assert test.data("/var/lib/docker") == before
            if at >= struck.commands:
                return


@pytest.mark.claim("SM-09")
@pytest.mark.parametrize("config", [CONFIG, CONFIG | {"data-root": "/var/lib/docker"}, None])
async def test_it_is_taken_back_and_what_is_at_the_new_place_stays(
    server: Sshd, tmp_path: Path, config: dict[str, object] | None
) -> None:
    async with board(server, tmp_path, config) as test:
        before = test.data("/var/lib/docker")
        assert (await test.undo()).outcome is Outcome.ALREADY
        assert (await test.apply()).outcome is Outcome.DONE
        (test.root / TO.lstrip("/") / "since").write_text("pulled since")
        # What its owner has changed since is theirs.
        file = test.root / "etc/docker/daemon.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"debug": True}))
        assert (await test.undo()).outcome is Outcome.DONE
        assert test.runs
        assert test.settings == {**(config or {}), "debug": True}
        assert test.data("/var/lib/docker") == before
        assert test.data(TO).keys() == {*before, "since"}
        assert (await test.undo()).outcome is Outcome.ALREADY
        assert "holds something" in (await test.apply()).words
        # Its owner has it elsewhere, and moves it again: back is there, not where it once was.
        own = test.root / "var/lib/mine"
        (server.folder / "bin/df").write_text(
            f"{DF}echo '/dev/mmcblk0p1 60000000 40000000 20000000 67% /'\n"
        )
        shutil.copytree(test.root / "var/lib/docker", own, symlinks=True)
        file.write_text(json.dumps({"data-root": "/var/lib/mine"}))
        shutil.rmtree(test.root / TO.lstrip("/"))
        assert (await test.apply()).outcome is Outcome.DONE
        assert (await test.undo()).outcome is Outcome.DONE
        assert test.settings == {"data-root": "/var/lib/mine"}


@pytest.mark.claim("SM-09")
@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_at_every_command_of_taking_it_back(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(attempt, "BACK_WITHIN_S", 0.5)
    for at in range(20):
        async with board(server, tmp_path / f"{at}") as test:
            before = test.data("/var/lib/docker")
            assert (await test.apply()).outcome is Outcome.DONE
            struck = Faulty(test.runner, fault, at)
            result = await test.undo(struck)
            again = await test.undo()
            assert again.outcome.is_well, (at, result, again)
            assert test.runs, (at, fault, result, again)
            assert test.settings == CONFIG
            assert test.data("/var/lib/docker") == test.data(TO) == before
            if at >= struck.commands:
                return
    raise AssertionError("it never came to its end")


@pytest.mark.claim("SM-09")
async def test_one_that_does_not_start_where_it_was_stays_at_the_new_place(
    server: Sshd, tmp_path: Path
) -> None:
    async with board(server, tmp_path) as test:
        assert (await test.apply()).outcome is Outcome.DONE
        now = test.settings
        systemctl = test.root / "bin/systemctl"
        systemctl.write_text(SYSTEMCTL.replace("! grep -q nvme", "grep -q nvme"))
        (server.folder / "broken").touch()
        result = await test.undo()
        assert result.outcome is Outcome.UNDONE, result
        assert (test.runs, test.settings) == (True, now)
        # Nothing is stopped for data that is not there any more.
        shutil.rmtree(test.root / "var/lib/docker")
        result = await test.undo()
        assert "nothing of Docker's is left at /var/lib/docker" in result.words, result
        assert test.runs
        (test.root / "var/lib/docker").mkdir()
        result = await test.undo()
        assert "nothing is there any more" in result.words, result
        assert (test.runs, test.settings) == (True, now)
        note = test.root / "etc/docker/daemon.json.cohete-was"
        for text, words in (
            ("{ nonsense", "daemon.json.cohete-was cannot be read as JSON"),
            (f'{{"data-root": "{TO}"}}', "where Docker's data was before is not known"),
        ):
            note.write_text(text)
            assert words in (await test.undo()).words
            assert test.runs


async def test_whoever_goes_away_while_it_is_taken_back_leaves_a_docker_that_runs(
    server: Sshd, tmp_path: Path
) -> None:
    async with board(server, tmp_path) as test:
        assert (await test.apply()).outcome is Outcome.DONE
        stopped = asyncio.Event()

        class Slow:
            async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
                if "reset-failed" in argv:
                    stopped.set()
                    await asyncio.Event().wait()
                return await test.runner.run(argv, timeout_s=timeout_s)

        undoing = asyncio.create_task(test.undo(Slow()))
        await stopped.wait()
        undoing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await undoing
        assert test.runs
        assert (await test.undo()).outcome.is_well
        assert (test.runs, test.settings) == (True, CONFIG)


async def test_whoever_goes_away_while_it_is_copied_leaves_a_docker_that_runs(
    server: Sshd, tmp_path: Path
) -> None:
    async with board(server, tmp_path) as test:
        copying = asyncio.Event()

        class Slow:
            async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
                if CP in argv:
                    copying.set()
                    await asyncio.Event().wait()
                return await test.runner.run(argv, timeout_s=timeout_s)

        applying = asyncio.create_task(test.apply(Slow()))
        await copying.wait()
        assert (test.root / "units/docker.service").read_text() == "inactive\n"
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying
        assert test.runs
        assert (await test.apply()).outcome is Outcome.DONE


def planned(root: str, disk: str = "", **said: str) -> Change:
    sections = {
        "lsblk": json.dumps({"blockdevices": [
            {"name": "nvme0n1", "type": "disk", "size": 10**12, "tran": "nvme", "children": [
                {"name": "nvme0n1p1", "type": "part", "size": 10**12, "fstype": "ext4",
                 "mountpoint": "/mnt/nvme"}]},
            {"name": "mmcblk0", "type": "disk", "size": 64 * 10**9, "children": [
                {"name": "mmcblk0p1", "type": "part", "size": 64 * 10**9, "fstype": "ext4",
                 "mountpoint": "/"}]}]}),
        "df": "/dev/nvme0n1p1 900000000 1 899999999 1% /mnt/nvme\n"
        "/dev/mmcblk0p1 60000000 40000000 20000000 67% /",
        "docker_root": root, "docker_size": "25000000\t/var/lib/docker",
    }  # fmt: skip
    board = {name: text.encode() for name, text in (sections | said).items()}
    return MoveDocker("/mnt/nvme/docker", disk).plan("board", board)


def test_data_on_that_disk_already_stays_where_it_is() -> None:
    assert planned("/mnt/nvme/mine", "nvme0n1").is_done
    assert not planned("/mnt/nvme/mine").is_done
    assert not planned("/var/lib/docker", "nvme0n1").is_done


def test_how_much_there_is_where_nobody_could_count_it() -> None:
    full = "/dev/nvme0n1p1 60000000 20000000 40000000 33% /mnt/nvme\n"
    df = full + "/dev/mmcblk0p1 60000000 40000000 20000000 67% /"
    assert not planned("/var/lib/docker", df=df).is_done
    with pytest.raises(ChangeRefused, match=r"up to 41.0 GB would leave less than a tenth"):
        planned("/var/lib/docker", df=df, docker_size="")
    # A leftover folder in the usual place says nothing of the data.
    with pytest.raises(ChangeRefused, match=r"up to 41.0 GB"):
        planned("/data/docker", df=df, docker_size="12\t/var/lib/docker")
    # What was copied by an earlier try takes its room already.
    assert not planned("/var/lib/docker", df=df, docker_size="", docker_part="9000000\tx").is_done


@pytest.mark.claim("SM-09")
async def test_what_is_in_the_way(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        (test.root / "run/nvme/docker/mine").write_text("x")
        result = await test.apply()
        assert (result.outcome, test.runs) == (Outcome.REFUSED, True)
        assert f"{TO} holds something" in result.words
    async with board(server, tmp_path) as test:
        (test.root / "etc/docker/daemon.json").write_text("{ // mine\n}")
        result = await test.apply()
        assert "cannot be read as JSON, and is left alone" in result.words
    async with board(server, tmp_path) as test:
        (server.folder / "bin" / "df").write_text(DF.replace("399999999", "40000003"))
        result = await test.apply()
        assert "would leave less than a tenth of /run/nvme free" in result.words
        assert test.runs


@pytest.mark.parametrize(
    ("status", "said", "well"),
    [
        (0, "", True), (1, "", False), (1, "Files a/x and b/x differ", False),
        (1, "Only in a: x", False), (2, "diff: a: Permission denied", False), (None, "", False),
        (1, f"File a/x is a {DEVICE} while file b/x is a {DEVICE}", True),
        (1, f"File a/x is a {DEVICE} while file b/x is a regular file", False),
        (1, "File a/x is a socket while file b/x is a socket\nOnly in b: y", False),
    ],
)  # fmt: skip
def test_what_diff_says(status: int | None, said: str, well: bool) -> None:
    assert _same(Completed(status, said.encode(), b"")).ok is well
