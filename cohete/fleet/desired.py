"""What the configuration wants of the boards: power profiles as actions."""

from __future__ import annotations

from collections.abc import Iterable

from cohete.config.control import Control, Power
from cohete.config.spec import DeviceSpec
from cohete.errors import ConfigError
from cohete.power.clocks import HOT_C
from cohete.power.profiles import BUILT_IN, Profile


def hot_c(specs: Iterable[DeviceSpec], otherwise_c: float = HOT_C) -> float:
    """From where on, in C, clocks are not locked on any of these: the lowest warning of their
    thermal policies, `otherwise_c` where one has none."""
    policies = [spec.thermal for spec in specs] or [None]
    return min(
        otherwise_c if each is None else each.threshold_c - each.warning_margin_c
        for each in policies
    )


def profile_named(
    name: str, power: Power, control: Control, specs: Iterable[DeviceSpec] = ()
) -> Profile:
    """A profile of the configuration, else a built-in one, for these devices. Raises ConfigError.

    Clocks are not locked from the warning of their thermal policies on.
    """
    limit_c = hot_c(specs)
    drain, finish = tuple(control.drain), tuple(control.finish)
    written = power.profiles.get(name)
    if written is not None:
        clocks = None if written.clocks is None else written.clocks == "locked"
        return Profile(name, written.mode, clocks, written.fan, limit_c, drain, finish)
    if name not in BUILT_IN:
        names = ", ".join([*power.profiles, *BUILT_IN])
        raise ConfigError(f"there is no power profile {name!r}", hint=f"There are: {names}.")
    built_in = BUILT_IN[name]
    return Profile(name, built_in.mode, built_in.clocks, built_in.fan, limit_c, drain, finish)


def desired(spec: DeviceSpec, power: Power, control: Control) -> Profile | None:
    """What the configuration wants of a device; None where it says nothing."""
    if spec.power_profile is None:
        return None
    return profile_named(spec.power_profile, power, control, [spec])
