"""What the fields of a sample mean together: which zone counts, which rails make the total."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cohete.tegra.stats import Rail, TegraStats, Zone

NOT_THE_MODULE = frozenset({"pmic", "tboard", "iwlwifi"})
"""Zones that are constants (PMIC), the carrier board, or the WLAN card, in lower case."""

DERIVED = frozenset({"tj", "thermal"})
"""Zones computed from others: tj is their maximum, thermal a weighted estimate for the fan."""

TOTAL_RULES: tuple[tuple[str, ...], ...] = (
    ("VDD_IN",),
    ("VIN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
"""The first rule whose rails are all printed gives the module's total.

Xavier NX, TX1, TX2, Orin Nano and NX measure VDD_IN; Thor VIN; Nano POM_5V_IN; AGX Orin has
three supplies (VDDQ_VDD2_1V8AO lies inside VIN_SYS_5V0) and AGX Xavier six.
"""


class Reading(NamedTuple):
    """What a sample says about the module as a whole; None is unknown."""

    hottest_c: float | None
    power_mw: int | None
    ram_percent: float | None
    gpu_percent: int | None
    cpu_percent: float | None


def reading_of(stats: TegraStats) -> Reading:
    """The whole of a sample, worked out once."""
    hottest = hottest_zone(stats.zones)
    return Reading(
        None if hottest is None else hottest.celsius,
        module_power_mw(stats.rails),
        stats.ram_percent,
        stats.gpu_percent,
        stats.cpu_percent,
    )


def hottest_zone(zones: Sequence[Zone]) -> Zone | None:
    """The hottest valid zone; at the same heat a real place wins over tj, which only repeats it."""
    best: Zone | None = None
    best_c = -1e9
    for nth in _places(tuple([zone.name for zone in zones])):
        zone = zones[nth]
        celsius = zone.celsius
        if celsius is not None and celsius > best_c:
            best, best_c = zone, celsius
    return best


@lru_cache(maxsize=1024)
def _places(names: tuple[str, ...]) -> tuple[int, ...]:
    """Which zones measure the module: real places first, then what is derived from them."""
    lower = [name.lower() for name in names]
    real = [nth for nth, name in enumerate(lower) if name not in NOT_THE_MODULE | DERIVED]
    return (*real, *[nth for nth, name in enumerate(lower) if name in DERIVED])


def module_power_mw(rails: Sequence[Rail]) -> int | None:
    """Total input power in mW by the module's rule; None where no rule is complete."""
    inputs = _inputs(tuple([rail.name for rail in rails]))
    return sum([rails[nth].cur_mw for nth in inputs]) if inputs else None


@lru_cache(maxsize=1024)
def _inputs(names: tuple[str, ...]) -> tuple[int, ...]:
    """Which rails make the module's total: of a name that repeats the first."""
    for rule in TOTAL_RULES:
        if all(name in names for name in rule):
            return tuple(names.index(name) for name in rule)
    return ()


def contradicted_by(rails: Iterable[Rail]) -> Rail | None:
    """A rail that draws more than the single rail said to feed it, or None.

    Some third-party carriers swap the labels of a Nano's INA3221 channels; a total that is
    smaller than one of its parts is worth a word beside the number.
    """
    by_name: dict[str, Rail] = {}
    for rail in rails:
        by_name.setdefault(rail.name, rail)
    for rule in TOTAL_RULES:
        if len(rule) == 1 and rule[0] in by_name:
            total = by_name[rule[0]].cur_mw
            worst = max(by_name.values(), key=lambda rail: rail.cur_mw)
            return worst if worst.cur_mw > total else None
    return None
