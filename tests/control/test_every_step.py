"""Every fault at every step of every change: the result says exactly how the board is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome, Result
from cohete.fleet.holding import Hold, Kind, Release, Work
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode
from cohete.power.profiles import BUILT_IN
from cohete.simulator import server
from cohete.simulator.board import SimBoard
from cohete.simulator.workload import Workload
from tests.control.faulty import Fault, Faulty, Hurried, check
from tests.control.support import bench

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
    reboot: bool = False
    """Where the board asks for one, it is agreed to."""


CASES = {
    "mode": Case(SetMode("15W")),
    "mode, JetPack 4": Case(SetMode("5W"), module="nano"),
    "mode with a reboot": Case(
        SetMode("MODE_15W", ("inference",)), module="agx-orin-64gb", reboot=True
    ),
    "profile": Case(BUILT_IN["power_saver"], (SetClocks(locked=True), HoldFan(200))),
    "profile with a reboot": Case(
        replace(BUILT_IN["power_saver"], drain=("inference",)), module="agx-orin-64gb", reboot=True
    ),
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


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BOOT_S", 0.05)


async def faced(case: Case, folder: Path, fault: Fault | None, at: int) -> tuple[Result, str, int]:
    """The result of a change with one fault, how the board says it is then, commands it took."""
    async with bench(case.module, folder) as test:
        working(test.board)
        test.board.gpu_used_since_boot = case.reboot
        hurried = Control(Gate(), AuditLog(folder / "state", Hurried()), Hurried())
        for action in case.before:
            assert (await hurried.apply(test.spec, test.link, action)).outcome.is_well
        faulty = Faulty(test.link, fault, at)
        result = await hurried.apply(test.spec, faulty, case.action, reboot=case.reboot)
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
            check(result, truth, before, f"{fault} at command {at + 1} of {commands}")
