"""What a thermal policy means on one board, now: its limits by mode, ambient and module. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WARNING_MARGIN_C = 5.0
"""So far below the threshold a warning begins, unless the policy says otherwise."""
TRIP_MARGIN_C = 2.0
"""A breaker acts before the module throttles by itself."""
COOL_MARGIN_C = 5.0
"""A board never cools below the air around it: the cool-down limit stays this far above."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A threshold and the temperature to fall to before work goes on, in C."""

    threshold_c: float
    cooldown_c: float


@dataclass(frozen=True, slots=True)
class Ambient:
    """How limits follow the air around the board.

    For each degree above `reference_c` the threshold falls by `per_c`, and rises below it, never
    by more than `most_c`: in warm air the heat sink is slower to recover.
    """

    reference_c: float = 25.0
    per_c: float = 0.3
    most_c: float = 5.0

    def shift_c(self, ambient_c: float) -> float:
        """What is added to both limits at this ambient temperature."""
        return max(-self.most_c, min(self.most_c, self.per_c * (self.reference_c - ambient_c)))


@dataclass(frozen=True, slots=True)
class Policy:
    """A thermal policy as it is configured. `modes`: other limits by the name of a power mode."""

    name: str
    limits: Pair
    interval_s: float
    warning_margin_c: float = WARNING_MARGIN_C
    modes: Mapping[str, Pair] = field(default_factory=dict)
    ambient: Ambient | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts now, in C; `why` says what moved it from the policy's own values."""

    threshold_c: float
    cooldown_c: float
    warning_c: float
    interval_s: float
    why: tuple[str, ...] = ()

    def margin_c(self, celsius: float) -> float:
        """How far a temperature is below the threshold; negative above it."""
        return self.threshold_c - celsius


CONSERVATIVE = Policy("conservative", Pair(65, 55), 0.5)
AGGRESSIVE = Policy("aggressive", Pair(75, 65), 1.0)


def limits_of(
    policy: Policy,
    *,
    mode: str = "",
    ambient_c: float | None = None,
    trip_c: float | None = None,
) -> Limits:
    """The limits of a policy in a power mode (by name), at an ambient temperature, on a module
    that throttles at `trip_c`. What is unknown moves nothing.
    """
    why: list[str] = []
    pair = policy.limits
    override = next(
        (pair for name, pair in policy.modes.items() if name.casefold() == mode.casefold()), None
    )
    if override is not None:
        pair = override
        why.append(f"mode {mode}")
    threshold, cooldown = pair.threshold_c, pair.cooldown_c
    gap = threshold - cooldown
    if policy.ambient is not None and ambient_c is not None:
        shift = policy.ambient.shift_c(ambient_c)
        if shift:
            threshold, cooldown = threshold + shift, cooldown + shift
            why.append(f"ambient {ambient_c:.0f} C: {shift:+.1f} C")
    if trip_c is not None and threshold > trip_c - TRIP_MARGIN_C:
        threshold = trip_c - TRIP_MARGIN_C
        cooldown = min(cooldown, threshold - min(gap, WARNING_MARGIN_C))
        why.append(f"the module throttles at {trip_c:g} C")
    if ambient_c is not None and cooldown < ambient_c + COOL_MARGIN_C:
        cooldown = min(ambient_c + COOL_MARGIN_C, threshold - 1.0)
        why.append(f"it cannot cool below the air at {ambient_c:.0f} C")
    warning = max(cooldown, threshold - policy.warning_margin_c)
    return Limits(threshold, cooldown, warning, policy.interval_s, tuple(why))


def estimated_ambient_c(idle_c: float, idle_rise_c: float) -> float:
    """The air around a board from its temperature after a long idle time.

    `idle_rise_c`: by how much it is warmer than the air when idle, measured once.
    """
    return idle_c - idle_rise_c
