"""Breakers of a fleet over real SSH: decided from samples, carried out on the boards."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.config.control import Control
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.config.thermal import AmbientRule, Reactions, ThermalLimits, ThermalPolicy
from cohete.control.applying import Control as Applier
from cohete.control.audit import AuditLog
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome
from cohete.fleet import breakers
from cohete.fleet.breakers import BreakerKeeper, DeviceBreaker
from cohete.fleet.holding import NOTE, Hold
from cohete.fleet.reactions import works_of
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.state import State
from cohete.fleet.store import FleetStore
from cohete.links.base import Completed
from cohete.links.ssh import SshConnector
from cohete.power.modes import SetMode
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.server import SimHost
from cohete.tegra import parse
from cohete.thermal.breaker import BreakerState
from tests.boards import lonely_files, simulated, until
from tests.control.support import bench

STOP = Reactions(stop=["inference.service"])


def written(on_open: Reactions = STOP) -> ThermalPolicy:
    return ThermalPolicy(threshold_c=65, cooldown_c=55, check_interval_ms=100, on_open=on_open)


@dataclasses.dataclass
class Guarded:
    host: SimHost
    session: FleetSession
    each: DeviceBreaker

    @property
    def board(self) -> SimBoard:
        return self.host.board

    @property
    def state(self) -> BreakerState:
        return self.each.breaker.state

    def heat(self, celsius: float) -> None:
        self.board.thermal.die_c = self.board.thermal.sink_c = celsius

    def events(self) -> list[str]:
        return [f"{event.kind}: {event.text}" for event in self.session.store.events]


@contextlib.asynccontextmanager
async def guarded(
    folder: Path,
    policy: ThermalPolicy,
    *,
    interval_ms: int = 100,
    control: Control | None = None,
    module: str = "orin-nano-8gb",
) -> AsyncIterator[Guarded]:
    async with simulated(module, folder=folder, sudo=True) as (fleet, config, specs):
        host = next(iter(fleet.hosts.values()))
        host.board.services["inference.service"] = True
        host.board.thermal.die_c = host.board.thermal.sink_c = 45
        specs = [
            dataclasses.replace(spec, interval_ms=interval_ms, thermal=policy, thermal_name="test")
            for spec in specs
        ]
        connector = SshConnector(config.ssh, lonely_files(config))
        plan = FleetPlan(specs, ssh=config.ssh, control=control or Control())
        async with FleetSession(plan, connector=connector, guards=True) as session:
            each = session.breakers.by_id[specs[0].id]
            await until(lambda: each.has_looked and each.device.facts is not None)
            yield Guarded(host, session, each)


@pytest.mark.claim("TM-03", "TM-04")
async def test_work_on_the_board_stops_in_two_seconds_and_goes_on_when_cool(tmp_path: Path) -> None:
    async with guarded(tmp_path, written(), interval_ms=500) as test:
        services = test.board.services
        assert services["inference.service"]
        begun = time.monotonic()
        test.heat(80)
        await until(lambda: not services["inference.service"], 5)
        assert time.monotonic() - begun <= 2.0
        assert NOTE in test.board.written
        # Below the threshold is not cool yet.
        test.heat(60)
        await until(lambda: test.state is BreakerState.COOLING, 5)
        assert services == {"inference.service": False}
        test.heat(50)
        await until(lambda: services["inference.service"], 10)
        assert test.each.breaker.allows_work
        await until(lambda: NOTE not in test.board.written, 5)
        text = "\n".join(test.events())
        assert "breaker: breaker open: " in text
        assert "C, above 65 C" in text
        assert "cooled: breaker half open: work runs again on trial" in text
        assert "change: hold unit inference.service" in text


@pytest.mark.claim("TM-03")
@pytest.mark.parametrize("late_s", [0.0, 0.3, 0.7, 0.99])
async def test_it_is_decided_with_the_sample_whenever_the_last_check_was(
    tmp_path: Path, late_s: float
) -> None:
    """A crossing is a sample away at most; then what is left of 2 s is for the board to answer."""
    clock = ManualClock()
    policy = ThermalPolicy(threshold_c=75, cooldown_c=65, check_interval_ms=1000, on_open=STOP)
    spec = DeviceSpec("cam", Target("h"), thermal=policy, thermal_name="aggressive")
    store = FleetStore([spec], clock)
    applier = Applier(Gate(), AuditLog(tmp_path, clock), clock)
    asked = asyncio.Event()

    class Board:
        async def run(self, argv: Sequence[str], **_: object) -> Completed:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    keeper = BreakerKeeper(store, applier, lambda _: Board(), Standing(tmp_path), clock)
    each = keeper.by_id["cam"]
    each.has_looked = True
    store.set_state(each.device, State.LIVE)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())

        def sample(celsius: float) -> None:
            stats = parse(f"RAM 1/8000MB (lfb 9x4MB) CPU [1%@100] GR3D_FREQ 9% cpu@{celsius}C")
            assert stats is not None
            store.apply(store["cam"], stats)

        sample(60)
        await clock.advance(1 + late_s)
        sample(90)
        held = [each.wish]
        await clock.advance(0.11)
        held.append(each.wish)
        assert held == [False, True]
        # No time passes any more: the board is asked at once.
        async with asyncio.timeout(5):
            await asked.wait()
        running.cancel()


async def test_no_limit_lies_above_where_the_board_itself_throttles(tmp_path: Path) -> None:
    # No table says where a Nano throttles: its kernel does.
    policy = ThermalPolicy(threshold_c=104, cooldown_c=90, check_interval_ms=100, on_open=STOP)
    async with guarded(tmp_path, policy, module="nano") as test:
        facts = test.each.device.facts
        assert facts is not None
        assert facts.module is not None
        assert facts.module.throttle_c is None
        assert facts.throttle_c == test.board.module.throttle_c
        await until(lambda: test.each.limits.threshold_c < test.board.module.throttle_c)
        assert any("throttles at" in words for words in test.each.limits.why)


@pytest.mark.claim("TM-03")
async def test_holding_waits_for_nothing_else_that_is_done_to_the_board(tmp_path: Path) -> None:
    class Stuck:
        """A board that never answers whoever asks through it."""

        def __init__(self) -> None:
            self.asked = asyncio.Event()

        async def run(self, *_: object, **__: object) -> Completed:
            self.asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with bench("nano", tmp_path) as test:
        test.board.services["llm.service"] = True
        stuck = Stuck()
        work = Hold(works_of(Reactions(stop=["llm.service"])))
        before = asyncio.create_task(test.control.apply(test.spec, stuck, SetMode("5W")))
        await stuck.asked.wait()
        async with asyncio.timeout(10):
            assert (await test.apply(work)).outcome is Outcome.DONE
        assert not test.board.services["llm.service"]
        # Others of the board wait, as before.
        other = asyncio.create_task(test.apply(SetMode("5W")))
        await asyncio.wait([other], timeout=0.1)
        assert not other.done()
        before.cancel()
        await asyncio.wait([before])
        assert (await other).outcome is Outcome.DONE


@pytest.mark.claim("TM-03")
async def test_what_does_not_run_is_not_noted_as_held(tmp_path: Path) -> None:
    async with guarded(tmp_path, written()) as test:
        test.board.services["inference.service"] = False
        test.heat(80)
        await until(lambda: test.each.is_held and test.each.task is None, 8)
        await until(lambda: test.each.next_try_s > test.session.clock.monotonic() + 5, 8)
        assert test.session.standing.read() == []


@pytest.mark.claim("TM-03")
async def test_a_board_that_is_silent_is_held_once_it_is_heard_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "RETRY_S", 0.2)
    async with guarded(tmp_path, written()) as test:
        await test.host.set_fault(Fault.HANG)
        await until(lambda: test.state is BreakerState.OPEN, 8)
        assert "no temperature for" in test.each.breaker.reason


@pytest.mark.claim("TM-07")
async def test_mode_and_fan_meanwhile(tmp_path: Path) -> None:
    async with guarded(tmp_path, written(Reactions(mode="7W", fan=255))) as test:
        board = test.board
        board.gpu_used_since_boot = False
        before = board.mode.name
        board.workload = board.workload.IDLE
        lowest = min(board.module.modes, key=lambda mode: mode.cores * (mode.gpu_mhz or 9_999))
        test.each.written = written(Reactions(mode=lowest.name, fan=255))
        lowest_mask = dataclasses.replace(lowest, mask=board.mode.mask)
        board.module = dataclasses.replace(
            board.module,
            modes=tuple(lowest_mask if m is lowest else m for m in board.module.modes),
        )
        test.heat(80)
        await until(lambda: board.mode.name == lowest.name and board.fan_pwm == 255, 8)
        await until(lambda: test.each.is_held)
        test.heat(50)
        await until(lambda: board.mode.name == before and board.fan_service_active, 10)


@pytest.mark.claim("TM-07")
async def test_who_is_begun_anew_puts_mode_and_fan_back(tmp_path: Path) -> None:
    policy = written(Reactions(mode="15W", fan=255))
    async with guarded(tmp_path, policy) as test:
        test.board.gpu_used_since_boot = False
        test.board.workload = test.board.workload.IDLE
        before = test.board.mode.name
        test.heat(80)
        await until(lambda: test.board.mode.name == "15W" and test.board.fan_pwm == 255, 8)
        await until(lambda: len(test.session.standing.read()) == 2)
        stands = {taken.owner: taken.before for taken in test.session.standing.read()}
        assert stands == {"breaker:mode": before, "breaker:fan": ""}
        # Killed: nothing is given back. The next one has no such reactions any more.
        store, control = test.session.store, test.session.control
        test.each.written = written(Reactions())
        again = BreakerKeeper(
            store, control, test.session.runner, test.session.standing, test.session.clock
        )
        other = Taken("gone", "breaker:mode", "w", "MAXN", 0)
        each = again.by_id[test.each.device.id]
        each.has_looked = True
        test.session.breakers.by_id.clear()
        assert again.resume([*test.session.standing.read(), other]) == [other]
        assert each.breaker.state is BreakerState.COOLING
        test.heat(60)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(again.run())
            samples = each.device.samples
            await until(lambda: each.device.samples > samples + 5)
            # Below the threshold is not cool: what was done stays done.
            assert (test.board.mode.name, test.board.fan_pwm) == ("15W", 255)
            test.heat(45)
            await until(lambda: test.board.mode.name == before, 10)
            await until(lambda: test.board.fan_service_active)
            await until(lambda: not test.session.standing.read())
            running.cancel()


async def test_what_a_killed_cohete_held_is_offered(tmp_path: Path) -> None:
    async with guarded(tmp_path, written()) as test:
        test.heat(80)
        await until(lambda: not test.board.services["inference.service"], 8)
        note = dict(test.board.written)
        services = dict(test.board.services)
    async with simulated("orin-nano-8gb", folder=tmp_path / "2", sudo=True) as (fleet, config, s):
        host = next(iter(fleet.hosts.values()))
        host.board.written, host.board.services = note, services
        spec = dataclasses.replace(s[0], interval_ms=100, thermal=written(), thermal_name="test")
        connector = SshConnector(config.ssh, lonely_files(config))
        plan = FleetPlan([spec], ssh=config.ssh)
        async with FleetSession(plan, connector=connector, guards=True) as session:
            events = session.store.events
            await until(lambda: any(event.kind == "held" for event in events))
            (event,) = [event for event in events if event.kind == "held"]
            assert event.text.startswith("held: unit inference.service, by a Cohete that ended")
            assert event.hint == f"Let it go with `cohete breaker release {spec.id}`."
            assert not host.board.services["inference.service"]


@pytest.mark.claim("TM-03")
async def test_a_board_that_lost_its_sensor_and_answers_is_held(tmp_path: Path) -> None:
    async with guarded(tmp_path, written()) as test:
        assert test.board.services["inference.service"]
        # tegrastats is gone, SSH is fine: no temperature, and nothing that could stop the work.
        test.board.faults.add(Fault.NO_TEGRASTATS)
        await test.host.set_fault(Fault.CUT, True)
        await until(lambda: not test.board.services["inference.service"], 20)
        assert test.each.device.state is not State.LIVE
        assert "no temperature for" in test.each.breaker.reason
        test.board.faults.discard(Fault.NO_TEGRASTATS)
        await until(lambda: test.board.services["inference.service"], 30)


@pytest.mark.claim("TM-04")
async def test_what_the_last_cohete_held_is_let_go_by_the_next_once_it_is_cool(
    tmp_path: Path,
) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, config, specs):
        board = next(iter(fleet.hosts.values())).board
        board.services["inference.service"] = True
        board.thermal.die_c = board.thermal.sink_c = 85
        spec = dataclasses.replace(
            specs[0], interval_ms=100, thermal=written(), thermal_name="test"
        )
        plan = FleetPlan([spec], ssh=config.ssh)
        for _ in range(2):
            connector = SshConnector(config.ssh, lonely_files(config))
            session = FleetSession(
                plan, connector=connector, guards=True, state_folder=tmp_path / "state"
            )
            async with session:
                each = session.breakers.by_id[spec.id]
                await until(lambda each=each: each.is_held and not each.failures, 10)  # type: ignore[misc]
                await until(lambda: not board.services["inference.service"], 10)
                (noted,) = await asyncio.to_thread(session.standing.read)
                assert noted.owner == "breaker:work"
                assert not [event for event in session.store.events if event.kind == "held"]
        async with FleetSession(
            plan, connector=SshConnector(config.ssh, lonely_files(config)), guards=True,
            state_folder=tmp_path / "state",
        ) as session:  # fmt: skip
            board.thermal.die_c = board.thermal.sink_c = 40
            await until(lambda: board.services["inference.service"], 10)
            await until(lambda: not session.standing.read(), 10)
            assert NOTE not in board.written


async def test_read_only_only_tells(tmp_path: Path) -> None:
    async with guarded(tmp_path, written(), control=Control(read_only=True)) as test:
        test.heat(80)
        await until(lambda: any("change failed" in text for text in test.events()), 8)
        assert test.board.services["inference.service"]
        assert any("refused: Cohete runs read-only" in text for text in test.events())
        await asyncio.sleep(0)
        assert sum("change failed" in text for text in test.events()) == 1


@pytest.mark.claim("TM-12")
async def test_a_warning_comes_before_the_trip_and_once(tmp_path: Path) -> None:
    async with guarded(tmp_path, written(Reactions())) as test:
        test.heat(62)
        await until(lambda: any(text.startswith("warm: ") for text in test.events()), 8)
        samples = test.each.device.samples
        await until(lambda: test.each.device.samples > samples + 5)
        assert sum(text.startswith("warm: ") for text in test.events()) == 1
        test.heat(80)
        await until(lambda: test.state is BreakerState.OPEN, 8)
        texts = test.events()
        warm = next(nth for nth, text in enumerate(texts) if text.startswith("warm: "))
        opened = next(nth for nth, text in enumerate(texts) if text.startswith("breaker: "))
        assert warm < opened


@pytest.mark.claim("TM-11", "TM-14")
async def test_limits_follow_mode_and_ambient(tmp_path: Path) -> None:
    changes = {
        "modes": {"15W": ThermalLimits(threshold_c=60, cooldown_c=50)},
        "ambient": AmbientRule(temperature_c=35),
    }
    policy = written(Reactions()).model_copy(update=changes)
    async with guarded(tmp_path, policy) as test:
        await until(lambda: len(test.each.limits.why) >= 1)
        limits = test.each.limits
        expected = 57.0 if test.each.device.mode_name == "15W" else 62.0
        assert limits.threshold_c == expected
        assert any("ambient 35 C" in why for why in limits.why)


@pytest.mark.claim("TM-14")
async def test_the_air_is_estimated_from_the_idle_board_and_never_raises_the_limits(
    tmp_path: Path,
) -> None:
    changes = {"ambient": AmbientRule(idle_rise_c=12.0)}
    policy = written(Reactions()).model_copy(update=changes)
    clock = ManualClock()
    spec = DeviceSpec("cam", Target("h"), thermal=policy, thermal_name="hall")
    store = FleetStore([spec], clock)
    applier = Applier(Gate(), AuditLog(tmp_path, clock), clock)
    keeper = BreakerKeeper(
        store, applier, lambda device: pytest.fail("nothing runs"), Standing(tmp_path), clock
    )
    each = keeper.by_id["cam"]

    def pass_time(seconds: int, celsius: float, gpu: int) -> None:
        for _ in range(seconds):
            line = f"RAM 1/8000MB (lfb 9x4MB) CPU [1%@100] GR3D_FREQ {gpu}% cpu@{celsius}C"
            stats = parse(line)
            assert stats is not None
            store.apply(store["cam"], stats)
            keeper.check(each, clock.monotonic())
            clock.step(1)

    # A working board says nothing of the air, nor does an idle one that is not idle for long.
    pass_time(120, 60, 99)
    assert not each.limits.why
    pass_time(80, 50, 0)
    assert not each.limits.why
    # 47 C idle, 12 C above the air: 35 C. Of what it was lately the coolest counts.
    pass_time(30, 47, 0)
    pass_time(60, 52, 0)
    assert each.limits.threshold_c == 65 - 3.0
    assert list(each.limits.why) == ["ambient 35 C: -3.0 C"]
    # Cooler air than the reference: an estimate is not enough to allow more heat.
    pass_time(120, 30, 0)
    assert each.limits.threshold_c == 65
    # After an hour of work what was known of the air is forgotten.
    pass_time(60, 47, 0)
    pass_time(3_700, 60, 99)
    assert each.idle
    assert not each.limits.why
