"""Steps on a board, each an action like any other: looked at, shown, applied, read back.

Done twice, the second time changes nothing. None of them touches a disk's contents.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from cohete import hardware
from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    by_exit_status,
    fed_lines,
    output_of,
)
from cohete.control.commands import TEE
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Probe
from cohete.text import decode, sanitise

KEYS = ".ssh/authorized_keys"
_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) ([A-Za-z0-9+/]{40,4000}={0,3})(?: ([^\r\n]{0,200}))?",
    re.ASCII,
)
APT = "/usr/bin/apt-get"
APT_LIMIT_S = 1_800.0
LOCK_WAIT_S = 120
"""How long another apt is waited for: a fresh board updates itself for some minutes."""
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)
SYSCTL = "/usr/sbin/sysctl"
SYSCTL_FILE = "/etc/sysctl.d/90-cohete.conf"
CUDA = "/usr/local/cuda"
CUDA_FILE = "/etc/profile.d/cohete-cuda.sh"
CUDA_OF_L4T = {32: 10, 35: 11, 36: 12, 38: 13, 39: 13}
"""Major versions of CUDA that come with each release of Jetson Linux."""


@dataclass(frozen=True, slots=True)
class InstallKey:
    """A public key that lets its owner in without a password. Raises ChangeRefused for others.

    The folder is 0700 and the file 0600, or sshd would not read them; other keys stay as they are.
    """

    line: str

    def __post_init__(self) -> None:
        if _KEY.fullmatch(self.line) is None:
            what = "a private key" if "PRIVATE KEY" in self.line else "no public key"
            raise ChangeRefused(f"this is {what}", hint="Name the file that ends in .pub.")

    @property
    def intent(self) -> str:
        comment = self.line.split(" ", 2)[2:]
        return f"let the key {sanitise(comment[0], 60) if comment else self.blob[-12:]} log in"

    @property
    def blob(self) -> str:
        """The key itself, without its kind and its comment."""
        return self.line.split(" ")[1]

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("keys", ("cat", KEYS)),
            Probe("modes", ("stat", "-c", "%a %n", ".ssh", KEYS)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """What is missing: the key, the modes, or nothing."""
        said = board.get("keys", b"")
        modes = {
            match[2]: match[1]
            for line in decode(board.get("modes", b"")).splitlines()
            if (match := re.fullmatch(r"([0-7]{3,4}) (\S+)", line))
        }
        there = KEYS in modes
        text = decode(said) if there else ""
        has_key = any(self.blob in line.split() for line in text.splitlines())
        steps: list[Step] = []
        if ".ssh" not in modes:
            steps.append(Step("make the folder", ("mkdir", "-p", "-m", "700", ".ssh")))
        elif modes[".ssh"] != "700":
            steps.append(Step("for nobody else", ("chmod", "700", ".ssh")))
        if not has_key:
            # A last line without an end must not become one with ours.
            lines = [*([""] if text and not text.endswith("\n") else []), self.line]
            steps.append(Step("add the key", fed_lines(lines, ("tee", "-a", KEYS))))
        if modes.get(KEYS) != "600":
            steps.append(Step("for nobody else", ("chmod", "600", KEYS)))
        count = sum(bool(line.strip()) for line in text.splitlines())
        before = (
            f"{'among' if has_key else 'not among'} {count} keys, modes "
            f"{modes.get('.ssh', 'none')} and {modes.get(KEYS, 'none')}"
        )
        after = "among the keys, modes 700 and 600"
        return Change(
            device, self.intent, after if not steps else before, after, tuple(steps),
            undo_words=f"Undone by removing its line from ~/{KEYS} there.",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class InstallPackages:
    """Debian packages by name, from the board's own sources and with its pins."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            if not _PACKAGE.fullmatch(name):
                raise ChangeRefused(f"`{name[:60]}` is no name of a package")
        if not self.names:
            raise ChangeRefused("there is no package to install")

    @property
    def intent(self) -> str:
        return f"install {', '.join(self.names)}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        shown = "-f=${Package} ${db:Status-Status} ${Version}\\n"
        return (Probe("packages", ("dpkg-query", "-W", shown, *self.names)),)

    def plan(self, device: str, board: Sections) -> Change:
        """Done where every one is installed."""
        said = decode(board.get("packages", b""))
        found = {
            words[0]: words[2]
            for words in (line.split(" ") for line in said.splitlines())
            if len(words) == 3 and words[1] == "installed"
        }
        missing = tuple(name for name in self.names if name not in found)
        before = ", ".join(
            f"{name} {sanitise(found[name], 48)}" if name in found else f"{name} is missing"
            for name in self.names
        )
        if not missing:
            return Change(device, self.intent, before, before)
        return Change(
            device, self.intent, before, "all installed",
            steps=tuple(
                Step(f"install {name}", as_root(*apt_argv(name)), rule=shlex.join(apt_argv(name)),
                     judge=_judge_apt, limit_s=APT_LIMIT_S)
                for name in missing
            ),
            needs=frozenset({Need.ROOT}),
            notes=("Nothing that is installed is removed, and no configuration file replaced.",),
            undo_words=f"Undone by `apt-get remove {' '.join(missing)}` there.",
        )  # fmt: skip


def apt_argv(name: str) -> tuple[str, ...]:
    """What installs one package: a rule for sudo allows this and nothing else."""
    return (
        APT, "-y", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}",
        "-o", "Dpkg::Options::=--force-confold", "--no-remove", "install", name,
    )  # fmt: skip


