"""One step at a time towards a limit, and back up only when it will hold. Pure.

For whatever has levels and something measured that must stay below a limit: power modes under a
power budget, the batch of a server under memory pressure, clocks under a temperature. Level 0 is
everything allowed; each level after it is less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """When to move. Values have the unit of what is measured.

    A value at or above `high` asks for one level less, one at or below `low` for `up_after_s`
    allows one more. After a move nothing is decided for `settle_s`. A level that had to be left
    again within `probation_s` is not tried anew for `retry_after_s`, unless the value has fallen
    by the whole band below where that try began: then the load is another one.
    """

    levels: int
    high: float
    low: float
    settle_s: float
    up_after_s: float
    probation_s: float = 900.0
    retry_after_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.levels < 1:
            raise ValueError("there is at least one level")


_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where it stands; times are monotonic seconds."""

    level: int = 0
    moved_at_s: float = _NEVER
    tried_at_s: float = _NEVER
    """When it last went up, and from which value."""
    tried_from: float = _NEVER
    failed_at_s: float = _NEVER
    """When that try had to be taken back."""
    low_since_s: float | None = None


def move(ladder: Ladder, rules: Rules, now_s: float, value: float | None) -> Ladder:
    """The next state. An unknown value asks for one level less: blind is no reason to go on.

    At most one level per call, and none within `settle_s` of the last.
    """
    since = now_s if ladder.low_since_s is None else ladder.low_since_s
    is_low = value is not None and value <= rules.low
    ladder = replace(ladder, low_since_s=since if is_low else None)
    if now_s - ladder.moved_at_s < rules.settle_s:
        return ladder
    if value is None or value >= rules.high:
        if ladder.level >= rules.levels - 1:
            return ladder
        failed = now_s - ladder.tried_at_s <= rules.probation_s
        return replace(
            ladder, level=ladder.level + 1, moved_at_s=now_s,
            failed_at_s=now_s if failed else ladder.failed_at_s,
        )  # fmt: skip
    if is_low and ladder.level > 0 and now_s - since >= rules.up_after_s:
        rested = now_s - ladder.failed_at_s >= rules.retry_after_s
        if rested or value <= ladder.tried_from - (rules.high - rules.low):
            return replace(
                ladder, level=ladder.level - 1, moved_at_s=now_s, tried_at_s=now_s,
                tried_from=value, low_since_s=now_s,
            )  # fmt: skip
    return ladder
