"""Files put on a board over OpenSSH's own sshd: whole, checked there, resumed, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.control.applying import Control
from cohete.control.audit import AuditLog, read_audit
from cohete.control.files import PutFile
from cohete.control.gate import Gate
from cohete.control.looking import read
from cohete.control.outcome import Outcome
from cohete.errors import ChangeRefused, LinkError
from cohete.fleet.actions import action_as_dict, action_from
from cohete.links.base import Completed
from cohete.links.commands import look, split_sections
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.simulator.faults import Fault
from tests.control.faulty import Hurried
from tests.control.support import bench
from tests.openssh import Sshd, openssh

SIZE = 5_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with openssh(tmp_path_factory.mktemp("board")) as running:
        yield running


@dataclass
class Cut:
    """A connection that goes in the middle of a copy, once."""

    link: ReopeningLink
    after: int | None = None
    sent: int = 0

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return await self.link.run(argv, timeout_s=timeout_s)

    async def put(self, local: str, remote: str, sent: Callable[[int, int], None]) -> None:
        before: list[int] = []

        def count(done: int, total: int) -> None:
            before.append(done)
            sent(done, total)
            if self.after is not None and done >= self.after:
                self.after = None
                raise LinkError("the connection was lost")

        try:
            await self.link.put(local, remote, count)
        finally:
            self.sent = len(before)


@dataclass
class Board:
    server: Sshd
    control: Control
    runner: Cut
    folder: Path
    state: Path

    async def put(self, action: PutFile) -> str:
        result = await self.control.apply(self.server.spec(), self.runner, action)
        return f"{result.outcome}: {result.words}: {result.found}"


@contextlib.asynccontextmanager
async def board(server: Sshd, tmp_path: Path) -> AsyncIterator[Board]:
    known = tmp_path / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
    clock = Hurried()
    control = Control(Gate(), AuditLog(tmp_path / "state", clock), clock)
    async with ReopeningLink(make_opener(connector, clock), server.spec()) as link:
        yield Board(server, control, Cut(link), tmp_path / "there", tmp_path / "state")
    await connector.close()


def file_of(tmp_path: Path, size: int = SIZE) -> tuple[Path, PutFile]:
    path = tmp_path / "model.gguf"
    path.write_bytes(os.urandom(size))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, PutFile(str(path), digest, size, str(tmp_path / "there"))


async def test_copied_checked_named_and_not_twice(server: Sshd, tmp_path: Path) -> None:
    path, action = file_of(tmp_path)
    async with board(server, tmp_path) as test:
        assert (await test.put(action)).startswith("done: : there, 5000000 bytes")
        there = test.folder / "model.gguf"
        assert there.read_bytes() == path.read_bytes()
        assert sorted(each.name for each in test.folder.iterdir()) == [
            "model.gguf", "model.gguf.sha256",
        ]  # fmt: skip
        assert test.runner.sent == 5
        test.runner.sent = 0
        assert (await test.put(action)).startswith("already so")
        assert test.runner.sent == 0
        (entry,) = read_audit(test.state)
        assert entry.intent == f"copy model.gguf (5.0 MB) to {test.folder}"
        # Another file under this name is replaced, and only once the new one is right.
        path, other = file_of(tmp_path)
        assert (await test.put(other)).startswith("done")
        assert there.read_bytes() == path.read_bytes()


async def test_what_was_cut_off_goes_on_where_it_stopped(server: Sshd, tmp_path: Path) -> None:
    path, action = file_of(tmp_path)
    async with board(server, tmp_path) as test:
        test.runner.after = 3_000_000
        said = await test.put(action)
        assert said.startswith("failed, not as it was: copy: the connection was lost: not there, ")
        assert "of 5000000 bytes copied" in said
        assert not (test.folder / "model.gguf").exists()
        (part,) = test.folder.iterdir()
        have = part.stat().st_size
        assert 2_000_000 < have < SIZE
        assert (await test.put(action)).startswith("done")
        assert test.runner.sent <= -(-(SIZE - have) // (1 << 20))
        assert (test.folder / "model.gguf").read_bytes() == path.read_bytes()


async def test_a_damaged_copy_gets_no_name_and_is_thrown_away(server: Sshd, tmp_path: Path) -> None:
    _, action = file_of(tmp_path)
    async with board(server, tmp_path) as test:
        test.folder.mkdir()
        Path(action.part).write_bytes(os.urandom(SIZE))
        said = await test.put(action)
        assert "check it on the board" in said
        assert "the copy is damaged" in said
        assert list(test.folder.iterdir()) == []
        assert (await test.put(action)).startswith("done")


async def test_without_room_nothing_is_begun(server: Sshd, tmp_path: Path) -> None:
    action = PutFile("/x/model.gguf", "0" * 64, 1 << 49, str(tmp_path / "there"))
    async with board(server, tmp_path) as test:
        said = await test.put(action)
        assert said.startswith("refused")
        assert "to spare are needed" in said
        assert not test.folder.exists()


async def test_room_is_looked_for_where_the_folder_will_be(server: Sshd, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == Path.home().stat().st_dev:
        pytest.skip("there is no second file system here")
    action = PutFile("/x/m.gguf", "0" * 64, 10, f"{other}/cohete-none/models")
    async with board(server, tmp_path) as test:
        done = await test.runner.run(look(action.probes), timeout_s=20)
        assert str(other) in split_sections(done.stdout)["space"].decode()


async def test_a_name_without_its_digest_is_not_taken_for_granted(
    server: Sshd, tmp_path: Path
) -> None:
    path, action = file_of(tmp_path, 4096)
    async with board(server, tmp_path) as test:
        assert (await test.put(action)).startswith("done")
        (test.folder / "model.gguf").write_bytes(os.urandom(4096))
        (test.folder / "model.gguf.sha256").unlink()
        assert (await test.put(action)).startswith("done")
        assert (test.folder / "model.gguf").read_bytes() == path.read_bytes()


async def test_a_copy_that_was_damaged_there_is_made_again(server: Sshd, tmp_path: Path) -> None:
    path, action = file_of(tmp_path, 4096)
    async with board(server, tmp_path) as test:
        assert (await test.put(action)).startswith("done")
        there = test.folder / "model.gguf"
        there.write_bytes(os.urandom(4096))
        plan = action.plan("a", await read(test.server.spec(), test.runner, action))
        assert plan.before.startswith("a damaged copy of it, sha256 ")
        assert (await test.put(action)).startswith("done")
        assert there.read_bytes() == path.read_bytes()
        # What could not be read in time is not said to be right.
        sections = dict(await read(test.server.spec(), test.runner, action))
        plan = action.plan("a", sections | {"digest": b""})
        assert plan.is_done
        assert plan.before.endswith("as noted when it was copied; not read again in time")
        refused = {"digest": b"sha256sum: m.gguf: Permission denied"}
        plan = action.plan("a", sections | refused)
        assert plan.before.endswith("as noted when it was copied; it cannot be read again")


async def test_a_file_that_is_gone_here_is_said(server: Sshd, tmp_path: Path) -> None:
    path, action = file_of(tmp_path)
    async with board(server, tmp_path) as test:
        path.unlink()
        said = await test.put(action)
        assert "No such file" in said
        assert said.startswith("failed")


@pytest.mark.parametrize("folder", ["models", "/mnt/nvme/models", "."])
async def test_a_simulated_board_takes_files_too(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x" * 100)
    async with bench("orin-nano-8gb", tmp_path) as test:
        action = PutFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), 100, folder)
        assert (await test.apply(action)).outcome is Outcome.DONE
        home = test.board.home
        assert home is not None
        there = home / folder.lstrip("/") / "m.gguf"
        assert there.read_bytes() == path.read_bytes()
        assert (await test.apply(action)).outcome is Outcome.ALREADY
        there.write_bytes(b"y" * 100)
        assert (await test.apply(action)).outcome is Outcome.DONE
        assert there.read_bytes() == path.read_bytes()
        (there.parent / Path(action.part).name).write_bytes(b"z" * 100)
        there.unlink()
        result = await test.apply(action)
        assert "the copy is damaged" in result.words
        assert not (there.parent / Path(action.part).name).exists()
    assert not home.exists()


async def test_a_simulated_board_says_what_it_cannot_do_and_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    async with bench("orin-nano-8gb", tmp_path) as test:
        local = tmp_path / "m"
        local.write_bytes(b"x")
        await test.link.run(("mkdir", "-p", "--", "d"), timeout_s=5)
        await test.link.put(str(local), "d/plain", lambda *_: None)
        for argv in (
            ("mv", "-f", "--", "d/plain", "nowhere/x"), ("mkdir", "-p", "--", "d/plain/x"),
            ("stat", "-c", "%s", "n" * 300), ("sh", "-c", "exit abc; echo no"),
        ):  # fmt: skip
            done = await test.link.run(argv, timeout_s=5)
            assert done.exit_status != 0 or argv[0] == "sh", argv
            assert b"no\n" not in done.stdout
        home = test.board.home
        assert home is not None
        (home / "l").symlink_to(secret)
        await test.link.run(("rm", "-f", "--", "l"), timeout_s=5)
        done = await test.link.run(("sha256sum", "--", "l"), timeout_s=5)
        assert done.exit_status == 1
        assert secret.exists()


async def test_a_board_that_takes_no_files_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x" * 100)
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.faults.add(Fault.DISK_FULL)
        action = PutFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), 100)
        result = await test.apply(action)
        assert result.outcome is Outcome.REFUSED, result
        assert "to spare are needed" in result.words


@pytest.mark.parametrize(
    ("local", "folder"),
    [("/a/b;c.gguf", "models"), ("/a/-x.gguf", "models"), ("/a/ü.gguf", "models"),
     ("/a/m.gguf", "../x"), ("/a/m.gguf", "a/../b"), ("/a/m.gguf", "a b"), ("/a/m.gguf", "$HOME"),
     ("/a/m.gguf", ""), ("/a/m.gguf", "-x")],
)  # fmt: skip
def test_names_that_could_mean_something_are_refused(local: str, folder: str) -> None:
    with pytest.raises(ChangeRefused):
        PutFile(local, "0" * 64, 10, folder)


def test_it_has_a_name_in_files() -> None:
    action = PutFile("/a/m.gguf", "0" * 64, 10)
    assert action_from(action_as_dict(action)) == action
    with pytest.raises(ChangeRefused):
        PutFile("/a/m.gguf", "no digest", 10)


@pytest.mark.claim("SM-07")
def test_a_disk_that_would_be_nearly_full_is_warned_of(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x")
    put = PutFile(str(model), "a" * 64, 8 << 30)
    head = b"Filesystem 1024-blocks Used Available Capacity Mounted on\n"

    def notes(free_gib: int) -> tuple[str, ...]:
        row = f"/dev/nvme0n1p1 104857600 1 {free_gib << 20} 1% /\n".encode()
        return put.plan("cam", {"space": head + row}).notes

    assert notes(50) == ("A copy that is cut off goes on where it stopped.",)
    assert notes(15)[1:] == ("Only 7 % of its disk will be free after it.",)
    with pytest.raises(ChangeRefused, match="to spare are needed"):
        notes(8)
