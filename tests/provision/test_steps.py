"""Setting up through OpenSSH's own sshd: every step twice, every fault, real logins."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import SystemClock
from cohete.config.schema import Ssh
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action, Sections
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome
from cohete.errors import AuthRefused, ChangeRefused
from cohete.links.base import Completed
from cohete.links.keylogin import why_no_key
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision.steps import (
    CUDA_LINES,
    InstallKey,
    InstallPackages,
    SetCudaEnvironment,
    SetSwappiness,
    apt_argv,
)
from cohete.provision.undo import undo_of
from cohete.provision.zram import SetZram, script, unit_lines
from tests.control.faulty import Fault, Faulty, Hurried, check
from tests.control.rooted import Rooted, build
from tests.openssh import Sshd, openssh

SYSCTL = """#!/bin/sh
[ "$1" = -w ] || exit 1
echo "${2#vm.swappiness=}" > "$STANDIN/root/proc/sys/vm/swappiness"
"""
APT = """#!/bin/sh
echo "$*" >> "$STANDIN/apt"
[ ! -e "$STANDIN/says" ] || { cat "$STANDIN/says" >&2; exit 100; }
while [ "$1" != install ]; do shift; done; shift
for name in "$@"; do echo "$name installed 1.2-3" >> "$STANDIN/packages"; done
"""
DPKG = """#!/bin/sh
shift 2; status=0
for name in "$@"; do
  grep "^$name " "$STANDIN/packages" 2>/dev/null \\
    || { echo "dpkg-query: no packages found matching $name" >&2; status=1; }
done; exit $status
"""
SYSTEMCTL = """#!/bin/sh
root="$STANDIN/root"; unit="$root/etc/systemd/system/$2"
case $1 in
is-enabled) [ ! -e "$unit.on" ] || { echo enabled; exit 0; }; echo disabled; exit 1;;
disable) rm -f "$unit.on";;
enable) [ -e "$unit" ] || { echo "Unit file $2 does not exist." >&2; exit 1; }; : > "$unit.on";;
restart)
  set -- $(sed -n 's/.*echo \\([a-z0-9-]*\\) >.*swapon -p \\([0-9-]*\\) .*/\\1 \\2/p' "$unit")
  sed -i -e 's/[][]//g' -e "s/\\b$1\\( \\|$\\)/[$1]\\1/" "$root/sys/block/zram0/comp_algorithm"
  sed -i "s/ [0-9-]*$/ $2/" "$root/proc/swaps";;
esac
"""
SWAPS = "Filename Type Size Used Priority\n/dev/zram0 partition 3900000 0 5\n"
NVCC = """#!/bin/sh
echo 'nvcc: NVIDIA (R) Cuda compiler driver'
echo 'Cuda compilation tools, release 12.6, V12.6.68'
"""
KEY = asyncssh.generate_private_key("ssh-ed25519", comment="me@laptop")
LINE = KEY.export_public_key().decode().strip()


@dataclass
class Home:
    """Commands begin in the folder that stands for the login user's home."""

    runner: Runner
    home: Path

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        inside = ("sh", "-c", f'cd {self.home} && exec "$@"', "sh", *argv)
        return await self.runner.run(inside, timeout_s=timeout_s)


@dataclass
class Board:
    server: Sshd
    control: Control
    runner: Home
    root: Path

    async def apply(self, action: Action, runner: Runner | None = None) -> Outcome:
        spec = self.server.spec()
        return (await self.control.apply(spec, runner or self.runner, action)).outcome


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with openssh(tmp_path_factory.mktemp("board")) as running:
        yield running


@asynccontextmanager
async def board(server: Sshd, folder: Path) -> AsyncIterator[Board]:
    folder.mkdir(exist_ok=True)
    root = build(server)
    for name, text in (
        ("proc/sys/vm/swappiness", "60\n"), ("usr/sbin/sysctl", SYSCTL),
        ("usr/bin/apt-get", APT), ("usr/local/cuda/bin/nvcc", NVCC),
        ("sys/block/zram0/comp_algorithm", "lzo [lzo-rle] lz4\n"), ("proc/swaps", SWAPS),
        ("bin/systemctl", SYSTEMCTL), ("etc/systemd/system/here", ""),
        ("etc/sysctl.d/here", ""), ("etc/profile.d/here", ""),
        ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n"),
    ):  # fmt: skip
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    dpkg = server.folder / "bin" / "dpkg-query"
    dpkg.write_text(DPKG)
    dpkg.chmod(0o755)
    for name in ("packages", "apt", "says"):
        (server.folder / name).unlink(missing_ok=True)
    known = folder / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
    clock = Hurried()
    control = Control(Gate(), AuditLog(folder / "state", clock), clock)
    async with ReopeningLink(make_opener(connector, clock), server.spec()) as link:
        yield Board(server, control, Home(Rooted(link, root), root), root)
    await connector.close()


