"""Limits in a closed loop: a simulated board, its own commands, and time that is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from cohete.clock import ManualClock
from cohete.config.control import PowerProfile
from cohete.config.limits import Budget, Limit, LimitStep
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.fleet.guarding import ANOTHER, GuardGate
from cohete.fleet.limited import mean
from cohete.fleet.limits import LimitKeeper
from cohete.fleet.pressure import PressureKeeper
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import State
from cohete.fleet.store import FleetStore
from cohete.links.base import Completed
from cohete.links.commands import quote
from cohete.simulator.board import SimBoard, TegraStatsRun
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.shell import Context, empty_pipe, run_line
from cohete.simulator.workload import Workload
from cohete.tegra import parse


class OnBoard:
    """Runs commands on a simulated board, without a network."""

    def __init__(self, board: SimBoard) -> None:
        self._board = board
        self.lines: list[str] = []

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        out, err = bytearray(), bytearray()
        context = Context(
            self._board, False, out.extend, err.extend, empty_pipe(), {"SIM_SUDO": "1"}
        )
        if argv[0] != "timeout":
            self.lines.append(quote(argv))
        status = await run_line(quote(argv), context, PROGRAMS)
        return Completed(status, bytes(out), bytes(err))


class Loop:
    """A board under load, watched once a second, kept below its limits."""

    def __init__(
        self,
        folder: Path,
        limit: Limit,
        module: str,
        workload: Workload,
        *,
        read_only: bool = False,
        ambient_c: float = 25.0,
    ) -> None:
        self.clock = ManualClock()
        self.board = SimBoard("b", module, self.clock, workload=workload, ambient_c=ambient_c)
        self.board.settle(300)
        self.board.gpu_used_since_boot = False
        spec = DeviceSpec("b", Target("h"), limits=("x",))
        self.store = FleetStore([spec], self.clock)
        self.runner = OnBoard(self.board)
        self.control = Control(Gate(read_only), AuditLog(folder, self.clock), self.clock)
        self._limit, self.standing = limit, Standing(folder)
        self.pressure = PressureKeeper(self.store, self.clock)
        self.restart()
        self.left: list[Taken] = []
        self._stats = TegraStatsRun(self.board, root=False)
        self.values: list[float] = []
        self.taken: list[int] = []
        self.die_c: list[float] = []

    def restart(self, limit: Limit | None = None, gate: Gate | None = None) -> None:
        """As if the program had been killed and begun anew."""
        self.keeper = LimitKeeper(
            self.store, {"x": limit or self._limit}, self.control, lambda _: self.runner,
            self.pressure, self.standing, self.clock, gate=gate,
        )  # fmt: skip
        (self.each,) = self.keeper.limits
        self.left = self.keeper.resume(self.standing.read())

    async def run(self, seconds: int) -> None:
        device = self.store["b"]
        for _ in range(seconds):
            self.clock.step(1)
            stats = parse(self._stats.line())
            assert stats is not None
            self.store.apply(device, stats)
            self.pressure.look()
            self.keeper.look(self.each)
            if self.each.task is not None:
                await asyncio.wait([self.each.task])
                self.each.task.result()
            self.die_c.append(self.board.thermal.die_c)
            self.taken.append(self.each.taken)
            if self.each.value is not None:
                self.values.append(self.each.value)


def steps(*found: dict[str, object]) -> list[LimitStep]:
    return [LimitStep.model_validate(each) for each in found]


BATCH: tuple[dict[str, object], ...] = (
    {"run": ["set-batch", "2"], "back": ["set-batch", "4"]},
    {"run": ["set-batch", "1"], "back": ["set-batch", "2"]},
)


@pytest.mark.claim("PM-04")
async def test_power_stays_within_its_budget(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=11.0, low=6.5, window_s=30, settle_s=20, up_after_s=120,
        steps=steps(*BATCH, {"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    await loop.run(1200)
    assert max(loop.values) > 11.0
    assert max(loop.values[120:]) <= 11.0
    assert loop.board.batch < 4
    device = loop.store["b"]
    value = loop.each.value
    assert value is not None
    words = f"x: {value:.1f} of 11 W, step {loop.each.taken} of 3"
    assert device.limit_words == {"x": words}
    loop.store.set_state(device, State.LOST, "gone")
    loop.keeper.look(loop.each)
    assert device.limit_words == {"x": "x: not measured, the board is lost"}
    loop.store.set_state(device, State.LIVE)
    # One step at a time.
    assert all(abs(b - a) <= 1 for a, b in zip(loop.taken, loop.taken[1:], strict=False))
    # The load ends: what was taken is given back, to the full.
    loop.board.workload = Workload.IDLE
    await loop.run(900)
    assert loop.each.taken == 0
    assert loop.board.batch == 4
    assert any("x: " in event.text for event in loop.store.events if event.kind == "limit")


@pytest.mark.claim("MM-09")
async def test_memory_pressure_lowers_the_batch_stepwise_and_recovers(tmp_path: Path) -> None:
    limit = Limit(
        metric="ram_percent", most=75, low=60, window_s=5, settle_s=5, up_after_s=30,
        steps=steps(*BATCH, {"free_memory": True}, {"stop": "inference.service"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    loop.board.services["inference.service"] = True
    await loop.run(120)
    batches = [line for line in loop.runner.lines if "set-batch" in line]
    assert batches[0] == "set-batch 2"
    assert loop.board.services["inference.service"]
    assert loop.values[-1] < 75
    assert len(loop.runner.lines) <= 4
    loop.board.workload = Workload.IDLE
    await loop.run(300)
    assert loop.each.taken == 0
    assert loop.board.batch == 4


@pytest.mark.claim("TM-10")
@pytest.mark.parametrize(("module", "ambient_c"), [("orin-nano-8gb", 38), ("agx-orin-64gb", 40)])
async def test_an_hour_under_load_settles(tmp_path: Path, module: str, ambient_c: float) -> None:
    board = SimBoard("b", module, ManualClock(), workload=Workload.TRAINING, ambient_c=ambient_c)
    modes = sorted(
        (mode for mode in board.module.modes if mode.mask == board.module.modes[0].mask),
        key=lambda mode: -(mode.gpu_mhz or 10_000) * mode.cores * (mode.cpu_mhz or 3_000),
    )
    board.set_mode(modes[0])
    board.settle(900)
    free_c = board.thermal.die_c
    limit = Limit(
        metric="temperature_c", most=free_c - 3, low=free_c - 8, window_s=5, settle_s=60,
        up_after_s=120, steps=[*steps(*BATCH), *(LimitStep(mode=mode.name) for mode in modes[1:3])],
    )  # fmt: skip
    loop = Loop(tmp_path, limit, module, Workload.TRAINING, ambient_c=ambient_c)
    loop.board.set_mode(modes[0])
    loop.board.settle(900)
    await loop.run(3600)
    assert max(loop.taken) >= 1
    settled = loop.die_c[1800:]
    assert max(settled) - min(settled) <= 5
    assert max(settled) < free_c
    halves = settled[:900], settled[900:]
    assert abs(sum(halves[0]) - sum(halves[1])) / 900 < 1.5


@pytest.mark.claim("PM-04")
async def test_who_is_begun_anew_goes_on_and_gives_back(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"mode": "15W"}, {"stop": "batch"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    loop.board.services["batch.service"] = True
    await loop.run(60)
    assert (loop.board.mode.name, loop.board.services["batch.service"]) == ("15W", False)
    assert [taken.owner for taken in loop.standing.read()] == ["limit:x:0", "limit:x:1"]
    loop.restart()
    assert loop.each.taken == 2
    assert not loop.left
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(200)
    assert (loop.board.mode.name, loop.board.services["batch.service"]) == ("25W", True)
    assert loop.standing.read() == []


@pytest.mark.claim("PM-04")
@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_step_nobody_knows_of_is_given_back_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    real, calls = loop.control.apply, 0

    async def cut(spec: DeviceSpec, runner: Runner, action: Action) -> Result:
        nonlocal calls
        calls += 1
        result = await real(spec, runner, action)
        return replace(result, outcome=Outcome.UNKNOWN) if calls == 1 else result

    monkeypatch.setattr(loop.control, "apply", cut)
    while not calls:
        await loop.run(1)
    assert (loop.board.mode.name, loop.each.taken) == ("15W", 0)
    (stands,) = loop.standing.read()
    assert stands.before == "25W"
    if goes_on:
        await loop.run(30)
        assert (loop.each.taken, loop.each.done) == (1, {0: "25W"})
        assert loop.standing.read()[0].before == "25W"
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(120)
    assert (loop.board.mode.name, loop.each.taken, loop.standing.read()) == ("25W", 0, [])


@pytest.mark.claim("PM-04")
async def test_a_mode_that_somebody_else_has_set_since_stays(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    await loop.run(30)
    assert loop.board.mode.name == "15W"
    other = next(mode for mode in loop.board.module.modes if mode.name not in ("15W", "25W"))
    loop.board.set_mode(other)
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(120)
    assert (loop.board.mode, loop.each.taken, loop.standing.read()) == (other, 0, [])


async def test_a_step_that_reads_otherwise_now_is_left_as_it_is(tmp_path: Path) -> None:
    def limit(mode: str) -> Limit:
        return Limit(
            metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, steps=steps({"mode": mode})
        )

    loop = Loop(tmp_path, limit("15W"), "orin-nano-8gb", Workload.TRAINING)
    await loop.run(20)
    loop.restart(limit("7W"))
    assert loop.each.taken == 0
    (left,) = loop.left
    assert (left.words, left.before) == ("set the power mode to 15W", "25W")


@pytest.mark.claim("MM-09")
async def test_pressure_of_every_kind_is_answered(tmp_path: Path) -> None:
    limit = Limit(
        metric="memory_pressure", most=1, low=0.5, settle_s=5, up_after_s=10, retry_after_s=10,
        steps=steps({"warn": "look at this board"}, {"free_memory": True}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.IDLE)
    device = loop.store["b"]

    async def pass_time(seconds: int, lfb: str) -> None:
        for _ in range(seconds):
            loop.clock.step(1)
            stats = parse(f"RAM 5000/7607MB (lfb {lfb}) SWAP 0/3803MB CPU [1%@100] cpu@40C")
            assert stats is not None
            loop.store.apply(device, stats)
            loop.pressure.look()
            loop.keeper.look(loop.each)
            if loop.each.task is not None:
                await asyncio.wait([loop.each.task])
                loop.each.task.result()

    await pass_time(30, "200x4MB")
    assert (loop.each.taken, device.limit_words["x"]) == (0, "x: memory pressure ok, no step taken")
    # Much is free, and none of it in one piece.
    await pass_time(3, "1x64kB")
    assert loop.each.taken == 1
    told = [event.text for event in loop.store.events if event.kind == "limit"]
    assert told == ["x: memory pressure warning, step 1 of 2; look at this board"]
    assert loop.runner.lines == []
    await pass_time(20, "1x64kB")
    assert loop.each.taken == 2
    assert any("drop_caches" in line for line in loop.runner.lines)
    await pass_time(90, "200x4MB")
    assert (loop.each.taken, loop.standing.read()) == (0, [])


@pytest.mark.claim("PM-04", "PM-08")
async def test_the_budget_of_a_profile_holds_as_long_as_the_profile_does(tmp_path: Path) -> None:
    assert Budget(most_w=9).limit.low == pytest.approx(7.65)
    with pytest.raises(ValidationError, match="must be below most"):
        Budget(most_w=9, low_w=10)
    limit = Limit(metric="power_w", most=900, low=5, steps=steps({"warn": "never"}))
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    profile = PowerProfile(mode="25W", budget=Budget(most_w=9, window_s=5))
    loop.store.devices[0].spec = replace(
        loop.store["b"].spec, limits=(), power_profile="small", switches=("s",)
    )
    loop.keeper = LimitKeeper(
        loop.store, {}, loop.control, lambda _: loop.runner, loop.pressure, loop.standing,
        loop.clock, {"small": profile, "free": PowerProfile(mode="@most")},
    )  # fmt: skip
    (loop.each,) = loop.keeper.limits
    loop.store["b"].profile_name = "small"
    await loop.run(120)
    assert loop.board.mode.name == "15W"
    assert loop.store["b"].limit_words["budget-small"].endswith("W, step 2 of 2")
    # Another profile sets mode and clocks itself: they are not set back over it.
    ran = len(loop.runner.lines)
    loop.store["b"].profile_name = "free"
    await loop.run(20)
    assert loop.each.taken == 0
    assert len(loop.runner.lines) == ran
    assert (loop.store["b"].limit_words, loop.standing.read()) == ({}, [])


@pytest.mark.claim("PM-04")
async def test_without_its_sensor_it_steps_down(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=9.0, low=6.0, window_s=5, settle_s=5, up_after_s=30,
        steps=steps(*BATCH),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.IDLE)
    device = loop.store["b"]
    for _ in range(30):
        loop.clock.step(1)
        stats = parse("RAM 2000/7607MB (lfb 100x4MB) CPU [1%@100] cpu@40C")
        assert stats is not None
        loop.store.apply(device, stats)
        loop.keeper.look(loop.each)
        if loop.each.task is not None:
            await asyncio.wait([loop.each.task])
    assert loop.each.taken == 2
    assert loop.board.batch == 1
    told = [event.text for event in loop.store.events if event.kind == "limit not held"]
    assert told == ["x: unknown of 9 W, step 2 of 2, and there is no further one"]


async def test_only_what_was_taken_is_given_back(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.5, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"clocks": "free"}, {"stop": "batch"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    loop.board.services |= {"batch.service": False, "x.service": True}
    await loop.run(40)
    assert loop.each.taken == 2
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(120)
    assert loop.each.taken == 0
    # Nobody had locked the clocks, nobody ran the unit: neither is begun now.
    assert not loop.board.clocks_locked
    assert not loop.board.services["batch.service"]
    assert not any("--store" in line or "start" in line for line in loop.runner.lines)


async def test_read_only_tells_and_does_nothing(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=2.0, window_s=5, settle_s=5, up_after_s=30,
        steps=steps({"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING, read_only=True)
    await loop.run(60)
    assert loop.board.mode.name == "25W"
    failed = [event for event in loop.store.events if event.kind == "change failed"]
    assert len(failed) == 1
    assert "refused: Cohete runs read-only" in failed[0].text
    words = "no step taken, refused: Cohete runs read-only"
    assert loop.store["b"].limit_words["x"].endswith(words)
    # Whoever may not change a board takes no note of another's steps away either.
    assert loop.standing.read() == []


@pytest.mark.claim("PM-04", "MM-09")
@pytest.mark.parametrize(
    "first", [{"run": ["no-such-program", "1"]}, {"restart": "nosuch.service"}]
)
async def test_a_step_that_fails_keeps_the_next_from_nothing(
    tmp_path: Path, first: dict[str, object]
) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps(first, {"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    await loop.run(60)
    assert loop.board.mode.name == "15W"
    assert loop.store["b"].limit_words["x"].endswith("step 2 of 2, 1 failed")
    failed = [event.text for event in loop.store.events if event.kind == "change failed"]
    assert len(failed) == 1
    await loop.run(30)
    told = [event.text for event in loop.store.events if event.kind == "limit not held"]
    assert len(told) == 1


@pytest.mark.claim("PM-04")
async def test_a_step_without_an_answer_is_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"run": ["set-batch", "2"], "back": ["set-batch", "4"]},
        {"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    real = loop.control.apply

    async def cut(spec: DeviceSpec, runner: Runner, action: Action) -> Result:
        result = await real(spec, runner, action)
        is_run = "set-batch 2" in action.intent
        return replace(result, outcome=Outcome.UNKNOWN) if is_run else result

    monkeypatch.setattr(loop.control, "apply", cut)
    await loop.run(90)
    assert loop.board.mode.name == "15W"
    # What may have been done is given back with the rest.
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(120)
    assert (loop.board.mode.name, loop.board.batch, loop.each.taken) == ("25W", 4, 0)
    assert loop.standing.read() == []


@pytest.mark.claim("PM-04")
async def test_no_step_raises_what_somebody_has_lowered(tmp_path: Path) -> None:
    limit = Limit(
        metric="ram_percent", most=1.0, low=0.5, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"mode": "25W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    by_name = {mode.name: mode for mode in loop.board.module.modes}
    loop.board.set_mode(by_name["15W"])
    await loop.run(30)
    assert loop.board.mode.name == "15W"
    assert loop.standing.read() == []
    # Somebody gives it more while the limit still holds it down.
    loop.board.set_mode(by_name["MAXN_SUPER"])
    await loop.run(15)
    assert loop.board.mode.name == "25W"
    (stands,) = loop.standing.read()
    assert stands.before == "MAXN_SUPER"


@pytest.mark.claim("PM-04")
async def test_what_was_refused_is_done_once_it_may_be(tmp_path: Path) -> None:
    limit = Limit(
        metric="power_w", most=5.0, low=4.9, window_s=5, settle_s=5, up_after_s=10,
        retry_after_s=10, steps=steps({"warn": "too much power"}, {"mode": "15W"}),
    )  # fmt: skip
    loop = Loop(tmp_path, limit, "orin-nano-8gb", Workload.TRAINING)
    gate = GuardGate()
    loop.restart(gate=gate)
    await loop.run(60)
    kinds = ("limit", "change failed")
    told = [event.text for event in loop.store.events if event.kind in kinds]
    # A warning needs nobody's leave.
    assert told[0].endswith("step 1 of 2; too much power")
    (refused,) = told[1:]
    assert refused.endswith(f"set the power mode to 15W: refused: {ANOTHER}")
    assert loop.store["b"].limit_words["x"].endswith(f"step 1 of 2, refused: {ANOTHER}")
    gate.guarded.add("b")
    await loop.run(10)
    assert loop.board.mode.name == "15W"
    assert loop.store["b"].limit_words["x"].endswith("step 2 of 2")
    # The way back is refused as well, told once, and gone once it may be.
    gate.guarded.clear()
    loop.board.workload = Workload.IDLE
    loop.board.thermal.die_c = 40
    await loop.run(120)
    assert loop.board.mode.name == "15W"
    told = [event.text for event in loop.store.events if event.kind == "change failed"]
    assert len(told) == 2
    assert "take back: set the power mode to 15W: refused" in told[1]
    gate.guarded.add("b")
    await loop.run(60)
    assert loop.board.mode.name == "25W"
    assert loop.store["b"].limit_words["x"].endswith("no step taken")


@pytest.mark.parametrize(
    "step",
    [{}, {"run": ["a"], "mode": "x"}, {"back": ["a"], "mode": "x"}, {"run": []}, {"stop": "a b"}],
)
def test_a_step_is_one_thing(step: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LimitStep.model_validate(step)


def test_hysteresis_is_needed() -> None:
    with pytest.raises(ValidationError, match="must be below most"):
        Limit(metric="power_w", most=5, low=5, steps=steps({"free_memory": True}))


def test_the_mean_is_over_the_window() -> None:
    clock = ManualClock()
    store = FleetStore([DeviceSpec("b", Target("h"))], clock)
    assert mean(store["b"], "power_w", 10, clock.monotonic()) is None
    for watts in range(20):
        stats = parse(f"RAM 1/2MB (lfb 1x4MB) CPU [1%@100] VDD_IN {watts}000mW/1mW")
        assert stats is not None
        store.apply(store["b"], stats)
        clock.step(1)
    assert mean(store["b"], "power_w", 10, clock.monotonic()) == pytest.approx(14.5)
