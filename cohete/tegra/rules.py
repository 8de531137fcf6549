"""What the fields of a sample mean together: which zone counts, which rails make the total."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cohete.tegra.stats import Rail, Zone

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


def hottest_zone(zones: Iterable[Zone]) -> Zone | None:
    """The hottest valid zone; at the same heat a real place wins over tj, which only repeats it."""
    best: Zone | None = None
    best_c = -1e9
    for zone in zones:
        celsius = zone.celsius
        if celsius is None or celsius < best_c:
            continue
        name = zone.name.lower()
        if name in NOT_THE_MODULE or (
            best is not None and celsius == best_c and not _repeats(best, name)
        ):
            continue
        best, best_c = zone, celsius
    return best


def _repeats(best: Zone, name: str) -> bool:
    """Whether `name` is a place and the best so far only repeats the hottest place."""
    return best.name.lower() in DERIVED and name not in DERIVED


def module_power_mw(rails: Iterable[Rail]) -> int | None:
    """Total input power in mW by the module's rule; None where no rule is complete."""
    by_name: dict[str, int] = {}
    for rail in rails:
        by_name.setdefault(rail.name, rail.cur_mw)
    for rule in TOTAL_RULES:
        if all(map(by_name.__contains__, rule)):
            return sum(map(by_name.__getitem__, rule))
    return None


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
