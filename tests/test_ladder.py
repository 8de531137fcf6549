"""One step at a time, with hysteresis; and a board under load that settles."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.ladder import Ladder, Rules, move
from cohete.simulator.board import SimBoard, Workload

RULES = Rules(levels=4, high=80, low=60, settle_s=10, up_after_s=30)


def test_down_at_once_up_after_a_while() -> None:
    ladder = move(Ladder(), RULES, 0, 85)
    assert ladder.level == 1
    assert move(ladder, RULES, 5, 90).level == 1
    ladder = move(ladder, RULES, 10, 90)
    assert ladder.level == 2
    for now in range(11, 60):
        ladder = move(ladder, RULES, now, 50)
    assert ladder.level == 1
    assert ladder.moved_at_s == 41


def test_between_the_limits_nothing_moves() -> None:
    ladder = Ladder(level=2)
    for now in range(500):
        ladder = move(ladder, RULES, now, 70)
    assert ladder.level == 2


def test_blind_means_less() -> None:
    assert move(Ladder(), RULES, 0, None).level == 1


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="must be below"):
        Rules(2, 50, 50, 1, 1)
    with pytest.raises(ValueError, match="at least one"):
        Rules(0, 50, 40, 1, 1)


@pytest.mark.claim("MM-09")
@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=200))
def test_one_level_at_a_time_and_never_out_of_range(values: list[float | None]) -> None:
    ladder = Ladder()
    moves = [ladder]
    for now, value in enumerate(values):
        ladder = move(ladder, RULES, float(now), value)
        moves.append(ladder)
    for before, after in pairwise(moves):
        assert abs(after.level - before.level) <= 1
        assert 0 <= after.level < RULES.levels
    changed = [each.moved_at_s for a, each in pairwise(moves) if a.level != each.level]
    assert all(b - a >= RULES.settle_s for a, b in pairwise(changed))


@pytest.mark.claim("TM-10")
@pytest.mark.parametrize(("module", "ambient_c"), [("orin-nano-8gb", 38), ("agx-orin-64gb", 40)])
def test_an_hour_under_load_settles(module: str, ambient_c: float) -> None:
    clock = ManualClock()
    board = SimBoard("b", module, clock, workload=Workload.TRAINING, ambient_c=ambient_c)
    modes = sorted(
        board.module.modes,
        key=lambda mode: -(mode.gpu_mhz or 10_000) * mode.cores * (mode.cpu_mhz or 3_000),
    )
    board.set_mode(modes[0])
    board.settle(900)
    free = board.thermal.die_c
    high = free - 3
    rules = Rules(len(modes), high, high - 5, settle_s=60, up_after_s=120)
    ladder = Ladder()
    seen: list[float] = []
    for _ in range(3600):
        clock.step(1)
        board.advance()
        before = ladder.level
        ladder = move(ladder, rules, clock.monotonic(), board.thermal.die_c)
        if ladder.level != before:
            board.set_mode(modes[ladder.level])
        seen.append(board.thermal.die_c)
    settled = seen[1800:]
    assert max(settled) - min(settled) <= 5
    assert max(settled) < free
    halves = settled[:900], settled[900:]
    assert abs(sum(halves[0]) - sum(halves[1])) / 900 < 1.5
