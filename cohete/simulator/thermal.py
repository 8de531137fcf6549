"""A two-node RC network: a die that heats fast on a heat sink that heats slowly."""

from __future__ import annotations

from dataclasses import dataclass

_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Cooling:
    """Heat capacities in J/K and resistances in K/W; the fan lowers the one to the air."""

    die_j_per_k: float
    sink_j_per_k: float
    die_to_sink_k_per_w: float
    sink_to_air_k_per_w: float
    fan_share: float = 0.6
    """By how much a fan at full speed lowers the resistance to the air."""


@dataclass(slots=True)
class ThermalState:
    """Temperatures in C, stepped forward by `advance`."""

    cooling: Cooling
    die_c: float
    sink_c: float

    def advance(self, seconds: float, *, power_w: float, fan: float, ambient_c: float) -> None:
        """Let `seconds` pass at this power, fan duty (0 to 1) and ambient temperature."""
        cooling = self.cooling
        to_air = cooling.sink_to_air_k_per_w * (1 - cooling.fan_share * fan)
        while seconds > 1e-9:
            step = min(_STEP_S, seconds)
            seconds -= step
            flow = (self.die_c - self.sink_c) / cooling.die_to_sink_k_per_w
            out = (self.sink_c - ambient_c) / to_air
            self.die_c += step * (power_w - flow) / cooling.die_j_per_k
            self.sink_c += step * (flow - out) / cooling.sink_j_per_k

    def settled_c(self, *, power_w: float, fan: float, ambient_c: float) -> float:
        """Where the die ends up if nothing changes any more."""
        cooling = self.cooling
        to_air = cooling.sink_to_air_k_per_w * (1 - cooling.fan_share * fan)
        return ambient_c + power_w * (cooling.die_to_sink_k_per_w + to_air)
