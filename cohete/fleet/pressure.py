"""Memory pressure of a fleet, from the samples: told once when it comes, and when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import cycle

from cohete.clock import Clock
from cohete.device.memory import BoardMemory
from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete.memory.pressure import (
    LARGE_BLOCK_KB,
    LEAST_LOSS_SHARE,
    PSI_FULL_PERCENT,
    PSI_SOME_PERCENT,
    SWAP_RATE_MB_S,
    Level,
    Moment,
    Pressure,
    assess,
)
from cohete.tegra.stats import TegraStats

PERIOD_S = 1.0
PARTS = 10
"""Of the devices one part after the other is looked at: no key waits for a thousand boards."""
KEPT = 16
CALM_S = 20.0
"""So long without a cause before it counts as over: pressure that comes and goes is one."""
KERNEL_S = 90.0
"""What the kernel told counts until it is asked again, and no longer than this."""
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
    kernel: BoardMemory | None = None
    kernel_at_s: float = 0.0
    swapped_mb_s: float | None = None

    def hear(self) -> None:
        """Take what the kernel told with the facts, and what was swapped since it was asked."""
        device = self.device
        if device.facts is None or device.facts_at == self.kernel_at_s:
            return
        before, before_s = self.kernel, self.kernel_at_s
        self.kernel, self.kernel_at_s = device.facts.memory, device.facts_at
        self.swapped_mb_s = _swapped_mb_s(before, self.kernel, self.kernel_at_s - before_s)

    def moment(self) -> Moment | None:
        """The newest sample, with what the kernel told if that is as new; None without a sample."""
        device = self.device
        if device.stats is None:
            return None
        moment = moment_of(device.stats, device.stats_at)
        kernel = self.kernel
        if kernel is None or abs(device.stats_at - self.kernel_at_s) > KERNEL_S:
            return moment
        return moment._replace(
            psi_some=kernel.psi_some,
            psi_full=kernel.psi_full,
            swap_is_zram=kernel.swap_is_zram,
            swapped_mb_s=self.swapped_mb_s,
        )


class PressureKeeper:
    """Watches the memory of every device until cancelled. It only tells."""

    def __init__(self, store: FleetStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.by_id = {device.id: DevicePressure(device) for device in store}

    async def run(self) -> None:
        """Assess what is new, each device once a second."""
        parts = [list(self.by_id.values())[nth::PARTS] for nth in range(PARTS)]
        for part in cycle(parts):
            await self._clock.sleep(PERIOD_S / PARTS)
            self._look_at(part)

    def look(self) -> None:
        """Assess every device that has a new sample."""
        self._look_at(self.by_id.values())

    def _look_at(self, devices: Iterable[DevicePressure]) -> None:
        for each in devices:
            device = each.device
            each.hear()
            if device.samples != each.samples and (moment := each.moment()) is not None:
                each.samples = device.samples
                each.moments.append(moment)
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


def _swapped_mb_s(before: BoardMemory | None, now: BoardMemory, span_s: float) -> float | None:
    """MiB a second in and out of swap between two readings; None where that is unknown."""
    if before is None or span_s <= 0:
        return None
    pages = [before.swapped_in, before.swapped_out, now.swapped_in, now.swapped_out]
    known = [page for page in pages if page is not None]
    if len(known) < len(pages):
        return None
    moved = known[2] + known[3] - known[0] - known[1]
    # Fewer than before: the board was started anew.
    return None if moved < 0 else moved * now.page_bytes / 1_048_576 / span_s


def _has_plenty(each: DevicePressure) -> bool:
    """Whether there is nothing to assess: nothing was lost lately, and what is left is whole.

    Nearly every board, nearly every time; with a thousand of them it has to cost next to nothing.
    """
    newest, oldest = each.moments[-1], each.moments[0]
    if newest.available_mb < LEFT_SHARE * newest.total_mb:
        return False
    if newest.lfb_kb is not None and newest.lfb_kb < LARGE_BLOCK_KB:
        return False
    if (newest.psi_some or 0) >= PSI_SOME_PERCENT or (newest.psi_full or 0) >= PSI_FULL_PERCENT:
        return False
    if (newest.swapped_mb_s or 0) >= SWAP_RATE_MB_S:
        return False
    if (newest.swap_used_mb or 0) - (oldest.swap_used_mb or 0) >= SWAP_RATE_MB_S:
        return False
    most = max([moment.available_mb for moment in each.moments])
    return most - newest.available_mb < LEAST_LOSS_SHARE * newest.total_mb
