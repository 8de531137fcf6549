"""Work on a board that is held while the board is too hot, and let go again: that, and only that.

What was held is written on the board first, in a note in the login user's home folder. Whoever
comes next - this Cohete, or another one after this was killed - lets go exactly what the note says.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    by_exit_status,
    fed,
    output_of,
)
from cohete.control.services import SYSTEMCTL, unit_name, unit_step
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Argv, Probe
from cohete.text import decode

NOTE = ".cohete-held"
READ_NOTE = Probe("held", ("cat", NOTE))
DOCKER = "/usr/bin/docker"
MAX_HELD = 32
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}", re.ASCII)
_LINE = re.compile(r"(unit|frozen|container|group) ([A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,127})", re.A)


class Kind(StrEnum):
    """How work is held."""

    UNIT = "unit"
    """A systemd unit, stopped."""
    FROZEN = "frozen"
    """A systemd unit, frozen: it keeps its memory (needs cgroup v2: JetPack 6 and later)."""
    CONTAINER = "container"
    """A container, paused."""
    PROCESS = "process"
    """Every process of a name, with its group, stopped by a signal."""
    GROUP = "group"
    """A process group by its number: how a note names processes."""


_VERBS = {
    Kind.UNIT: ("stop", "start"),
    Kind.FROZEN: ("freeze", "thaw"),
    Kind.CONTAINER: ("pause", "unpause"),
    Kind.GROUP: ("STOP", "CONT"),
}
"""What holds it, and what lets it go."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something that runs on a board. Raises ChangeRefused for a name that is none."""

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        if self.kind in (Kind.UNIT, Kind.FROZEN):
            unit_name(self.name)
        elif self.kind is Kind.GROUP and not (self.name.isdigit() and int(self.name) > 1):
            raise ChangeRefused(f"{self.name[:40]!r} is no process group")
        elif not _NAME.fullmatch(self.name):
            raise ChangeRefused(f"{self.name[:40]!r} is no name of a {self.kind}")

    @property
    def words(self) -> str:
        """How it is called for a person, and in the note."""
        return f"{self.kind} {self.full_name}"

    @property
    def full_name(self) -> str:
        is_unit = self.kind in (Kind.UNIT, Kind.FROZEN)
        return unit_name(self.name) if is_unit else self.name

    @property
    def probe(self) -> Probe:
        """What tells whether it runs."""
        name = self.full_name
        argv: Argv
        if self.kind is Kind.UNIT:
            argv = (SYSTEMCTL, "is-active", name)
        elif self.kind is Kind.FROZEN:
            argv = (SYSTEMCTL, "show", "--property=ActiveState,FreezerState", name)
        elif self.kind is Kind.CONTAINER:
            argv = as_root(DOCKER, "inspect", "--format={{.State.Status}}", name)
        else:
            argv = ("ps", "-o", "pgid=,stat=", "-C", name)
        return Probe(f"{self.kind}-{zlib.crc32(name.encode()):08x}", argv)

    def runs(self, said: str) -> bool:
        """Whether what the probe printed means that it runs and is not held."""
        if self.kind is Kind.UNIT:
            return said.split()[:1] == ["active"]
        if self.kind is Kind.FROZEN:
            return "ActiveState=active" in said and "FreezerState=frozen" not in said
        if self.kind is Kind.CONTAINER:
            return said.split()[:1] == ["running"]
        return bool(self.parts(said))

    def parts(self, said: str) -> tuple[Work, ...]:
        """What there is to hold: the process groups of a name, else the work itself."""
        if self.kind is not Kind.PROCESS:
            return (Work(self.kind, self.full_name),)
        return tuple(
            Work(Kind.GROUP, str(group)) for group, is_stopped in _groups(said) if not is_stopped
        )

    @property
    def hold_step(self) -> Step:
        """What holds it."""
        return self._step(0)

    @property
    def release_step(self) -> Step:
        """What lets it go; what is gone, or goes on already, is well."""
        return replace(self._step(1), judge=_gone_is_well)

    def _step(self, way: int) -> Step:
        verb = _VERBS[self.kind][way]
        if self.kind is Kind.CONTAINER:
            argv = (DOCKER, verb, self.name)
            return Step(f"{verb} {self.name}", as_root(*argv), rule=" ".join(argv))
        if self.kind is Kind.GROUP:
            title = f"send {verb} to process group {self.name}"
            return Step(title, ("kill", f"-{verb}", "--", f"-{self.name}"))
        return unit_step(verb, self.name)


