"""Which numbers of a sample are kept, under which names and in which units. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cohete.tegra import TegraStats
from cohete.tegra.rules import Reading

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


def scales_of(columns: Sequence[str]) -> list[int]:
    """What a number of `row_of` is multiplied by to be the integer that is stored."""
    return [_SCALES.get(name.partition(".")[0].rpartition("_")[2], 1) for name in columns]


_SCALES = {"mc": 1000, "permille": 10}


def row_of(stats: TegraStats, reading: Reading) -> list[float | None]:
    """The numbers of a sample as they were printed: C, mW, MB, %, MHz. None is unknown."""
    hottest_c, power_mw, _, gpu_percent, cpu_percent = reading
    row: list[float | None] = [
        hottest_c,
        power_mw,
        stats.ram_used_mb,
        stats.swap_used_mb,
        gpu_percent,
        stats.gpu_mhz[0] if stats.gpu_mhz else None,
        cpu_percent,
        stats.emc_percent,
    ]
    row += [zone.celsius for zone in stats.zones]
    row += [rail.cur_mw for rail in stats.rails]
    return row
