"""Fleets with a story: which boards there are, what they do, and what goes wrong when."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from cohete.clock import Clock
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.modules import SIM_MODULES
from cohete.simulator.server import SimFleet
from cohete.simulator.workload import Workload

WARM_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    """At `at_s` a fault of a board is switched on or off."""

    at_s: float
    board: str
    fault: Fault
    on: bool = True


@dataclass(slots=True)
class Scenario:
    """Boards, and turns that repeat every `period_s` (0: once)."""

    boards: list[SimBoard]
    turns: list[Turn] = field(default_factory=list)
    period_s: float = 0.0


async def play(scenario: Scenario, fleet: SimFleet) -> None:
    """Make the turns happen, on the fleet's clock, until cancelled."""
    clock = fleet.clock
    while True:
        begun = clock.monotonic()
        for turn in sorted(scenario.turns, key=lambda turn: turn.at_s):
            await clock.sleep(turn.at_s - (clock.monotonic() - begun))
            await fleet.hosts[turn.board].set_fault(turn.fault, turn.on)
        if not scenario.period_s:
            return
        await clock.sleep(scenario.period_s - (clock.monotonic() - begun))


_DEMO: tuple[tuple[str, str, Workload], ...] = (
    ("cam-01", "orin-nano-8gb", Workload.INFERENCE),
    ("cam-02", "orin-nx-16gb", Workload.VIDEO),
    ("cam-03", "orin-nano-4gb", Workload.BURSTY),
    ("arm-left", "agx-orin-64gb", Workload.TRAINING),
    ("arm-right", "agx-orin-32gb", Workload.INFERENCE),
    ("gate", "nano", Workload.INFERENCE),
    ("dock", "xavier-nx", Workload.VIDEO),
    ("lab-thor", "thor", Workload.TRAINING),
    ("rover", "orin-nx-8gb", Workload.BURSTY),
    ("kiosk", "orin-nano-r39", Workload.LEAK),
    ("mast", "tx2", Workload.IDLE),
    ("shed", "agx-xavier", Workload.IDLE),
)


def _demo(clock: Clock, count: int, seed: int) -> Scenario:
    boards = [
        SimBoard(_name(nth, name), module, clock, workload=workload, seed=seed)
        for nth, (name, module, workload) in _repeat(_DEMO, count)
    ]
    names = [board.name for board in boards]
    turns: list[Turn] = []
    if count > 2:
        boards[0].faults.add(Fault.OVERHEAT)
        boards[0].settle(600)
    if count > 5:
        lost = names[10] if count > 10 else names[5]
        turns += [
            Turn(4.0, lost, Fault.DOWN),
            Turn(50.0, lost, Fault.DOWN, on=False),
            Turn(20.0, names[3], Fault.CUT),
            Turn(30.0, names[1], Fault.HANG),
            Turn(35.0, names[1], Fault.HANG, on=False),
        ]
    return Scenario(boards, turns, period_s=60.0)


def _calm(clock: Clock, count: int, seed: int) -> Scenario:
    return Scenario(
        [
            SimBoard(f"sim-{nth:04d}", module, clock, workload=workload, seed=seed)
            for nth, (module, workload) in enumerate(
                (SIM_MODULES[nth % 12].key, list(Workload)[nth % 5]) for nth in range(count)
            )
        ]
    )


def _chaos(clock: Clock, count: int, seed: int) -> Scenario:
    scenario = _calm(clock, count, seed)
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    lasting = (Fault.DOWN, Fault.HANG, Fault.SLOW, Fault.GARBAGE, Fault.ESCAPES, Fault.GATED)
    for board in scenario.boards:
        begin = rng.uniform(3, 40)
        fault = rng.choice((Fault.CUT, *lasting))
        scenario.turns.append(Turn(begin, board.name, fault))
        if fault is not Fault.CUT:
            scenario.turns.append(Turn(begin + rng.uniform(2, 15), board.name, fault, on=False))
    scenario.period_s = 60.0
    return scenario


def _hot(clock: Clock, count: int, seed: int) -> Scenario:
    scenario = _calm(clock, count, seed)
    for board in scenario.boards:
        board.workload = Workload.TRAINING
        board.faults.add(Fault.OVERHEAT)
    return scenario


def _hostile(clock: Clock, count: int, seed: int) -> Scenario:
    scenario = _calm(clock, count, seed)
    for board in scenario.boards:
        board.faults |= {Fault.ESCAPES, Fault.GARBAGE}
    return scenario


SCENARIOS: dict[str, tuple[str, Callable[[Clock, int, int], Scenario]]] = {
    "demo": ("many modules, one hot, one that comes and goes, one Thor, one old Nano", _demo),
    "calm": ("every board well, any number of them", _calm),
    "chaos": ("something breaks on every board once a minute", _chaos),
    "hot": ("every fan has stopped", _hot),
    "hostile": ("boards that print garbage and escape sequences", _hostile),
}


def build(name: str, clock: Clock, count: int, seed: int = 0) -> Scenario:
    """The scenario of that name with `count` boards, warmed up."""
    scenario = SCENARIOS[name][1](clock, count, seed)
    if count <= 64:
        for board in scenario.boards:
            board.settle(WARM_UP_S)
    return scenario


def _repeat(
    rows: tuple[tuple[str, str, Workload], ...], count: int
) -> list[tuple[int, tuple[str, str, Workload]]]:
    return [(nth, rows[nth % len(rows)]) for nth in range(count)]


def _name(nth: int, name: str) -> str:
    rounds = nth // len(_DEMO)
    return f"{name}-{rounds + 1}" if rounds else name