STEPS: dict[str, Action] = {
    "key": InstallKey(LINE),
    "packages": InstallPackages(("nvtop", "htop")),
    "swappiness": SetSwappiness(10),
    "cuda": SetCudaEnvironment(),
    "zram": SetZram("", 100),
}


def test_what_cannot_be_taken_back_says_so() -> None:
    assert undo_of(InstallPackages(("htop",))) is None


def _tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.claim("PS-10")
@pytest.mark.parametrize("name", STEPS)
async def test_a_second_time_changes_nothing(server: Sshd, tmp_path: Path, name: str) -> None:
    async with board(server, tmp_path) as test:
        assert await test.apply(STEPS[name]) is Outcome.DONE
        before = _tree(test.root)
        assert await test.apply(STEPS[name]) is Outcome.ALREADY
        assert _tree(test.root) == before


@pytest.mark.claim("PS-01")
@pytest.mark.parametrize("name", STEPS)
async def test_every_fault_at_every_command(server: Sshd, tmp_path: Path, name: str) -> None:
    async with board(server, tmp_path / "well") as test:
        faulty = Faulty(test.runner)
        result = await test.control.apply(server.spec(), faulty, STEPS[name])
        assert result.outcome is Outcome.DONE
    for at in range(faulty.commands):
        for fault in Fault:
            async with board(server, tmp_path / f"{at}-{fault.name}") as test:
                struck = Faulty(test.runner, fault, at)
                found = await test.control.apply(server.spec(), struck, STEPS[name])
                truth = (await test.control.look(server.spec(), test.runner, STEPS[name])).before
                check(found, truth, result.before, f"{fault} at {at}")
                # Whoever goes on where it was cut off gets there.
                assert (await test.apply(STEPS[name])).is_well


@pytest.mark.claim("PS-03")
async def test_the_key_lets_its_owner_in_and_nothing_private_travels(
    server: Sshd, tmp_path: Path
) -> None:
    async with board(server, tmp_path) as test:
        folder = test.root / ".ssh"
        folder.mkdir(mode=0o755)
        keys = folder / "authorized_keys"
        # Somebody's key, and no end of the line.
        other = asyncssh.generate_private_key("ssh-rsa").export_public_key().decode().strip()
        keys.write_text(f'# mine\ncommand="date" {other}')
        keys.chmod(0o644)
        folder.chmod(0o755)
        own = tmp_path / "id_new"
        own.write_bytes(KEY.export_private_key())
        own.chmod(0o600)
        assert await test.apply(InstallKey(LINE)) is Outcome.DONE
        assert keys.read_text() == f'# mine\ncommand="date" {other}\n{LINE}\n'
        assert folder.stat().st_mode & 0o777 == 0o700
        assert keys.stat().st_mode & 0o777 == 0o600
        assert await test.apply(InstallKey(LINE)) is Outcome.ALREADY
        # Another comment is the same key.
        assert await test.apply(InstallKey(LINE.rsplit(" ", 1)[0])) is Outcome.ALREADY
        audit = (tmp_path / "state" / "audit.jsonl").read_text()
        assert "PRIVATE" not in audit
    for private in (
        "-----BEGIN OPENSSH PRIVATE KEY-----\nx",
        "ssh-ed25519 short",
        "",
        "ssh-dss " + "A" * 60,
    ):
        with pytest.raises(ChangeRefused):
            InstallKey(private)


@pytest.mark.claim("PS-03")
async def test_login_with_the_installed_key_alone(tmp_path: Path) -> None:
    """Against sshd as it is set up everywhere: it reads the file only if the modes are right."""
    folder = tmp_path / "board"
    with openssh(folder) as server:
        me = tmp_path / "id_me"
        me.write_bytes(KEY.export_private_key())
        me.chmod(0o600)
        known = tmp_path / "known"
        known.write_text(server.known_hosts)
        connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
        clock = Hurried()
        control = Control(Gate(), AuditLog(tmp_path / "state", clock), clock)
        spec = server.spec()
        new = type(spec)("board", spec.target, identity_file=str(me))
        home = folder / "home"
        home.mkdir()
        # sshd's file of keys is the one in the home.
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh" / "authorized_keys").write_text((folder / "authorized_keys").read_text())
        (folder / "authorized_keys").unlink()
        (folder / "authorized_keys").symlink_to(home / ".ssh" / "authorized_keys")
        async with ReopeningLink(make_opener(connector, clock), new) as link:
            with pytest.raises(AuthRefused):
                await link.run(("true",), timeout_s=10)
        async with ReopeningLink(make_opener(connector, clock), spec) as link:
            result = await control.apply(spec, Home(link, home), InstallKey(LINE))
            assert result.outcome is Outcome.DONE, result
        async with ReopeningLink(make_opener(connector, clock), new) as link:
            assert (await link.run(("echo", "in"), timeout_s=10)).stdout == b"in\n"
        await connector.close()


