"""A fresh board led to a watched one, step by step: what each step is, and what was skipped.

Every step is looked at before and after, on the board or here; what is so already is passed over.
So it goes on wherever it was left, and a second time nothing is to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cohete.config.spec import DeviceSpec
from cohete.control.change import Action
from cohete.control.sudoers import Feature, chosen, drop_in
from cohete.device.identity import Facts
from cohete.errors import ChangeRefused, CoheteError
from cohete.power.profiles import BUILT_IN
from cohete.power.rights import features
from cohete.provision import disk, docker, steps, swap, zram
from cohete.provision.disk import PrepareDisk
from cohete.provision.docker import MoveDocker
from cohete.provision.here import ConfigFile, SshHost
from cohete.provision.network import SetAddress
from cohete.provision.release import judge
from cohete.provision.sshconfig import HostEntry
from cohete.provision.steps import InstallKey, InstallPackages, SetCudaEnvironment, SetSwappiness
from cohete.provision.sudo import READ_RULE, InstallSudoRules
from cohete.provision.swap import AddSwapFile
from cohete.provision.usb import UsbNetwork, usb_rules
from cohete.provision.zram import SetZram
from cohete.storage import health
from cohete.storage.layout import ROOT

PACKAGES = ("nvtop", "htop", "tmux")
SWAPPINESS = 10
SWAP_GB = 16
RIGHTS = "rights"
FEATURES = (*features(), "storage", "setup")
"""What the sudo rules may be for: what is done from the dashboard, and this setup."""


class Local(Protocol):
    """A step on this computer."""

    def state(self) -> tuple[bool, str]:
        """Whether it is done, and how it is, in words. Blocking. Raises CoheteError."""
        ...

    @property
    def shown(self) -> list[str]:
        """What would be written."""
        ...

    def apply(self) -> str:
        """Do it; what came of it. Blocking. Raises CoheteError."""
        ...

    @property
    def why_kept(self) -> str:
        """Why it is not taken back from here, and what to do; empty where it is."""
        ...

    def take_back(self) -> str:
        """Undo it; what came of it. Blocking. Raises CoheteError where that cannot be."""
        ...


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One thing to do: on the board by `action`, or here by `local`; neither only tells."""

    name: str
    title: str
    about: str
    action: Action | None = None
    local: Local | None = None
    told: str = ""
    """For a step that only tells: what it found, and in `is_well` whether that is well."""
    is_well: bool = True


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person wants of the board, beside the defaults."""

    key_line: str = ""
    ssh_config: Path = field(default_factory=lambda: Path("~/.ssh/config").expanduser())
    config_path: Path = field(default_factory=lambda: Path("cohete.yaml"))
    alias: str = "jetson"
    consent: str = ""
    """What was typed to have the blank disk used; kept nowhere."""
    disk: str = "nvme0n1"
    mount: str = ROOT
    swap_gb: int = SWAP_GB
    packages: tuple[str, ...] = PACKAGES
    swappiness: int = SWAPPINESS
    features: tuple[str, ...] = FEATURES
    """What the sudo rules are for; those not wanted are taken out again."""

    def chosen(self, step: str) -> str:
        """What may be chosen of a step, as text; empty for a step without a choice."""
        return {
            "packages": " ".join(self.packages), "disk": self.disk, "ssh": self.alias,
            "swap": str(self.swap_gb), "swappiness": str(self.swappiness),
            "sudo": " ".join(self.features),
        }.get(step, "")  # fmt: skip

    def with_choices(self, texts: Mapping[str, str]) -> Wishes:
        """Those that can be meant, by name of the step; others were of another time."""
        wishes = self
        for step, text in texts.items():
            with contextlib.suppress(CoheteError):
                wishes = wishes.with_choice(step, text)
        return wishes

    def with_choice(self, step: str, text: str) -> Wishes:
        """Otherwise. Raises ChangeRefused or ConfigError for what cannot be meant."""
        words = text.split()
        if step == "packages":
            return replace(self, packages=InstallPackages(tuple(words)).names)
        if step == "sudo":
            odd = next((word for word in words if word not in FEATURES), None)
            if odd is not None or not words:
                what = f"there is no feature {odd[:40]!r}" if odd else "no feature is named"
                raise ChangeRefused(what, hint=f"There are: {', '.join(FEATURES)}.")
            return replace(self, features=tuple(name for name in FEATURES if name in words))
        if len(words) != 1:
            raise ChangeRefused(f"{text[:40]!r} is not one word")
        (word,) = words
        if step == "disk":
            return replace(self, disk=PrepareDisk(word).disk)
        if step == "ssh":
            return replace(self, alias=HostEntry(word, "host").alias)
        if not word.isascii() or not word.isdigit():
            raise ChangeRefused(f"{word[:40]!r} is no whole number")
        if step == "swap":
            return replace(self, swap_gb=AddSwapFile(int(word[:9])).size_gb)
        if step == "swappiness":
            return replace(self, swappiness=SetSwappiness(int(word[:9])).value)
        raise ChangeRefused(f"there is nothing to choose about {step[:32]!r}")


def setup_steps(spec: DeviceSpec, facts: Facts | None, wishes: Wishes) -> list[SetupStep]:
    """Every step for a board, in order."""
    judged = judge(facts.l4t if facts is not None else None)
    advice = f". {judged.advice}" if judged.advice else ""
    return [
        SetupStep(
            "release", "Jetson Linux", "Which release the board runs, and whether it is set up.",
            told=f"{judged.words}{advice}", is_well=judged.is_supported,
        ),
        SetupStep(
            "key", "Login by key",
            "Your public key among those the board takes, so that it asks for no password.",
            _or_none(lambda: InstallKey(wishes.key_line)),
            told="" if wishes.key_line else "There is no public key here: ssh-keygen -t ed25519",
            is_well=False,
        ),
        SetupStep(
            "ssh", "Name for ssh", "A Host in your own ssh configuration; all else stays.",
            local=SshHost(wishes.ssh_config, spec, wishes.alias),
        ),
        SetupStep(
            "sudo", "Rights",
            "The smallest sudo rules for the features you want, checked by visudo.",
            InstallSudoRules(lambda user: sudo_rules(user, wishes), (RIGHTS, *FEATURES)),
        ),
        SetupStep(
            "packages", "Packages", "Tools for looking at a board, from its own sources.",
            InstallPackages(wishes.packages),
        ),
        SetupStep(
            "disk", "NVMe for models",
            "A blank one is partitioned once you typed its name and size; one that holds something "
            "is never erased.",
            _or_none(lambda: PrepareDisk(wishes.disk, wishes.mount, wishes.consent)),
        ),
        SetupStep(
            "zram", "Swap in memory",
            "Packed by the best algorithm the kernel has, and used before any disk.", SetZram(),
        ),
        SetupStep(
            "swap", "Swap on it", "For models that fit only just; below zram, never on the card.",
            AddSwapFile(wishes.swap_gb, wishes.mount, wishes.disk),
        ),
        SetupStep(
            "docker", "Docker on it",
            "Images and containers: copied, compared byte for byte; the old ones stay until you "
            "remove them.",
            MoveDocker(f"{wishes.mount}/docker", wishes.disk),
        ),
        SetupStep(
            "swappiness", "Swappiness", "Models are read again, not written out.",
            SetSwappiness(wishes.swappiness),
        ),
        SetupStep(
            "cuda", "CUDA variables", "For login shells, where CUDA is installed.",
            SetCudaEnvironment(),
        ),
        SetupStep(
            "power", "Power profile", "balanced: the mode it starts with, clocks and fan its own.",
            BUILT_IN["balanced"],
        ),
        SetupStep(
            "usb", "Address on USB", "192.168.55.1 over USB-C, for when there is no network.",
            UsbNetwork(),
        ),
        SetupStep(
            "address", "Fixed address",
            "The address it has on Ethernet now, for good; it goes back by itself where the board "
            "cannot be reached. Skip it where a server lends it always the same.", SetAddress(),
        ),
        SetupStep(
            "config", "cohete.yaml",
            "The board with a breaker, a memory budget and its power profile. Then the dashboard.",
            local=ConfigFile(wishes.config_path, spec, facts),
        ),
    ]  # fmt: skip


def _or_none(make: _Make) -> Action | None:
    try:
        return make()
    except ChangeRefused:
        return None


class _Make(Protocol):
    def __call__(self) -> Action: ...


def sudo_rules(user: str, wishes: Wishes) -> str:
    """The drop-in for the features wanted. Raises ConfigError for what is no login name."""
    # Without the first nobody could see later what is there.
    read = Feature(RIGHTS, "look at these lines", (READ_RULE,))
    return drop_in(user, [read, *chosen(_features(user, wishes), wishes.features)])


def _features(user: str, wishes: Wishes) -> dict[str, Feature]:
    rules = (
        *steps.rules_for(wishes.packages, wishes.swappiness, cuda=True),
        *disk.rules_for(wishes.disk, wishes.mount, user),
        *zram.rules_for(),
        *swap.rules_for(wishes.swap_gb, wishes.mount),
        *docker.rules_for(f"{wishes.mount}/docker"),
        *usb_rules(),
    )
    every = features()
    every["storage"] = health.feature()
    every["setup"] = Feature("setup", "set the board up", rules)
    return every


def own_key(folder: Path) -> str:
    """The first public key of a person; empty where there is none. Blocking."""
    for path in _keys(folder):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return path.read_text(encoding="utf-8").strip()
    return ""


def _keys(folder: Path) -> Iterable[Path]:
    return (folder / f"id_{kind}.pub" for kind in ("ed25519", "ecdsa", "rsa"))
