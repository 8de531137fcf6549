"""Work on a board that is held while the board is too hot, and let go again: that, and only that.

What is held is written on the board first, a line each with who holds it, in a note in the login
user's home folder. Whoever comes next - this Cohete, or another one after this was killed - lets go
exactly what the note says. Work that two hold goes on once the second has let go.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

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
from cohete.control.services import SYSTEMCTL, unit_name, unit_step
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Argv, Probe
from cohete.text import decode, sanitise

NOTE = ".cohete-held"
READ_NOTE = Probe("held", ("cat", NOTE))
DOCKER = "/usr/bin/docker"
KILL = "/bin/kill"
"""Not the shell's own, which may not know groups."""
MAX_HELD = 256
BREAKER = "breaker"
HELD_LANE = "held"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}", re.ASCII)
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,79}", re.ASCII)
_LINE = re.compile(
    r"(unit|frozen|container|group) ([A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}) "
    r"([A-Za-z0-9_][A-Za-z0-9_.:-]{0,79})",
    re.ASCII,
)
_PS = re.compile(r"\s*(\d{1,10})\s+([A-Za-z][A-Za-z<+]*)\s*", re.ASCII)


class Kind(StrEnum):
    """How work is held, the quickest first."""

    PROCESS = "process"
    """Every process of a name, with its group, stopped by a signal."""
    GROUP = "group"
    """A process group by its number: how a note names processes."""
    FROZEN = "frozen"
    """A systemd unit, frozen: it keeps its memory (needs cgroup v2: JetPack 6 and later)."""
    CONTAINER = "container"
    """A container, paused."""
    UNIT = "unit"
    """A systemd unit, stopped."""


_ORDER = list(Kind)
_VERBS = {
    Kind.UNIT: ("stop", "start"),
    Kind.FROZEN: ("freeze", "thaw"),
    Kind.CONTAINER: ("pause", "unpause"),
    Kind.GROUP: ("STOP", "CONT"),
}
"""What holds it, and what lets it go."""

_RUNS = frozenset({"active", "activating", "reloading", "running", "restarting"})
_RUNS_NOT = frozenset(
    {"inactive", "failed", "unknown", "deactivating", "exited", "created", "paused", "dead",
     "removing"}
)  # fmt: skip
_GONE = ("no such process", "not paused", "no such container", "no such object", "not found",
         "not loaded", "could not be found", "masked")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """Something that runs on a board. Raises ChangeRefused for a name that is none."""

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        if self.kind is Kind.GROUP:
            fits = self.name.isascii() and self.name.isdigit() and 1 < int(self.name[:11]) < 2**31
        else:
            fits = _NAME.fullmatch(self.name) is not None
        if not fits:
            raise ChangeRefused(f"{self.name[:40]!r} is no name of a {self.kind}")

    @property
    def full_name(self) -> str:
        """The name as the board knows it."""
        is_unit = self.kind in (Kind.UNIT, Kind.FROZEN)
        return unit_name(self.name) if is_unit else self.name

    @property
    def words(self) -> str:
        """How it is called for a person, and in the note."""
        return f"{self.kind} {self.full_name}"

    @property
    def probe(self) -> Probe:
        """What tells whether it runs."""
        name = self.full_name
        argv: Argv
        if self.kind is Kind.UNIT:
            argv = ("timeout", "5", SYSTEMCTL, "is-active", name)
        elif self.kind is Kind.FROZEN:
            argv = ("timeout", "5", SYSTEMCTL, "show", "--property=ActiveState,FreezerState", name)
        elif self.kind is Kind.CONTAINER:
            argv = ("timeout", "5", *as_root(DOCKER, "inspect", "--format={{.State.Status}}", name))
        else:
            argv = ("ps", "-o", "pgid=,stat=", "-C", name)
        return Probe(f"{self.kind}-{zlib.crc32(name.encode()):08x}", argv)

    def runs(self, said: str) -> bool | None:
        """Whether it runs and is not held; None where what the probe printed does not say."""
        if self.kind is Kind.PROCESS:
            lines = [line for line in said.splitlines()[:MAX_HELD] if line.strip()]
            if any(_PS.fullmatch(line) is None for line in lines):
                return None
            return any(not is_stopped for _, is_stopped in _groups(said))
        if self.kind is Kind.FROZEN:
            fields = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
            if "ActiveState" not in fields:
                return None
            frozen = fields.get("FreezerState") == "frozen"
            return fields["ActiveState"] in _RUNS and not frozen
        if self.kind is Kind.CONTAINER and any(words in said.casefold() for words in _GONE):
            return False
        word = said.split()[0] if said.split() else ""
        if word in _RUNS:
            return True
        return False if word in _RUNS_NOT else None

    def parts(self, said: str) -> tuple[Work, ...]:
        """What there is to hold: the process groups of a name, else the work itself."""
        if self.kind is not Kind.PROCESS:
            return (Work(self.kind, self.full_name),)
        return tuple(
            Work(Kind.GROUP, str(group)) for group, is_stopped in _groups(said) if not is_stopped
        )

    @property
    def hold_step(self) -> Step:
        """What holds it; where it fails, the other work is held all the same."""
        return replace(self._step(0), goes_on=True)

    @property
    def release_step(self) -> Step:
        """What lets it go; what is gone, or goes on already, is well."""
        return replace(self._step(1), judge=_gone_is_well, goes_on=True)

    def _step(self, way: int) -> Step:
        verb = _VERBS[self.kind][way]
        if self.kind is Kind.CONTAINER:
            argv = (DOCKER, verb, self.name)
            return Step(f"{verb} {self.name}", as_root(*argv), rule=" ".join(argv))
        if self.kind is Kind.GROUP:
            title = f"send {verb} to process group {self.name}"
            return Step(title, (KILL, f"-{verb}", "--", f"-{self.name}"))
        # Freezing is quick and has no such option; a stop may take a minute, a start longer.
        return unit_step(verb, self.name, waits=self.kind is Kind.FROZEN)


