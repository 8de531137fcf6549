"""Work under the breaker: stopped within 2 s of the crossing, gone on with after the cool-down."""

from __future__ import annotations

import asyncio

import pytest

from cohete.clock import ManualClock
from cohete.errors import CommandError
from cohete.tegra.stats import Zone
from cohete.thermal.breaker import BLIND_S, Breaker, BreakerState
from cohete.thermal.guard import OnOpen, ThermalCircuitBreaker, ThermalExceeded
from cohete.thermal.policy import AGGRESSIVE, CONSERVATIVE, Policy, limits_of


def made(clock: ManualClock, policy: Policy = CONSERVATIVE) -> ThermalCircuitBreaker:
    return ThermalCircuitBreaker(limits_of(policy), clock)


def zones(celsius: float) -> list[Zone]:
    return [Zone("cpu", 40.0), Zone("gpu", celsius)]


async def test_before_the_first_temperature_nothing_runs() -> None:
    breaker = made(ManualClock())
    assert not breaker.allows_work
    breaker.feed(zones(50))
    assert breaker.breaker.state is BreakerState.CLOSED
    warm = made(ManualClock())
    # Between cooldown and threshold: it never was too hot.
    warm.feed(zones(60))
    assert warm.allows_work
    hot = made(ManualClock())
    hot.feed(zones(70))
    assert hot.breaker.state is BreakerState.OPEN


@pytest.mark.claim("TM-03")
@pytest.mark.parametrize("policy", [CONSERVATIVE, AGGRESSIVE])
@pytest.mark.parametrize("on_open", list(OnOpen))
async def test_running_work_stops_within_two_seconds_of_the_crossing(
    policy: Policy, on_open: OnOpen
) -> None:
    clock = ManualClock()
    breaker = made(clock, policy)
    begun = clock.monotonic()
    ticks: list[float] = []

    async def read() -> list[Zone]:
        # A ramp of 1 C a second, from well below; down again after 60 s.
        at = clock.monotonic() - begun
        return zones(40 + at if at < 60 else 40)

    async def work() -> str:
        while len(ticks) < 600:
            ticks.append(clock.monotonic())
            await clock.sleep(0.1)
        return "done"

    watching = asyncio.create_task(breaker.watch(read))
    running = asyncio.create_task(breaker.run(work, on_open))
    for _ in range(1200):
        await clock.advance(0.1)
    crossing = begun + policy.limits.threshold_c - 40
    gap = next(
        (a, b) for a, b in zip(ticks, ticks[1:] or [0.0], strict=False) if a >= crossing - 0.2
    ) if on_open is not OnOpen.CANCEL else (ticks[-1], 0.0)  # fmt: skip
    late = [at for at in ticks if crossing + 2 < at < begun + 60]
    assert late == []
    assert gap[0] <= crossing + 2
    if on_open is OnOpen.CANCEL:
        with pytest.raises(ThermalExceeded, match=r"gpu at .* above"):
            await running
    else:
        assert await running == "done"
        assert any(at > begun + 60 for at in ticks)
    watching.cancel()


async def test_a_pause_holds_the_work_where_it_is() -> None:
    clock = ManualClock()
    breaker = made(clock)
    breaker.feed(zones(50))
    steps: list[int] = []

    async def work() -> int:
        for nth in range(5):
            steps.append(nth)
            await clock.sleep(1)
        return sum(steps)

    running = asyncio.create_task(breaker.run(work))
    await clock.advance(1.5)
    assert steps == [0, 1]
    breaker.feed(zones(70))
    await clock.advance(30)
    assert steps == [0, 1]
    breaker.feed(zones(60))
    await clock.advance(5)
    assert steps == [0, 1]
    for _ in range(10):
        breaker.feed(zones(55))
        await clock.advance(1)
    assert steps == [0, 1, 2, 3, 4]
    assert await running == 10


