"""Breakers and limits on the same board: what both have set goes back to what was before both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.config.limits import Limit, LimitStep
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.config.thermal import Reactions, ThermalPolicy
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.gate import Gate
from cohete.fleet.breakers import BreakerKeeper
from cohete.fleet.limits import LimitKeeper
from cohete.fleet.pressure import PressureKeeper
from cohete.fleet.standing import Standing
from cohete.fleet.store import FleetStore
from cohete.simulator.board import SimBoard
from cohete.tegra import parse
from tests.fleet.test_limits import OnBoard

POLICY = ThermalPolicy(
    threshold_c=65, cooldown_c=55, check_interval_ms=100, on_open=Reactions(mode="MODE_30W")
)
LIMIT = Limit(
    metric="ram_percent", most=80, low=50, window_s=2, settle_s=3, up_after_s=3, retry_after_s=3,
    steps=[LimitStep(mode="MODE_50W")],
)  # fmt: skip


class Both:
    """A board in its MAXN with a breaker and a limit that know of each other by the notes only."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.board = SimBoard("b", "agx-orin-64gb", self.clock)
        self.board.gpu_used_since_boot = False
        self.board.set_mode(next(m for m in self.board.module.modes if m.name == "MAXN"))
        spec = DeviceSpec("b", Target("h"), limits=("x",), thermal=POLICY, thermal_name="t")
        self.store = FleetStore([spec], self.clock)
        self.folder = folder
        self.control = Control(Gate(), AuditLog(folder, self.clock), self.clock)
        self.begin()

    def begin(self) -> None:
        """As if the program had been killed and begun anew."""
        runner = OnBoard(self.board)
        self.standing = Standing(self.folder)
        self.breakers = BreakerKeeper(
            self.store, self.control, lambda _: runner, self.standing, self.clock
        )
        self.limits = LimitKeeper(
            self.store, {"x": LIMIT}, self.control, lambda _: runner,
            PressureKeeper(self.store, self.clock), self.standing, self.clock,
        )  # fmt: skip
        stands = self.standing.read()
        self.standing.adopt(stands)
        assert self.breakers.resume(self.limits.resume(stands)) == []

    async def run(self, seconds: int, *, hot: bool, full: bool) -> None:
        line = f"RAM {55_000 if full else 9_000}/61000MB CPU [1%@100] cpu@{75 if hot else 40}C"
        (limit,), (breaker,) = self.limits.limits, self.breakers.by_id.values()
        for _ in range(seconds):
            self.clock.step(1)
            stats = parse(line)
            assert stats is not None
            self.store.apply(self.store["b"], stats)
            self.breakers._one(breaker, self.clock.monotonic())
            self.limits.look(limit)
            for task in (breaker.task, limit.task):
                if task is not None:
                    await asyncio.wait([task])


@pytest.mark.claim("TM-07", "PM-04")
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("first", ["breaker", "limit"])
@pytest.mark.parametrize("over", ["breaker", "limit"])
async def test_whoever_ends_first(tmp_path: Path, first: str, over: str, killed: bool) -> None:
    both = Both(tmp_path)
    await both.run(10, hot=first == "breaker", full=first == "limit")
    assert both.board.mode.name == {"breaker": "MODE_30W", "limit": "MODE_50W"}[first]
    await both.run(10, hot=True, full=True)
    # Whoever comes second never raises what the other has lowered.
    assert both.board.mode.name == "MODE_30W"
    if killed:
        both.begin()
    await both.run(40, hot=over != "breaker", full=over != "limit")
    # Who was on top gives back what was beneath; who was beneath leaves the other's.
    assert both.board.mode.name == {"breaker": "MODE_50W", "limit": "MODE_30W"}[over]
    await both.run(40, hot=False, full=False)
    assert both.board.mode.name == "MAXN"
    assert both.standing.read() == []
