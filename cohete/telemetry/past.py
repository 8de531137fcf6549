"""What is known of a device's past, as whoever draws or prints it takes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Past:
    """Points in the order of time; by name mean, lowest and highest. None is unknown."""

    times_ms: list[int]
    means: dict[str, list[int | None]]
    lows: dict[str, list[int | None]]
    highs: dict[str, list[int | None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past is kept."""

    raw_s: float = 86_400
    minutes_s: float = 7 * 86_400
    tens_s: float = 90 * 86_400
    max_bytes: int = 2 * 1024**3
    free_share: float = 0.05
    """Part of the disk that is left free, whatever else."""