async def test_what_work_raises_and_its_cancellation_pass_through() -> None:
    clock = ManualClock()
    breaker = made(clock)
    breaker.feed(zones(50))
    ended: list[str] = []

    async def fails() -> None:
        await clock.sleep(0)
        raise ValueError("mine")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    for on_open in OnOpen:
        with pytest.raises(ValueError, match="mine"):
            await breaker.run(fails, on_open)
        task = asyncio.create_task(breaker.run(waits, on_open))
        await clock.advance(0.1)
        breaker.feed(zones(70))
        await clock.advance(0.1)
        if on_open is OnOpen.CANCEL:
            with pytest.raises(ThermalExceeded):
                await task
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        breaker.feed(zones(50))
    assert ended == ["cleaned up"] * 3


async def test_as_a_context_it_waits_and_ends_the_body() -> None:
    clock = ManualClock()
    breaker = made(clock)
    breaker.feed(zones(70))
    entered: list[str] = []

    async def body() -> None:
        async with breaker.guard():
            entered.append("in")
            await clock.sleep(100)

    task = asyncio.create_task(body())
    await clock.advance(1)
    assert entered == []
    breaker.feed(zones(50))
    await clock.advance(1)
    assert entered == ["in"]
    breaker.feed(zones(66))
    await clock.advance(0.1)
    with pytest.raises(ThermalExceeded) as error:
        await task
    assert error.value.hint == "It may run again at 55 C."


async def test_a_body_that_ends_in_time_is_left_alone() -> None:
    breaker = made(ManualClock())
    breaker.feed(zones(50))
    async with breaker.guard():
        pass
    breaker.feed(zones(70))
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_as_a_decorator() -> None:
    clock = ManualClock()
    breaker = made(clock)
    breaker.feed(zones(50))
    begun: list[int] = []

    @breaker.guarded(OnOpen.RESTART)
    async def job(number: int) -> int:
        begun.append(number)
        await clock.sleep(5)
        return number

    task = asyncio.create_task(job(7))
    await clock.advance(1)
    breaker.feed(zones(70))
    await clock.advance(1)
    for _ in range(6):
        breaker.feed(zones(50))
        await clock.advance(1)
    assert await task == 7
    assert begun == [7, 7]


@pytest.mark.claim("TM-03")
@pytest.mark.parametrize("on_open", list(OnOpen))
async def test_work_does_not_go_on_while_nobody_feeds_it(on_open: OnOpen) -> None:
    clock = ManualClock()
    breaker = made(clock)
    breaker.feed(zones(50))
    ticks: list[float] = []

    async def work() -> None:
        while True:
            ticks.append(clock.monotonic())
            await clock.sleep(0.1)

    begun = clock.monotonic()
    task = asyncio.create_task(breaker.run(work, on_open))
    await clock.advance(20)
    assert ticks[-1] - begun <= BLIND_S + 1
    assert "no temperature" in breaker.breaker.reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.claim("TM-03")
@pytest.mark.parametrize("fault", ["error", "hang", "nothing"])
async def test_a_sensor_that_is_lost_opens_it(fault: str) -> None:
    clock = ManualClock()
    breaker = made(clock)
    good = True

    async def read() -> list[Zone]:
        if good:
            return zones(50)
        if fault == "error":
            raise CommandError("gone")
        if fault == "hang":
            # As the link reports a command that does not end.
            await clock.sleep(2)
            raise TimeoutError
        return []

    watching = asyncio.create_task(breaker.watch(read))
    await clock.advance(2)
    states = [breaker.allows_work]
    good = False
    for _ in range(60):
        await clock.advance(0.1)
    states.append(breaker.allows_work)
    assert states == [True, False]
    assert "no temperature" in breaker.breaker.reason
    watching.cancel()


async def test_transitions_are_told_once_each() -> None:
    told: list[tuple[str, str]] = []

    def tell(before: Breaker, after: Breaker) -> None:
        told.append((before.state, after.state))

    breaker = ThermalCircuitBreaker(limits_of(CONSERVATIVE), ManualClock(), on_transition=tell)
    temperatures: list[float] = [50, 66, 67, 68, 64, 60, 55, 54]
    for celsius in temperatures:
        breaker.feed(zones(celsius))
    assert told == [
        ("cooling", "closed"), ("closed", "open"), ("open", "cooling"), ("cooling", "half open"),
    ]  # fmt: skip
