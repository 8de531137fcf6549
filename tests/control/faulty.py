"""One fault at one command of a change, whatever carries the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cohete.clock import SystemClock
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.errors import CommandError, LinkError
from cohete.links.base import Completed
from cohete.links.commands import MARK


class Fault(StrEnum):
    """What goes wrong with one command."""

    CUT_BEFORE = "the connection goes before it arrives"
    CUT_AFTER = "the connection goes before its answer"
    REFUSED = "sudo has no rule for it"
    HANGS = "it does not end"
    NOTHING = "it says yes and does nothing"


class Hurried(SystemClock):
    """Nobody waits: what is slept is over at once."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_s

    async def sleep(self, seconds: float) -> None:
        self._skipped_s += seconds
        await asyncio.sleep(0)


@dataclass
class Faulty:
    """A board's own connection; what goes wrong with one changing command is decided here."""

    runner: Runner
    fault: Fault | None = None
    at: int = -1
    commands: int = 0

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        if any(MARK in word for word in argv):
            return await self.runner.run(argv, timeout_s=timeout_s)
        now, self.commands = self.commands, self.commands + 1
        if now != self.at or self.fault is None:
            return await self.runner.run(argv, timeout_s=timeout_s)
        match self.fault:
            case Fault.CUT_BEFORE:
                raise LinkError("the connection was lost")
            case Fault.CUT_AFTER:
                await self.runner.run(argv, timeout_s=timeout_s)
                raise LinkError("the connection was lost")
            case Fault.REFUSED:
                return Completed(1, b"", b"sudo: a password is required\n")
            case Fault.HANGS:
                raise CommandError("it did not end within its time")
            case Fault.NOTHING:
                return Completed(0, b"", b"")


def check(result: Result, truth: str, before: str, where: str) -> None:
    """That the result of a change with a fault says exactly how the board is."""
    where = f"{where}: {result}"
    assert result.found == truth, where
    if result.outcome in (Outcome.UNCHANGED, Outcome.UNDONE, Outcome.REBOOT_NEEDED):
        assert truth == before, where
    elif result.outcome is Outcome.FAILED:
        assert truth != before, where
    else:
        assert result.outcome is Outcome.DONE, where
    if not result.outcome.is_well:
        assert result.words, where
