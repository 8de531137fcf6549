"""One action on many devices: at most so many at a time, stopped in time, resumed after a death."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.control.outcome import Outcome, Result
from cohete.errors import ConfigError
from cohete.fleet.actions import action_as_dict, action_from
from cohete.fleet.rollout import (
    Rollout,
    RolloutFile,
    Rules,
    Window,
    find_unfinished,
    unfinished,
)
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode


class Died(BaseException):
    """The program ends in the middle."""


class Boards:
    """Boards that take a turn of the loop each, and fail where told to."""

    def __init__(self, fail: set[str] | None = None) -> None:
        self.fail = fail or set()
        self.now = 0
        self.most = 0
        self.order: list[str] = []

    async def apply(self, name: str) -> Result:
        self.order.append(name)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        outcome = Outcome.UNCHANGED if name in self.fail else Outcome.DONE
        return Result(name, "a change", outcome)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"b{nth}" for nth in range(count))


@pytest.mark.claim("FO-06")
@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 3))
def test_never_more_at_a_time_and_canaries_first(count: int, at_once: int, canary: int) -> None:
    boards = Boards()
    rollout = Rollout(names(count), Rules(at_once, canary), ManualClock())
    asyncio.run(rollout.run(boards.apply))
    assert boards.most <= at_once
    assert sorted(boards.order) == sorted(names(count))
    assert boards.order[:canary] == list(names(count)[:canary])
    assert rollout.is_well


@pytest.mark.claim("FO-06")
async def test_a_failed_member_stops_the_roll() -> None:
    boards = Boards(fail={"b3"})
    rollout = Rollout(names(20), Rules(at_once=2, canary=1), ManualClock())
    await rollout.run(boards.apply)
    assert rollout.stopped == "one failed"
    # The one beside it was under way.
    assert len(rollout.results) <= 5
    assert not rollout.is_well
    assert len(rollout.waiting) == 20 - len(rollout.results)


async def test_a_failed_canary_keeps_all_others() -> None:
    boards = Boards(fail={"b0"})
    rollout = Rollout(names(9), Rules(at_once=4, canary=1, stop_after=5), ManualClock())
    await rollout.run(boards.apply)
    assert boards.order == ["b0"]
    assert rollout.stopped == "the canary failed"


async def test_a_share_of_failures() -> None:
    boards = Boards(fail=set(names(20)))
    rules = Rules(at_once=1, canary=0, stop_share=0.25)
    rollout = Rollout(names(20), rules, ManualClock())
    await rollout.run(boards.apply)
    assert len(boards.order) == 5
    assert rollout.stopped == "5 failed"


@pytest.mark.claim("FO-06")
async def test_nothing_is_begun_outside_the_window() -> None:
    clock = ManualClock(wall_s=1_780_000_000.0)
    minute = int(clock.time() % 86_400 // 60)
    boards = Boards()
    closed = Window((minute + 10) % 1440, (minute + 20) % 1440)
    rollout = Rollout(names(3), Rules(window=closed), clock)
    await rollout.run(boards.apply)
    assert boards.order == []
    assert rollout.stopped == f"the window {closed} is over"
    rollout = Rollout(names(3), Rules(window=Window(minute, (minute + 5) % 1440)), clock)
    await rollout.run(boards.apply)
    assert rollout.is_well


def test_a_window_may_pass_midnight() -> None:
    window = Window(22 * 60, 5 * 60 + 30)
    assert str(window) == "22:00-05:30"
    assert window.holds(23 * 60)
    assert window.holds(0)
    assert not window.holds(6 * 60)
    assert not Window(60, 120).holds(120)


async def test_what_a_dead_program_left_can_go_on(tmp_path: Path) -> None:
    clock = ManualClock()
    action = SetMode("15W", drain=("inference",))
    record = RolloutFile.new(tmp_path, clock, action_as_dict(action))
    rollout = Rollout(names(6), Rules(at_once=1, canary=1), clock, record)
    boards = Boards()

    async def dies(name: str) -> Result:
        if name == "b3":
            raise Died
        return await boards.apply(name)

    with pytest.raises(BaseExceptionGroup):
        await rollout.run(dies)
    found = find_unfinished(tmp_path, "")
    assert found.left == ("b3", "b4", "b5")
    assert action_from(found.action) == action
    again = Rollout(found.left, Rules(), clock, found.record)
    await again.run(boards.apply)
    assert sorted(boards.order) == list(names(6))


def test_a_broken_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    for nth, text in enumerate(("", "{", "[]", '{"action": 1, "devices": [], "done": []}')):
        (tmp_path / "rollouts" / f"{nth}.json").write_text(text)
    assert unfinished(tmp_path) == []
    with pytest.raises(ConfigError, match="no rollout waits"):
        find_unfinished(tmp_path, "")


@pytest.mark.parametrize(
    "action",
    [
        SetMode("MAXN"),
        SetClocks(locked=True, limit_c=70),
        HoldFan(120, 3600),
        AutomaticFan(),
        SetFanProfile("cool"),
    ],
)
def test_every_action_can_be_written_down(action: object) -> None:
    document = action_as_dict(action)  # type: ignore[arg-type]
    assert action_from(document) == action


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "rm"}, {"kind": "power_mode"}, {"kind": "fan_speed", "pwm": "x", "hold_s": 600}],
)
def test_what_is_no_action_is_said(document: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        action_from(document)


async def test_without_its_file_it_does_not_begin(tmp_path: Path) -> None:
    clock = ManualClock()
    (tmp_path / "rollouts").write_text("no folder")
    record = RolloutFile.new(tmp_path, clock, action_as_dict(AutomaticFan()))
    boards = Boards()
    rollout = Rollout(names(3), Rules(), clock, record)
    await rollout.run(boards.apply)
    assert boards.order == []
    assert "how far it came cannot be kept" in rollout.stopped


async def test_a_part_that_is_gone_on_with_does_not_forget_the_rest(tmp_path: Path) -> None:
    clock = ManualClock()
    record = RolloutFile.new(tmp_path, clock, action_as_dict(AutomaticFan()))
    await Rollout(names(4), Rules(canary=0), clock, record).run(Boards(fail={"b0"}).apply)
    found = find_unfinished(tmp_path, "")
    await Rollout(("b2",), Rules(), clock, found.record).run(Boards().apply)
    assert "b2" not in find_unfinished(tmp_path, "").left
    assert "b0" in find_unfinished(tmp_path, "").left
    assert not found.record.is_over


async def test_a_board_that_surprises_does_not_end_the_others() -> None:
    boards = Boards()

    async def surprises(name: str) -> Result:
        if name == "b1":
            raise ValueError("not ours")
        return await boards.apply(name)

    rollout = Rollout(names(4), Rules(at_once=4, canary=0, stop_after=9), ManualClock())
    await rollout.run(surprises)
    assert rollout.results["b1"].outcome is Outcome.UNKNOWN
    assert sorted(boards.order) == ["b0", "b2", "b3"]
