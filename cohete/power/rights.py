"""What each feature needs as root: the rules that `cohete sudoers` prints."""

from __future__ import annotations

from collections.abc import Iterable

from cohete.control.commands import RELIEF_RULES
from cohete.control.services import SYSTEMCTL, unit_rule
from cohete.control.sudoers import Feature
from cohete.power import clocks, fan, modes

PROFILES = ("quiet", "cool")
"""NVIDIA's fan profiles; another one needs a rule of its own."""


def features(units: Iterable[str] = (), more: Iterable[str] = ()) -> dict[str, Feature]:
    """Every feature by name; `units` may be stopped and started, `more` are rules as they are."""
    holds = [
        " ".join(fan.guard_argv(hold_s, guard, with_service=with_service))
        for hold_s in fan.HOLDS_S
        for guard in fan.GUARDS
        for with_service in (True, False)
    ]
    edits = [
        " ".join(fan.profile_edit(before, after))
        for before in PROFILES
        for after in PROFILES
        if before != after
    ]
    found = [
        Feature("power", "set the power mode", (modes.SET_RULE,)),
        Feature(
            "clocks", "show, lock and free the clocks",
            (clocks.SHOW_RULE, clocks.STORE_RULE, clocks.LOCK_RULE, clocks.RESTORE_RULE),
        ),
        Feature(
            "fan", "hold the fan at a speed, give it back, set its profile",
            (
                *holds,
                *(f"{SYSTEMCTL} stop {guard}.timer" for guard in fan.GUARDS),
                f"{SYSTEMCTL} stop {fan.SERVICE}",
                f"{SYSTEMCTL} start {fan.SERVICE}",
                "/usr/bin/tee /sys/class/hwmon/hwmon[0-9]/pwm1",
                f"/usr/bin/tee {fan.OLD}/target_pwm",
                f"/usr/bin/tee {fan.OLD}/temp_control",
                *edits,
                f"/bin/rm -f {fan.STATUS}",
            ),
        ),
    ]  # fmt: skip
    found.append(Feature("memory", "drop caches and compact memory under pressure", RELIEF_RULES))
    ways = (("stop", False), ("start", False), ("stop", True), ("start", True), ("restart", True))
    listed = [unit_rule(verb, unit, waits=waits) for unit in units for verb, waits in ways]
    services = tuple(dict.fromkeys([*listed, *more]))
    if services:
        found.append(Feature("services", "hold and let go what is named", services))
    return {feature.name: feature for feature in found}
