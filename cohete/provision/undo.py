"""What setting up has made, taken back where that is possible; data stays.

A step is taken back once looking at it again finds nothing of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from cohete.control.change import Action, Change, Need, Sections, Step, as_root
from cohete.control.services import SYSTEMCTL
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.power.profiles import Profile
from cohete.provision import steps, sudo, zram
from cohete.provision.disk import PrepareDisk
from cohete.provision.docker import MoveDocker, ReturnDocker
from cohete.provision.fstab import FSTAB_FILE
from cohete.provision.leaving import LeaveAddress
from cohete.provision.network import SetAddress
from cohete.provision.steps import InstallKey, InstallPackages, SetCudaEnvironment, SetSwappiness
from cohete.provision.sudo import InstallSudoRules
from cohete.provision.swap import AddSwapFile
from cohete.provision.usb import USB_UNIT, UsbNetwork
from cohete.provision.zram import SetZram
from cohete.storage.disks import look
from cohete.text import decode

KERNELS_OWN = 60
"""The swappiness of a kernel that nobody has told otherwise."""
RM, SED, UMOUNT, SWAPOFF = "/usr/bin/rm", "/bin/sed", "/usr/bin/umount", "/usr/sbin/swapoff"
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class TakeBack:
    """An action undone by these commands; already so where nothing of it is left."""

    action: Action
    is_left: Callable[[Sections], bool]
    """Whether anything of it is still on the board."""
    steps: tuple[Step, ...] | Callable[[str, Sections], tuple[Step, ...]]
    """Or what makes them, from the device's name and what it said."""
    notes: tuple[str, ...] = ()

    @property
    def intent(self) -> str:
        return f"take back: {self.action.intent}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return self.action.probes

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where something of it is left on a board that cannot be judged."""
        is_left = self.is_left(board)
        try:
            now = self.action.plan(device, board).before
        except ChangeRefused as refusal:
            # Without its rules a board tells less: that is how it should be.
            if is_left:
                raise
            now = refusal.what
        if not is_left:
            return Change(device, self.intent, now, now)
        run = self.steps if isinstance(self.steps, tuple) else self.steps(device, board)
        needs = frozenset({Need.ROOT} if any("sudo" in each.argv for each in run) else ())
        return Change(
            device, self.intent, now, "as before it was set up", run, needs=needs,
            notes=self.notes, undo_words="Undone by doing the step again.",
        )  # fmt: skip


def undo_of(action: Action | None) -> Action | None:
    """What takes it back; None where nothing can, or only its owner may."""
    match action:
        case InstallKey():
            return TakeBack(
                action, lambda board: action.blob in _said(board, "keys"),
                (_without_key(action),), ("Whoever logs in with this key only is locked out.",),
            )  # fmt: skip
        case InstallSudoRules():
            return TakeBack(
                action, action.is_left,
                lambda device, board: _without_rules(action, device, board),
                ("From then on Cohete can change nothing that needs root.",),
            )  # fmt: skip
        case SetSwappiness():
            return TakeBack(
                action,
                lambda board: (
                    _said(board, "sysctl_file") == f"vm.swappiness = {action.value}"
                    or _said(board, "swappiness") == str(action.value)
                ),
                (
                    _root("not at a start", RM, "-f", steps.SYSCTL_FILE),
                    _root("the kernel's own", steps.SYSCTL, "-w", f"vm.swappiness={KERNELS_OWN}"),
                ),
            )
        case SetCudaEnvironment():
            return TakeBack(
                action, lambda board: _said(board, "cuda_file").startswith(steps.CUDA_LINES[0]),
                (_root("remove the file", RM, "-f", steps.CUDA_FILE),),
            )  # fmt: skip
        case SetZram():
            return TakeBack(
                action,
                lambda board: (
                    _said(board, "zram_unit").startswith("[Unit]")
                    or _said(board, "zram_starts") == "enabled"
                ),
                (
                    _root("not at a start", zram.SYSTEMCTL, "disable", zram.UNIT),
                    _root("remove its unit", RM, "-f", zram.UNIT_FILE),
                    _root("have it known", zram.SYSTEMCTL, "daemon-reload"),
                ),
                ("NVIDIA's own comes back with the next start.",),
            )
        case AddSwapFile():
            return TakeBack(
                action,
                lambda board: (
                    any(
                        f"{action.path} " in f"{_said(board, name)} " for name in ("swaps", "fstab")
                    )
                    or _said(board, "file")[:1].isdigit()
                ),
                (
                    _root("use it no more", SWAPOFF, action.path, goes_on=True),
                    _without_line(f"^{action.path} none swap "),
                    _root("remove it", RM, "-f", action.path),
                ),
                ("What is swapped out there comes back into memory.",),
            )
        case PrepareDisk():
            return TakeBack(
                action, lambda board: _mounts(board, action.mount),
                (
                    _without_line(f"^UUID=[0-9A-Fa-f-]* {action.mount} "),
                    _root("let go of it", UMOUNT, action.mount),
                ),
                ("What is on the disk stays on it.",),
            )  # fmt: skip
        case UsbNetwork():
            argv = (SYSTEMCTL, "disable", "--now", USB_UNIT)
            return TakeBack(
                action, lambda board: _said(board, "usb_unit") == "enabled",
                (_root("not any more", *argv),),
            )  # fmt: skip
        case MoveDocker():
            return ReturnDocker(action)
        case SetAddress():
            return LeaveAddress(action)
        case _:
            return None


def why_not(action: Action | None) -> str:
    """What whoever wants a step back does where `undo_of` knows nothing."""
    match action:
        case InstallPackages():
            names = " ".join(action.names)
            return f"Which of them were there before is not known: `apt-get remove {names}` there."
        case Profile():
            return "It is the mode the board starts with; P in the dashboard chooses another one."
        case _:
            return "It changes nothing there is to take back."


def _said(board: Sections, name: str) -> str:
    return decode(board.get(name, b"")).strip()


def _mounts(board: Sections, place: str) -> bool:
    storage = look(board)
    return any(line.mount == place for line in storage.fstab) or any(
        place in disk.mounts for disk in storage.disks
    )


def _without_rules(action: InstallSudoRules, device: str, board: Sections) -> tuple[Step, ...]:
    """What somebody else wrote into the file stays."""
    left = action.lines_of_others(device, board)
    return sudo.replaced_by(left) if left else (_root("remove them", RM, "-f", sudo.FILE),)


def _without_key(action: InstallKey) -> Step:
    part = f"{steps.KEYS}.cohete-part"
    # grep says 1 where no other key is left.
    line = (
        f"grep -vF {shlex.quote(action.blob)} {steps.KEYS} > {part}; "
        f'[ "$?" -le 1 ] && chmod 600 {part} && mv -f {part} {steps.KEYS}'
    )
    return Step("remove the key", ("sh", "-c", line))


def _without_line(pattern: str) -> Step:
    escaped = pattern.replace("#", r"\#")
    return _root("not at a start", SED, "-i", rf"\#{escaped}#d", FSTAB_FILE)


def _root(title: str, *argv: str, goes_on: bool = False) -> Step:
    rule = shlex.join(argv)
    return Step(title, as_root(*argv), rule=rule, limit_s=LIMIT_S, goes_on=goes_on)
