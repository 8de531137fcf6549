"""Commands whose effect nothing can read back: their exit status is all there is to know."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed
from cohete.control.services import unit_name, unit_step
from cohete.links.commands import Probe

DROP_CACHES = "/proc/sys/vm/drop_caches"
COMPACT = "/proc/sys/vm/compact_memory"
TEE = "/usr/bin/tee"
RELIEF_RULES = (f"{TEE} {DROP_CACHES}", f"{TEE} {COMPACT}")
COMMAND_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command of the user's on the board, as the login user; never through a shell."""

    argv: tuple[str, ...]

    @property
    def intent(self) -> str:
        return f"run {shlex.join(self.argv)[:120]}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return ()

    def plan(self, device: str, board: Sections) -> Change:
        step = Step(self.argv[0], self.argv, limit_s=COMMAND_LIMIT_S)
        return Change(device, self.intent, "", "run", steps=(step,), is_blind=True)


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Caches dropped and memory compacted: nothing is lost but time."""

    @property
    def intent(self) -> str:
        return "drop caches and compact memory"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return ()

    def plan(self, device: str, board: Sections) -> Change:
        steps = tuple(
            Step(title, fed(text, as_root(TEE, path)), rule=f"{TEE} {path}")
            for title, text, path in (
                ("drop caches", "3", DROP_CACHES), ("compact memory", "1", COMPACT),
            )
        )  # fmt: skip
        return Change(
            device, self.intent, "", "done",
            steps=tuple(steps), needs=frozenset({Need.ROOT}), is_blind=True,
            undo_words="There is nothing to undo.",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RestartUnit:
    """A systemd unit ended and begun anew."""

    unit: str

    def __post_init__(self) -> None:
        unit_name(self.unit)

    @property
    def intent(self) -> str:
        return f"restart {unit_name(self.unit)}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return ()

    def plan(self, device: str, board: Sections) -> Change:
        return Change(
            device, self.intent, "", "restarted",
            steps=(unit_step("restart", self.unit),), needs=frozenset({Need.ROOT}), is_blind=True,
            notes=("What it was doing is lost.",),
        )  # fmt: skip
