"""Which numbers of a sample are kept, under which names and in which units. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.tegra import TegraStats

UNKNOWN = -(2**31)
"""Stands for None in rows of 32-bit integers."""

BASIC = (
    "hottest_mc", "power_mw", "ram_mb", "swap_mb", "gpu_percent", "gpu_mhz", "cpu_permille",
    "emc_percent",
)  # fmt: skip
"""Of every board: millidegrees, mW, MiB, %, MHz, and the mean CPU load in thousandths."""

ZONE, RAIL = "zone_mc.", "rail_mw."
"""Before the name of a zone or a rail as it is printed."""


@dataclass(frozen=True, slots=True)
class Unit:
    """How a stored integer reads: divided by `divisor`, in `unit`."""

    divisor: int
    unit: str


_UNITS = {
    "mc": Unit(1000, "C"), "mw": Unit(1000, "W"), "mb": Unit(1, "MB"), "percent": Unit(1, "%"),
    "mhz": Unit(1, "MHz"), "permille": Unit(10, "%"),
}  # fmt: skip


def unit_of(column: str) -> Unit:
    """Unit of a column by the end of its name. Raises KeyError."""
    return _UNITS[column.partition(".")[0].rpartition("_")[2]]


def columns_of(stats: TegraStats) -> tuple[str, ...]:
    """Names of what `row_of` gives, in its order."""
    return (
        *BASIC,
        *[ZONE + zone.name for zone in stats.zones],
        *[RAIL + rail.name for rail in stats.rails],
    )


def row_of(stats: TegraStats, gpu_percent: int | None) -> list[int]:
    """The numbers of a sample as 32-bit integers; UNKNOWN is None.

    `gpu_percent` is given, because some boards tell it elsewhere than in tegrastats.
    """
    hottest = stats.hottest
    cpu_percent = stats.cpu_percent
    basic = (
        hottest.celsius * 1000 if hottest is not None and hottest.celsius is not None else None,
        stats.power_mw,
        stats.ram_used_mb,
        stats.swap_used_mb,
        gpu_percent,
        stats.gpu_mhz[0] if stats.gpu_mhz else None,
        None if cpu_percent is None else cpu_percent * 10,
        stats.emc_percent,
    )
    row = [UNKNOWN if value is None else _bounded(value) for value in basic]
    row += [UNKNOWN if z.celsius is None else _bounded(z.celsius * 1000) for z in stats.zones]
    row += [_bounded(rail.cur_mw) for rail in stats.rails]
    return row


def _bounded(value: float) -> int:
    return max(-(2**31) + 1, min(2**31 - 1, round(value)))