@dataclass(frozen=True, slots=True)
class Held:
    """A line of the note: some work, and who holds it."""

    work: Work
    owner: str

    @property
    def line(self) -> str:
        """As it stands in the note."""
        return f"{self.work.words} {self.owner}"

    @property
    def remove_step(self) -> Step:
        """Take this line, and no other, out of the note; only once its work was let go."""
        pattern = self.line.replace(".", "[.]")
        argv = ("sed", "-i", f"/^{pattern}$/d", NOTE)
        return Step(f"note that {self.work.words} was let go", argv, goes_on=True,
                    only_after_ok=True)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hold:
    """This work held by `owner`, as far as it runs."""

    LANE: ClassVar[str] = HELD_LANE

    works: tuple[Work, ...]
    why: str = "it is too hot"
    owner: str = BREAKER

    def __post_init__(self) -> None:
        _check_owner(self.owner)

    @property
    def intent(self) -> str:
        return f"hold {', '.join(work.words for work in self.works)}: {self.why}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (*(work.probe for work in self.works), READ_NOTE)

    def plan(self, device: str, board: Sections) -> Change:
        """Done where nothing of it runs. Raises ChangeRefused where nothing can be told of any."""
        said = {work: decode(board.get(work.probe.name, b"")) for work in self.works}
        runs = {work: work.runs(said[work]) for work in self.works}
        before = _state(runs)
        unknown = [work for work in self.works if runs[work] is None]
        noted = parse_note(board)
        mine = {held.work for held in noted if held.owner == self.owner}
        theirs = {held.work for held in noted if held.owner != self.owner}
        parts = [part for work in self.works if runs[work] for part in work.parts(said[work])]
        parts.sort(key=lambda part: _ORDER.index(part.kind))
        room = max(0, MAX_HELD - len(noted))
        # Held by another already: it goes on once both have let go.
        shared = [
            part
            for work in self.works
            if runs[work] is False and work.kind is not Kind.PROCESS
            for part in work.parts("")
            if part in theirs and part not in mine
        ]
        new = parts[:room]
        if not new and not shared and not unknown:
            return Change(device, self.intent, before, "held")
        if not new and not shared:
            text = sanitise(" ".join(said[unknown[0]].split()), 120) or "nothing"
            raise ChangeRefused(
                f"it cannot be told whether {unknown[0].words} runs: {text}", where=device
            )
        noting = [Held(part, self.owner).line for part in (*new, *shared) if part not in mine]
        return Change(
            device, self.intent, before, "held",
            steps=(
                *((_write_note(noting),) if noting else ()),
                *(part.hold_step for part in new),
                *(_cannot_tell(work, said[work]) for work in unknown),
            ),
            needs=frozenset({Need.SERVICE_STOP, *_rights(new)}),
            undo_words="Undone by `cohete breaker release`, or by itself once it has cooled.",
            settle_s=5.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Release:
    """Whatever the board's note says `owner` holds, let go; without one, all of it but what is
    `spared`."""

    LANE: ClassVar[str] = HELD_LANE

    owner: str = ""
    spared: tuple[str, ...] = ()
    """Owners of what stays held."""

    def __post_init__(self) -> None:
        if self.owner:
            _check_owner(self.owner)

    @property
    def intent(self) -> str:
        return "let go what was held"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (READ_NOTE,)

    def plan(self, device: str, board: Sections) -> Change:
        """Without a line of its own in the note nothing is left to do."""
        noted = parse_note(board)
        mine = [
            held
            for held in noted
            if self.owner in ("", held.owner) and held.owner not in self.spared
        ]
        if not mine:
            return Change(device, self.intent, "nothing is held", "nothing is held")
        theirs = {held.work for held in noted if held not in mine}
        steps: list[Step] = []
        for held in mine:
            if held.work in theirs:
                steps.append(replace(held.remove_step, only_after_ok=False))
            else:
                steps += [held.work.release_step, held.remove_step]
        steps.append(
            Step("remove the empty note", ("find", NOTE, "-empty", "-delete"), goes_on=True)
        )
        words = ", ".join(dict.fromkeys(held.work.words for held in mine))
        return Change(
            device, self.intent, f"held: {words}", "nothing is held",
            steps=tuple(steps),
            needs=_rights(held.work for held in mine),
            undo_words="Undone by holding it again.",
        )  # fmt: skip


def parse_note(board: Sections) -> list[Held]:
    """What the note on a board names, in that order. Never raises."""
    found: list[Held] = []
    for line in decode(board.get(READ_NOTE.name, b"")).split("\n")[:MAX_HELD]:
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            with contextlib.suppress(ChangeRefused):
                found.append(Held(Work(Kind(match[1]), match[2]), match[3]))
    return list(dict.fromkeys(found))


def rules_for(works: Iterable[Work]) -> tuple[str, ...]:
    """The sudo rules that holding and letting go need."""
    kept = [work for work in works if work.kind is not Kind.PROCESS]
    inspect = [
        f"{DOCKER} inspect --format={{{{.State.Status}}}} {work.name}"
        for work in kept
        if work.kind is Kind.CONTAINER
    ]
    steps = [step for work in kept for step in (work.hold_step, work.release_step)]
    return tuple(dict.fromkeys([*inspect, *(step.rule for step in steps)]))


def _check_owner(owner: str) -> None:
    if not _OWNER.fullmatch(owner):
        raise ChangeRefused(f"{owner[:40]!r} is no name of an owner")


def _write_note(lines: list[str]) -> Step:
    # A board that takes no note, on a full disk, is as hot as any other: work is held all the same.
    argv = fed_lines(lines, ("tee", "-a", "--", NOTE))
    return Step("leave a note on the board", argv, goes_on=True)


def _cannot_tell(work: Work, said: str) -> Step:
    """Looks again, and fails with what the board says: then it is no success."""
    text = sanitise(" ".join(said.split()), 120) or "nothing"
    words = f"it cannot be told whether it runs: {text}"
    return Step(f"look at {work.words}", work.probe.argv, judge=lambda _: Verdict(False, words),
                goes_on=True)  # fmt: skip


def _gone_is_well(done: Completed) -> Verdict:
    said = output_of(done).casefold()
    if any(words in said for words in _GONE):
        return Verdict(True)
    return by_exit_status(done)


def _groups(said: str) -> list[tuple[int, bool]]:
    """Process groups in `ps -o pgid=,stat=`, and whether all of each is stopped; no zombies."""
    found: dict[int, bool] = {}
    for line in said.splitlines()[:4096]:
        match = _PS.fullmatch(line)
        if match is not None and int(match[1]) > 1 and not match[2].startswith("Z"):
            group = int(match[1])
            found[group] = found.get(group, True) and match[2].startswith("T")
    return list(found.items())


def _state(runs: Mapping[Work, bool | None]) -> str:
    words = {True: "running", False: "not running", None: "not known"}
    return ", ".join(f"{work.words} {words[state]}" for work, state in runs.items())


def _rights(works: Iterable[Work]) -> frozenset[Need]:
    needs_root = any(work.kind is not Kind.GROUP for work in works)
    return frozenset({Need.ROOT}) if needs_root else frozenset()
