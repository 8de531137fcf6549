"""What the configuration wants of the boards: power profiles as actions."""

from __future__ import annotations

from cohete.config.control import Control, Power
from cohete.config.spec import DeviceSpec
from cohete.errors import ConfigError
from cohete.power.clocks import HOT_C
from cohete.power.profiles import BUILT_IN, Profile


def profile_named(
    name: str, power: Power, control: Control, spec: DeviceSpec | None = None
) -> Profile:
    """A profile of the configuration, else a built-in one. Raises ConfigError.

    Clocks are not locked from the warning of the device's thermal policy on.
    """
    policy = spec.thermal if spec is not None else None
    limit_c = policy.threshold_c - policy.warning_margin_c if policy is not None else HOT_C
    drain = tuple(control.drain)
    written = power.profiles.get(name)
    if written is not None:
        clocks = None if written.clocks is None else written.clocks == "locked"
        return Profile(name, written.mode, clocks, written.fan, limit_c, drain)
    if name not in BUILT_IN:
        names = ", ".join([*power.profiles, *BUILT_IN])
        raise ConfigError(f"there is no power profile {name!r}", hint=f"There are: {names}.")
    built_in = BUILT_IN[name]
    return Profile(name, built_in.mode, built_in.clocks, built_in.fan, limit_c, drain)


def desired(spec: DeviceSpec, power: Power, control: Control) -> Profile | None:
    """What the configuration wants of a device; None where it says nothing."""
    if spec.power_profile is None:
        return None
    return profile_named(spec.power_profile, power, control, spec)