def _judge_apt(done: Completed) -> Verdict:
    if done.exit_status == 0:
        return Verdict(True)
    said = output_of(done, 4_000)
    missing = re.search(r"Unable to locate package (\S{1,64})", said)
    if missing:
        return Verdict(
            False, f"its sources have no package {missing[1]}; is `apt-get update` needed there?"
        )
    if "Could not get lock" in said or "is held by process" in said:
        return Verdict(False, f"another apt has been running for {LOCK_WAIT_S} s; try again later")
    if "but --no-remove" in said or "need to be removed" in said or "packages to remove" in said:
        return Verdict(False, "it would remove something that is installed")
    return by_exit_status(done)


@dataclass(frozen=True, slots=True)
class SetSwappiness:
    """How soon the kernel swaps, now and after each start: 10 suits models, which are read anew."""

    value: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 200:
            raise ChangeRefused("swappiness is 0 to 200")

    @property
    def intent(self) -> str:
        return f"set swappiness to {self.value}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("swappiness", ("cat", "/proc/sys/vm/swappiness")),
            Probe("sysctl_file", ("cat", SYSCTL_FILE)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the kernel does not tell."""
        text = decode(board.get("swappiness", b"")).strip()
        if not text.isascii() or not text.isdigit():
            raise ChangeRefused("the kernel does not tell its swappiness", where=device)
        line = f"vm.swappiness = {self.value}"
        kept = decode(board.get("sysctl_file", b"")).strip() == line
        is_now = int(text) == self.value
        after = f"{self.value}, also after a start"
        before = after if is_now and kept else f"{text}{', also after a start' if kept else ''}"
        steps = []
        if not kept:
            step = fed_lines([line], as_root(TEE, SYSCTL_FILE))
            steps.append(Step("keep it after a start", step, rule=f"{TEE} {SYSCTL_FILE}"))
        if not is_now:
            argv = (SYSCTL, "-w", f"vm.swappiness={self.value}")
            steps.append(Step("set it now", as_root(*argv), rule=" ".join(argv)))
        return Change(
            device, self.intent, before, after, tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            undo_words=f"Undone by removing {SYSCTL_FILE} and setting {text} again.",
        )  # fmt: skip


CUDA_LINES = (
    "# CUDA for login shells; written by Cohete.",
    f"export CUDA_HOME={CUDA}",
    'export PATH="$CUDA_HOME/bin${PATH:+:$PATH}"',
    'export LD_LIBRARY_PATH="$CUDA_HOME/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"',
)


@dataclass(frozen=True, slots=True)
class SetCudaEnvironment:
    """CUDA_HOME, PATH and LD_LIBRARY_PATH for login shells; only where there is a CUDA."""

    @property
    def intent(self) -> str:
        return "set the CUDA variables of login shells"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("cuda_folder", ("ls", "-d", f"{CUDA}/bin")),
            Probe("nvcc", ("timeout", "10", f"{CUDA}/bin/nvcc", "--version")),
            Probe("cuda_file", ("cat", CUDA_FILE)),
            Probe("l4t", ("head", "-n", "1", "/etc/nv_tegra_release")),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where no CUDA is installed: no path that is none is exported."""
        if decode(board.get("cuda_folder", b"")).strip() != f"{CUDA}/bin":
            raise ChangeRefused(
                f"there is no CUDA under {CUDA}", where=device,
                hint="Install nvidia-jetpack, or cuda-toolkit, first.",
            )  # fmt: skip
        said = decode(board.get("nvcc", b""))
        version = re.search(r"release (\d{1,2})\.(\d{1,2})", said)
        words = f"CUDA {version[1]}.{version[2]}" if version else "CUDA without nvcc"
        is_set = decode(board.get("cuda_file", b"")).splitlines() == list(CUDA_LINES)
        after = f"set, {words}"
        step = Step("write the variables", fed_lines(list(CUDA_LINES), as_root(TEE, CUDA_FILE)),
                    rule=f"{TEE} {CUDA_FILE}")  # fmt: skip
        return Change(
            device, self.intent, after if is_set else f"not set, {words}", after,
            steps=() if is_set else (step,),
            needs=frozenset() if is_set else frozenset({Need.ROOT}),
            notes=_cuda_notes(decode(board.get("l4t", b"")), version),
            undo_words=f"Undone by removing {CUDA_FILE}.",
        )  # fmt: skip


def _cuda_notes(release: str, version: re.Match[str] | None) -> tuple[str, ...]:
    l4t = hardware.parse_l4t(release, "")
    if version is None:
        return ("There is no nvcc: what is compiled there needs cuda-toolkit.",)
    wanted = CUDA_OF_L4T.get(int(l4t.partition(".")[0])) if l4t else None
    if wanted is not None and wanted != int(version[1]):
        return (f"L4T {l4t} comes with CUDA {wanted}: this one may not work with its driver.",)
    return ()


def rules_for(packages: tuple[str, ...], swappiness: int | None, *, cuda: bool) -> tuple[str, ...]:
    """The sudo rules that these steps need."""
    rules = [shlex.join(apt_argv(name)) for name in packages]
    if swappiness is not None:
        rules += [f"{TEE} {SYSCTL_FILE}", f"{SYSCTL} -w vm.swappiness={swappiness}"]
    return (*rules, f"{TEE} {CUDA_FILE}") if cuda else tuple(rules)
