"""Memory pressure of a fleet, from the samples: told once when it comes, and when it is over."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cohete.clock import Clock
from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete.memory.pressure import (
    LARGE_BLOCK_KB,
    LEAST_LOSS_SHARE,
    SWAP_RATE_MB_S,
    Level,
    Moment,
    Pressure,
    assess,
)
from cohete.tegra.stats import TegraStats

PERIOD_S = 1.0
KEPT = 16
CALM_S = 20.0
"""So long without a cause before it counts as over: pressure that comes and goes is one."""
LEFT_SHARE = 0.1
"""With less than this left a board is looked at whatever it lost."""


@dataclass(slots=True)
class DevicePressure:
    """What is known of one device; `calm_since_s` None while there is pressure."""

    device: Device
    moments: deque[Moment] = field(default_factory=lambda: deque(maxlen=KEPT))
    pressure: Pressure = field(default_factory=lambda: Pressure(Level.OK))
    told: Level = Level.OK
    calm_since_s: float | None = None
    samples: int = 0


class PressureKeeper:
    """Watches the memory of every device until cancelled. It only tells."""

    def __init__(self, store: FleetStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.by_id = {device.id: DevicePressure(device) for device in store}

    async def run(self) -> None:
        """Assess what is new once a second."""
        while True:
            await self._clock.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Assess every device that has a new sample."""
        for each in self.by_id.values():
            device = each.device
            if device.stats is not None and device.samples != each.samples:
                each.samples = device.samples
                each.moments.append(moment_of(device.stats, device.stats_at))
                if each.told is not Level.OK or not _has_plenty(each):
                    self._assess(each)

    def _assess(self, each: DevicePressure) -> None:
        each.pressure = pressure = assess(list(each.moments))
        now = self._clock.monotonic()
        if pressure.level is Level.OK:
            if each.told is Level.OK:
                return
            each.calm_since_s = now if each.calm_since_s is None else each.calm_since_s
            if now - each.calm_since_s >= CALM_S:
                each.told, each.calm_since_s = Level.OK, None
                self._store.event(each.device, "memory ok", "memory pressure is over")
            return
        each.calm_since_s = None
        if each.told is Level.OK or (each.told, pressure.level) == (Level.WARNING, Level.CRITICAL):
            each.told = pressure.level
            self._store.event(each.device, "memory", "; ".join(pressure.causes), pressure.advice)


def moment_of(stats: TegraStats, at_s: float) -> Moment:
    """A sample as the assessment wants it.

    tegrastats counts as used what is neither free nor can be freed, so the rest can be had.
    """
    return Moment(
        at_s, stats.ram_total_mb, max(0, stats.ram_total_mb - stats.ram_used_mb),
        stats.swap_used_mb, stats.swap_total_mb, stats.lfb_blocks, stats.lfb_kb,
    )  # fmt: skip


def _has_plenty(each: DevicePressure) -> bool:
    """Whether there is nothing to assess: nothing was lost lately, and what is left is whole.

    Nearly every board, nearly every time; with a thousand of them it has to cost next to nothing.
    """
    newest, oldest = each.moments[-1], each.moments[0]
    if newest.available_mb < LEFT_SHARE * newest.total_mb:
        return False
    if newest.lfb_kb is not None and newest.lfb_kb < LARGE_BLOCK_KB:
        return False
    if (newest.swap_used_mb or 0) - (oldest.swap_used_mb or 0) >= SWAP_RATE_MB_S:
        return False
    most = max([moment.available_mb for moment in each.moments])
    return most - newest.available_mb < LEAST_LOSS_SHARE * newest.total_mb
