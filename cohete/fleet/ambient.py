"""The air around a board, from what its policy names."""

from __future__ import annotations

from collections import deque

from cohete.config.thermal import AmbientRule
from cohete.fleet.state import Device
from cohete.thermal.policy import estimated_ambient_c

IDLE_GPU_PERCENT = 5
IDLE_SAMPLES, IDLE_EVERY_S, IDLE_FORGET_S, IDLE_LEAST = 120, 30.0, 3600.0, 4
"""Of an idle board: how many temperatures are kept, how often, for how long, and are enough."""


def ambient_c(
    device: Device, source: AmbientRule | None, idle: deque[tuple[float, float]]
) -> float | None:
    """The air around the board from what the policy names: a number, a zone, the idle board."""
    stats, reading = device.stats, device.reading
    if source is None or stats is None or reading is None:
        return None
    if source.temperature_c is not None:
        return source.temperature_c
    if source.zone is not None:
        wanted = source.zone.casefold()
        found = (zone.celsius for zone in stats.zones if zone.name.casefold() == wanted)
        return next(found, None)
    if source.idle_rise_c is None:
        return None
    now = device.stats_at
    is_idle = reading.gpu_percent is not None and reading.gpu_percent <= IDLE_GPU_PERCENT
    is_due = not idle or now - idle[-1][0] >= IDLE_EVERY_S
    if is_idle and is_due and reading.hottest_c is not None:
        idle.append((now, reading.hottest_c))
    lately = [celsius for at, celsius in idle if now - at <= IDLE_FORGET_S]
    if len(lately) < IDLE_LEAST:
        return None
    # An estimate may lower the limits and never raises them.
    return max(source.reference_c, estimated_ambient_c(min(lately), source.idle_rise_c))
