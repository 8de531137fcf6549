"""How a change ended: in a word, and with what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a change ended, in words."""

    ALREADY = "already so"
    DONE = "done"
    REFUSED = "refused"
    UNREACHED = "not reached"
    REBOOT_NEEDED = "needs a reboot"
    UNCHANGED = "failed, nothing changed"
    UNDONE = "failed, put back as it was"
    FAILED = "failed, not as it was"
    BROKE = "failed"
    """A command that nothing reads back ended badly."""
    UNKNOWN = "not known"
    INTERRUPTED = "interrupted"

    @property
    def is_well(self) -> bool:
        """Whether the device is as somebody wanted it."""
        return self in (Outcome.ALREADY, Outcome.DONE)

    @property
    def changed_nothing(self) -> bool:
        """Whether it did not take place, and the device is as it was before."""
        return self in (
            Outcome.REFUSED, Outcome.UNREACHED, Outcome.REBOOT_NEEDED, Outcome.UNCHANGED,
            Outcome.UNDONE,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a change on one device. `found` is how the device says it is now."""

    device: str
    intent: str
    outcome: Outcome
    words: str = ""
    before: str = ""
    found: str = ""

    def __str__(self) -> str:
        parts = [f"{self.device}: {self.outcome}", self.words]
        if self.found and self.found != self.before:
            parts.append(f"now {self.found}")
        return ": ".join(part for part in parts if part)
