"""Everything about power on a board that can be read in one command: mode, clocks, fan."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.control.change import Sections
from cohete.errors import ChangeRefused
from cohete.links.commands import POWER_PROBES, POWER_VALUES, Probe
from cohete.power.clocks import SHOW, STORED, read_clocks
from cohete.power.fan import FAN_PROBES, FanState, parse_fan
from cohete.power.jetson_clocks import Clocks
from cohete.power.reading import BoardPower, power_from


@dataclass(frozen=True, slots=True)
class PowerState:
    """What a board says; `clocks` None with the reason in `clocks_note`."""

    power: BoardPower
    clocks: Clocks | None
    clocks_note: str
    fan: FanState


def state_probes(*, sudo: bool) -> tuple[Probe, ...]:
    """What to read. jetson_clocks needs root even to show: only where sudo was allowed."""
    clocks = (SHOW, STORED) if sudo else ()
    return (*POWER_PROBES, POWER_VALUES, *FAN_PROBES, *clocks)


def state_from(device: str, board: Sections, *, sudo: bool) -> PowerState:
    """The state from what the board said. Never raises."""
    clocks: Clocks | None = None
    note = "" if sudo else "jetson_clocks needs root to show them: `sudo: true` allows it"
    if sudo:
        try:
            clocks = read_clocks(device, board)
        except ChangeRefused as error:
            note = error.what
    return PowerState(power_from(dict(board)), clocks, note, parse_fan(board))
