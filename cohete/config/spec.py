"""A device to watch, as the rest of the core wants it: one value, whatever it was written as."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cohete.config.target import Target

if TYPE_CHECKING:
    from cohete.config.thermal import ThermalPolicy


class Reach(StrEnum):
    """The kinds of link."""

    SSH = "ssh"
    LOCAL = "local"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """Which device, how it is reached and how it is watched."""

    id: str
    target: Target
    reach: Reach = Reach.SSH
    identity_file: str | None = None
    jumps: tuple[Target, ...] | None = None
    file: Path | None = None
    enabled: bool = True
    sudo: bool = False
    read_only: bool = False
    interval_ms: int = 1000
    tags: tuple[str, ...] = ()
    site: str | None = None
    memory_budget_mb: int | None = None
    limits: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    moved_to: str = ""
    """Where it is reached now, with the key and the port of `target`; empty is there."""
    mac: str | None = None
    power_profile: str | None = None
    thermal_name: str = ""
    thermal: ThermalPolicy | None = None
    """The policy of its circuit breaker; None where nobody asked for one."""

    @property
    def place(self) -> str:
        """Where the board is, whatever it is called and whoever logs in."""
        if self.reach is not Reach.SSH:
            return str(self.reach)
        hops = [self.target, *(self.jumps or ())]
        return " via ".join(f"{hop.host.casefold()} {hop.port or 22}" for hop in hops)