@dataclass(frozen=True, slots=True)
class Hold:
    """This work held, as far as it runs."""

    works: tuple[Work, ...]
    why: str = "it is too hot"

    @property
    def intent(self) -> str:
        return f"hold {', '.join(work.words for work in self.works)}: {self.why}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (*(work.probe for work in self.works), READ_NOTE)

    def plan(self, device: str, board: Sections) -> Change:
        """Nothing runs, nothing is held: then it is done."""
        said = {work: decode(board.get(work.probe.name, b"")) for work in self.works}
        running = [work for work in self.works if work.runs(said[work])]
        before = _state(self.works, said)
        change = Change(device, self.intent, before, "held")
        if not running:
            return change
        held = [part for work in running for part in work.parts(said[work])]
        note = list(dict.fromkeys([*parse_note(board), *held]))
        return Change(
            device, self.intent, before, "held",
            steps=(
                _write_note(note),
                *(work.hold_step for work in held),
            ),
            needs=frozenset({Need.SERVICE_STOP, *_rights(held)}),
            undo=Release(),
            undo_words="Undone by `cohete breaker release`, or by itself once it has cooled.",
            settle_s=5.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Release:
    """Whatever the board's note says was held, let go; and nothing else."""

    @property
    def intent(self) -> str:
        return "let go what was held"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (READ_NOTE,)

    def plan(self, device: str, board: Sections) -> Change:
        """Without a note nothing is left to do."""
        works = parse_note(board)
        if not works:
            return Change(device, self.intent, "nothing is held", "nothing is held")
        steps = [work.release_step for work in works]
        return Change(
            device, self.intent, f"held: {', '.join(work.words for work in works)}",
            "nothing is held",
            steps=(*steps, Step("remove the note", ("rm", "-f", "--", NOTE))),
            needs=_rights(works),
            undo_words="Undone by holding it again.",
        )  # fmt: skip


def parse_note(board: Sections) -> list[Work]:
    """What the note on a board names, in that order. Never raises."""
    found: list[Work] = []
    for line in decode(board.get(READ_NOTE.name, b"")).split(";")[: MAX_HELD + 1]:
        match = _LINE.fullmatch(line.strip())
        with contextlib.suppress(ChangeRefused):
            if match is not None:
                found.append(Work(Kind(match[1]), match[2]))
    return found


def rules_for(works: Iterable[Work]) -> tuple[str, ...]:
    """The sudo rules that holding and letting go need."""
    steps = [
        step
        for work in works
        if work.kind is not Kind.PROCESS
        for step in (work.hold_step, work.release_step)
    ]
    inspect = [
        f"{DOCKER} inspect --format={{{{.State.Status}}}} {work.name}"
        for work in works
        if work.kind is Kind.CONTAINER
    ]
    return tuple(dict.fromkeys([*inspect, *(step.rule for step in steps)]))


def _write_note(works: Sequence[Work]) -> Step:
    text = "; ".join(work.words for work in works[:MAX_HELD])
    return Step("leave a note on the board", fed(text, ("tee", "--", NOTE)))


def _gone_is_well(done: Completed) -> Verdict:
    said = output_of(done).casefold()
    if any(words in said for words in ("no such process", "not paused", "no such container")):
        return Verdict(True)
    return by_exit_status(done)


def _groups(said: str) -> list[tuple[int, bool]]:
    """Process groups in `ps -o pgid=,stat=`, and whether each is stopped."""
    found: dict[int, bool] = {}
    for line in said.splitlines()[:256]:
        words = line.split()
        if len(words) == 2 and words[0].isascii() and words[0].isdigit() and int(words[0]) > 1:
            found[int(words[0])] = found.get(int(words[0]), True) and words[1].startswith("T")
    return list(found.items())


def _state(works: Sequence[Work], said: dict[Work, str]) -> str:
    words = {True: "running", False: "not running"}
    return ", ".join(f"{work.words} {words[work.runs(said[work])]}" for work in works)


def _rights(works: Iterable[Work]) -> frozenset[Need]:
    needs_root = any(work.kind is not Kind.GROUP for work in works)
    return frozenset({Need.ROOT}) if needs_root else frozenset()
