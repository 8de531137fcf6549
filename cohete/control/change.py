"""A change to a device as a value: what it is for, what it runs, what it needs. Pure.

An `Action` is what somebody wants of any device; planned for one device, from what that device
just said, it is a `Change`. Planning again after the commands ran is the read-back: what has
nothing left to do is done. The same makes every change idempotent and lets a rollout go on where
it stopped.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cohete.links.base import Completed
from cohete.links.commands import Argv, Probe, quote
from cohete.text import decode, sanitise

Sections = Mapping[str, bytes]
"""What each probe of a device printed, by its name."""

STEP_LIMIT_S = 30.0
_WORDS_LIMIT = 200


class Need(StrEnum):
    """What a change asks for, in words."""

    ROOT = "root on the board, through sudo"
    REBOOT = "a reboot of the board"
    SERVICE_STOP = "a service to be stopped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a command came to. `words` say why not; `reboot` that it waits for a reboot."""

    ok: bool
    words: str = ""
    reboot: bool = False


Judge = Callable[[Completed], Verdict]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of this machine, its path on the board, its bytes."""

    local: str
    remote: str
    size: int


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a change, exactly as it is run.

    `rule` is the line a sudoers file needs for it. `ends_connection`: losing the board is what is
    expected of it.
    """

    title: str
    argv: Argv
    rule: str = ""
    judge: Judge | None = None
    limit_s: float = STEP_LIMIT_S
    ends_connection: bool = False
    goes_on: bool = False
    """Where it fails, that is told and the next step runs all the same."""
    only_after_ok: bool = False
    """Run only where the step before it went well."""
    anew: bool = False
    """Over a new connection, again until it goes well or `limit_s` is over: proves that the device
    can be reached."""
    upload: Upload | None = None
    """Sent beside the commands; `argv` then only says so."""

    @property
    def line(self) -> str:
        """The command line, quoted for a shell."""
        return quote(self.argv)

    def verdict(self, done: Completed) -> Verdict:
        """What its output and exit status mean."""
        if self.rule and (words := missing_right(done, self.rule)):
            return Verdict(False, words)
        return self.judge(done) if self.judge is not None else by_exit_status(done)


@dataclass(frozen=True, slots=True)
class Change:
    """What an action means on one device, now. Without steps it is already so."""

    device: str
    intent: str
    before: str
    """How it is now, in words that differ where anything differs; empty is unknown."""
    after: str
    steps: tuple[Step, ...] = ()
    reboot_steps: tuple[Step, ...] = ()
    """Run where the steps ask for a reboot and a person has agreed to it."""
    after_reboot: tuple[Step, ...] = ()
    """Run once the board is back: what could not be done before."""
    undrain: tuple[Step, ...] = ()
    """Run after the reboot steps whatever came of them: what was ended for the reboot goes on."""
    if_cut: tuple[Step, ...] = ()
    """Run where whoever asked for it goes away in the middle: what it had stopped goes on."""
    needs: frozenset[Need] = frozenset()
    notes: tuple[str, ...] = ()
    """What it may cost, and what to know before."""
    undo: Action | None = None
    undo_words: str = "It cannot be undone."
    readings: str = ""
    """What else it shows now, in words: what is measured, and so never twice the same."""
    is_blind: bool = False
    """Nothing tells whether it took: the exit status of its commands is all there is."""
    moves_to: str = ""
    """The address where the device is reached afterwards; empty where that stays."""
    patience_s: float = 0.0
    """How long a connection that is lost in the middle is waited for; 0 is the usual."""
    settle_s: float = 0.0
    """How long the board may take until it shows the change."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    @property
    def lines(self) -> tuple[str, ...]:
        """Every command line it may run, in order."""
        every = (
            *self.steps, *self.reboot_steps, *self.after_reboot, *self.undrain, *self.if_cut,
        )  # fmt: skip
        return tuple(step.line for step in every)


class Action(Protocol):
    """What somebody wants, whichever device it is for. A frozen value."""

    @property
    def intent(self) -> str:
        """In words: `set the power mode to 25W`."""
        ...

    @property
    def probes(self) -> tuple[Probe, ...]:
        """What has to be read of a device to plan it; reading changes nothing."""
        ...

    def plan(self, device: str, board: Sections) -> Change:
        """What it takes on this device. Raises ChangeRefused where the device cannot do it."""
        ...


def as_root(*argv: str) -> Argv:
    """The command through sudo, which fails instead of asking for a password."""
    return ("sudo", "-n", "--", *argv)


def fed(text: str, argv: Argv) -> Argv:
    """The command with one line of input. `text` is ours, never a device's."""
    return ("sh", "-c", f"echo {shlex.quote(text)} | {quote(argv)}")


def fed_lines(lines: Sequence[str], argv: Argv) -> Argv:
    """The same with several lines."""
    return ("sh", "-c", f"printf '%s\\n' {shlex.join(lines)} | {quote(argv)}")


def output_of(done: Completed, limit: int = _WORDS_LIMIT) -> str:
    """What a command said, errors first, as one line that is safe to show."""
    text = " ".join((decode(done.stderr) + "\n" + decode(done.stdout)).split())
    return sanitise(text, limit)


def missing_right(done: Completed, rule: str) -> str:
    """Why sudo refused, with the line that is missing; empty where it did not refuse."""
    if done.exit_status == 0:
        return ""
    said = decode(done.stderr) + decode(done.stdout)
    lines = [line for line in said.splitlines() if line.startswith("sudo:")]
    if any("not found" in line for line in lines) or done.exit_status == 127:
        return f"a command is not on this board: {output_of(done)}"
    if any("password is required" in line or "a terminal is required" in line for line in lines):
        return f"sudo wants a password; its sudoers file lacks: {rule}"
    if "is not allowed to execute" in said or "is not in the sudoers file" in said:
        return f"sudo does not allow it; its sudoers file lacks: {rule}"
    return ""


def by_exit_status(done: Completed) -> Verdict:
    """The usual meaning: 0 is well."""
    if done.exit_status == 0:
        return Verdict(True)
    if done.exit_status is None:
        return Verdict(False, "it was ended before it was done")
    return Verdict(False, output_of(done) or f"it ended with status {done.exit_status}")
