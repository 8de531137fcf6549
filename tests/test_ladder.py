"""One step at a time, with hysteresis."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.ladder import Ladder, Rules, move

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
