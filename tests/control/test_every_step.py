"""Every fault at every step of every change: the result says exactly how the board is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from cohete.clock import SystemClock
from cohete.control.applying import Control, Outcome, Result
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.errors import CommandError, LinkError
from cohete.fleet.holding import Hold, Kind, Release, Work
from cohete.links.base import Completed
from cohete.links.commands import MARK
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode
from cohete.simulator.board import SimBoard, Workload
from tests.control.support import Bench, bench


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
    """The board's own connection; what goes wrong with one changing command is decided here."""

    bench: Bench
    fault: Fault | None = None
    at: int = -1
    commands: int = 0

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        if any(MARK in word for word in argv):
            return await self.bench.link.run(argv, timeout_s=timeout_s)
        now, self.commands = self.commands, self.commands + 1
        if now != self.at or self.fault is None:
            return await self.bench.link.run(argv, timeout_s=timeout_s)
        match self.fault:
            case Fault.CUT_BEFORE:
                raise LinkError("the connection was lost")
            case Fault.CUT_AFTER:
                await self.bench.link.run(argv, timeout_s=timeout_s)
                raise LinkError("the connection was lost")
            case Fault.REFUSED:
                return Completed(1, b"", b"sudo: a password is required\n")
            case Fault.HANGS:
                raise CommandError("it did not end within its time")
            case Fault.NOTHING:
                return Completed(0, b"", b"")


WORK = (
    Work(Kind.UNIT, "inference"),
    Work(Kind.FROZEN, "training.service"),
    Work(Kind.CONTAINER, "detector"),
    Work(Kind.PROCESS, "llama-server"),
)


def working(board: SimBoard) -> None:
    """A board that is cool, and on which something runs that can be held."""
    board.workload = Workload.IDLE
    board.gpu_used_since_boot = False
    board.services = {"inference.service": True, "training.service": True}
    board.containers = {"detector": "running"}
    board.groups = {812: ("llama-server", False)}


@dataclass(frozen=True)
class Case:
    """A change, what is done before it, and on which board."""

    action: Action
    before: tuple[Action, ...] = ()
    module: str = "orin-nano-8gb"


CASES = {
    "mode": Case(SetMode("15W")),
    "mode, JetPack 4": Case(SetMode("5W"), module="nano"),
    "lock clocks": Case(SetClocks(locked=True)),
    "free clocks": Case(SetClocks(locked=False), (SetClocks(locked=True),)),
    "hold fan": Case(HoldFan(200)),
    "hold fan, JetPack 4": Case(HoldFan(200), module="nano"),
    "hold fan otherwise": Case(HoldFan(90), (HoldFan(200),)),
    "give fan back": Case(AutomaticFan(), (HoldFan(200),)),
    "fan profile": Case(SetFanProfile("cool")),
    "hold work": Case(Hold(WORK)),
    "let work go": Case(Release(), (Hold(WORK),)),
}
CUTS = (Fault.CUT_BEFORE, Fault.CUT_AFTER)


async def faced(case: Case, folder: Path, fault: Fault | None, at: int) -> tuple[Result, str, int]:
    """The result of a change with one fault, how the board says it is then, commands it took."""
    async with bench(case.module, folder) as test:
        working(test.board)
        hurried = Control(Gate(), AuditLog(folder / "state", Hurried()), Hurried())
        for action in case.before:
            assert (await hurried.apply(test.spec, test.link, action)).outcome.is_well
        faulty = Faulty(test, fault, at)
        result = await hurried.apply(test.spec, faulty, case.action)
        truth = (await test.look(case.action)).before
        assert {entry.outcome for entry in test.audit()} >= {result.outcome.value}
        return result, truth, faulty.commands


@pytest.mark.parametrize("name", CASES)
async def test_the_result_says_how_the_board_is(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    result, _, commands = await faced(case, tmp_path / "well", None, -1)
    assert result.outcome is Outcome.DONE, result
    before = result.before
    assert commands
    for at in range(commands):
        for fault in Fault:
            result, truth, _ = await faced(case, tmp_path / f"{at}-{fault.name}", fault, at)
            where = f"{fault} at command {at + 1} of {commands}: {result}"
            # Whatever came of it, what the result says is so is so.
            assert result.found == truth, where
            if result.outcome in (Outcome.UNCHANGED, Outcome.UNDONE, Outcome.REBOOT_NEEDED):
                assert truth == before, where
            elif result.outcome is Outcome.FAILED:
                assert truth != before, where
            else:
                assert result.outcome is Outcome.DONE, where
            if fault in CUTS or fault in (Fault.REFUSED, Fault.HANGS):
                assert result.words or result.outcome is Outcome.DONE, where