@pytest.mark.claim("PS-06")
@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("E: Unable to locate package htop", "its sources have no package htop"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt)",
         "another apt has been running for 120 s"),
        ("E: Packages need to be removed but remove is disabled.", "it would remove something"),
        ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "returned an error code"),
    ],
)  # fmt: skip
async def test_why_a_package_is_not_installed(
    server: Sshd, tmp_path: Path, says: str, words: str
) -> None:
    async with board(server, tmp_path) as test:
        (server.folder / "says").write_text(f"{says}\n")
        action = InstallPackages(("htop",))
        result = await test.control.apply(server.spec(), test.runner, action)
        assert result.outcome is Outcome.UNCHANGED
        assert words in result.words


@pytest.mark.claim("PS-06")
async def test_only_what_is_missing_is_installed(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        (server.folder / "packages").write_text("tmux installed 3.2\nhtop config-files 1\n")
        assert await test.apply(InstallPackages(("tmux", "htop"))) is not Outcome.ALREADY
        asked = (server.folder / "apt").read_text()
        assert asked.endswith("--no-remove install htop\n")
        assert "tmux" not in asked
        assert "DPkg::Lock::Timeout=120" in asked
    for bad in ((), ("-y",), ("a b",), ("UPPER",)):
        with pytest.raises(ChangeRefused):
            InstallPackages(bad)


@pytest.mark.claim("PS-06")
def test_a_real_apt_understands_it() -> None:
    if not Path(apt_argv("x")[0]).exists():
        pytest.skip("this machine has no apt-get")
    for package, status in (("coreutils", 0), ("no-such-package-of-anybody", 100)):
        program, *options = apt_argv(package)
        done = subprocess.run(
            [program, "-s", *options], capture_output=True, text=True, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert (status == 0) or f"Unable to locate package {package}" in done.stderr


@pytest.mark.claim("PS-09")
async def test_cuda_variables_only_where_there_is_a_cuda(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        look = test.control.look
        change = await look(server.spec(), test.runner, SetCudaEnvironment())
        assert change.before == "not set, CUDA 12.6"
        assert change.notes == ()
        assert await test.apply(SetCudaEnvironment()) is Outcome.DONE
        text = (test.root / "etc/profile.d/cohete-cuda.sh").read_text()
        written = text.replace(str(test.root), "")
        assert written.splitlines() == list(CUDA_LINES)
        for name in ("CUDA_HOME", "PATH", "LD_LIBRARY_PATH"):
            assert f"export {name}=" in written
        release = test.root / "etc/nv_tegra_release"
        release.write_text("# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref\n")
        (change,) = [await look(server.spec(), test.runner, SetCudaEnvironment())]
        assert change.notes == (
            "L4T 35.4.1 comes with CUDA 11: this one may not work with its driver.",
        )
        (test.root / "usr/local/cuda/bin/nvcc").unlink()
        (test.root / "usr/local/cuda/bin").rmdir()
        with pytest.raises(ChangeRefused, match="there is no CUDA under"):
            await look(server.spec(), test.runner, SetCudaEnvironment())


@pytest.mark.claim("SM-05")
async def test_swappiness_now_and_after_a_start(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        assert await test.apply(SetSwappiness()) is Outcome.DONE
        assert (test.root / "etc/sysctl.d/90-cohete.conf").read_text() == "vm.swappiness = 10\n"
        assert (test.root / "proc/sys/vm/swappiness").read_text() == "10\n"
        # After a start the file made it so: only the value is looked at again.
        (test.root / "proc/sys/vm/swappiness").write_text("60\n")
        change = await test.control.look(server.spec(), test.runner, SetSwappiness())
        assert [step.title for step in change.steps] == ["set it now"]
    with pytest.raises(ChangeRefused):
        SetSwappiness(500)


@pytest.mark.parametrize("name", [name for name in STEPS if undo_of(STEPS[name]) is not None])
@pytest.mark.parametrize("fault", [None, Fault.CUT_AFTER, Fault.REFUSED])
async def test_taken_back_it_is_to_do_again(
    server: Sshd, tmp_path: Path, name: str, fault: Fault | None
) -> None:
    action, undo = STEPS[name], undo_of(STEPS[name])
    assert undo is not None
    for at in range(6):
        async with board(server, tmp_path / f"{at}") as test:
            spec = server.spec()
            before = _tree(test.root)
            assert await test.apply(undo) is Outcome.ALREADY
            assert await test.apply(action) is Outcome.DONE
            struck = Faulty(test.runner, fault, at)
            result = await test.control.apply(spec, struck, undo)
            assert (await test.apply(undo)).is_well, (at, result)
            assert not (await test.control.look(spec, test.runner, action)).is_done
            assert (await test.control.look(spec, test.runner, undo)).is_done
            if name in ("swappiness", "cuda"):
                assert _tree(test.root) == before
            if fault is None or at >= struck.commands:
                return


async def test_other_keys_stay_where_one_is_taken_back(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        keys = test.root / ".ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        keys.write_text(f"# mine\n{other} one\n")
        key, undo = InstallKey(LINE), undo_of(InstallKey(LINE))
        assert undo is not None
        assert await test.apply(key) is Outcome.DONE
        assert await test.apply(undo) is Outcome.DONE
        assert keys.read_text().split("\n\n") == [f"# mine\n{other} one", ""]
        assert keys.stat().st_mode & 0o777 == 0o600


async def test_a_key_that_lies_there_is_tried(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(server.known_hosts)
    connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
    assert await why_no_key(connector, server.spec(), SystemClock()) == ""
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    stranger.chmod(0o600)
    spec = dataclasses.replace(server.spec(), identity_file=str(stranger))
    assert await why_no_key(connector, spec, SystemClock()) != ""


@pytest.mark.claim("SM-05")
async def test_only_an_algorithm_that_the_kernel_has(server: Sshd, tmp_path: Path) -> None:
    async with board(server, tmp_path) as test:
        spec = server.spec()
        change = await test.control.look(spec, test.runner, SetZram())
        assert change.before == "zram0 lzo-rle of priority 5, not kept for the next start"
        assert change.after == "lz4 of priority 100, also after a start"
        with pytest.raises(ChangeRefused, match="has no zstd for zram") as refused:
            await test.control.look(spec, test.runner, SetZram("zstd"))
        assert refused.value.hint == "It has: lz4, lzo-rle, lzo."
        (test.root / "proc/swaps").write_text(SWAPS.replace(" 0 5", " 4000000000 5"))
        with pytest.raises(ChangeRefused, match="are swapped out, and memory for"):
            await test.control.look(spec, test.runner, SetZram())
        (test.root / "proc/swaps").write_text("Filename\n/dev/sda2 partition 9 0 -2\n")
        with pytest.raises(ChangeRefused, match="no swap of this board is zram"):
            await test.control.look(spec, test.runner, SetZram())
    for wrong in (("zlib", 1), ("lz4", 40_000)):
        with pytest.raises(ChangeRefused):
            SetZram(*wrong)


@pytest.mark.claim("SM-05")
def test_what_its_unit_runs_on_a_real_device() -> None:
    control = Path("/sys/class/zram-control/hot_add")
    if os.geteuid() != 0 or not control.exists():
        pytest.skip("zram needs root, and a kernel that has it")
    number = control.read_text().strip()
    folder, device = Path(f"/sys/block/zram{number}"), f"/dev/zram{number}"
    try:
        (folder / "disksize").write_text(str(64 << 20))
        offered = [word.strip("[]") for word in (folder / "comp_algorithm").read_text().split()]
        for argv in (["mkswap", device], ["swapon", "-p", "5", device]):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"no swap on this machine: {done.stderr.strip()}")
        wanted = next(each for each in ("lz4", "lzo") if each in offered)
        line = script(wanted, 77, str(folder))
        subprocess.run(["sh", "-c", line], capture_output=True, check=True)
        assert f"[{wanted}]" in (folder / "comp_algorithm").read_text()
        assert (folder / "disksize").read_text().strip() == str(64 << 20)
        (row,) = [each.split() for each in Path("/proc/swaps").read_text().splitlines()
                  if each.startswith(f"{device} ")]  # fmt: skip
        assert row[-1] == "77"
        # systemd reads the same once its own signs are taken away.
        (start,) = [each for each in unit_lines(wanted, 77) if each.startswith("ExecStart=")]
        run = start.removeprefix("ExecStart=/bin/sh -c ").strip("'").replace("$$", "$")
        assert run == script(wanted, 77)
    finally:
        subprocess.run(["swapoff", device], capture_output=True, check=False)
        (folder / "reset").write_text("1")
        Path("/sys/class/zram-control/hot_remove").write_text(number)


@given(st.dictionaries(
    st.sampled_from(["keys", "modes", "packages", "swappiness", "sysctl_file", "cuda_folder",
                     "nvcc", "cuda_file", "l4t", "zram", "swaps", "zram_unit", "meminfo"]),
    st.binary(max_size=80)))  # fmt: skip
def test_whatever_a_board_says_is_a_change_or_a_refusal(board: Sections) -> None:
    for action in STEPS.values():
        try:
            change = action.plan("cam", board)
        except ChangeRefused:
            continue
        assert change.is_done or change.steps
