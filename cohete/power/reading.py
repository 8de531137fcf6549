"""Reads the power modes of a device: one command, without root."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.device.identity import PowerMode, parse_power_mode
from cohete.links.commands import POWER_PROBES, POWER_VALUES, PROBE_LIMIT_S, look, split_sections
from cohete.links.reopening import ReopeningLink
from cohete.power.drift import Drift, parse_drift
from cohete.power.nvpmodel import Mode, PowerConf, parse_conf
from cohete.text import decode, sanitise_lines


@dataclass(frozen=True, slots=True)
class BoardPower:
    """The modes a board has, and the one it says it is in; None where it does not say."""

    conf: PowerConf
    current: PowerMode | None
    note: str = ""
    """Why something is unknown."""
    drift: tuple[Drift, ...] = ()
    """Where the board is not as its mode says, as far as it may be read without root."""

    @property
    def current_mode(self) -> Mode | None:
        """The active mode as the file defines it, found by its name."""
        return None if self.current is None else self.conf.mode(self.current.name)


async def read_power(link: ReopeningLink) -> BoardPower:
    """Ask a device for its modes. Raises LinkError, CommandError."""
    done = await link.run(look((*POWER_PROBES, POWER_VALUES)), timeout_s=PROBE_LIMIT_S + 5)
    return power_from(split_sections(done.stdout))


def power_from(sections: dict[str, bytes]) -> BoardPower:
    """Modes from the raw output of each probe. Never raises."""
    conf = parse_conf(decode(sections.get("nvpmodel_conf", b"")))
    if not conf.modes:
        # Where nobody may read the file, or it lies elsewhere, the program still lists it.
        conf = parse_conf(decode(sections.get("nvpmodel_listing", b"")))
    answer = decode(sections.get("nvpmodel", b""))
    current = parse_power_mode(answer)
    note = ""
    if not conf.modes:
        said = sanitise_lines(decode(sections.get("nvpmodel_conf", b"")), 200).strip()
        note = f"no modes in /etc/nvpmodel.conf: {said or 'it is empty'}"
    elif current is None:
        note = f"nvpmodel -q says no mode: {sanitise_lines(answer, 200).strip() or 'nothing'}"
    elif conf.mode(current.name) is None:
        note = f"the active mode {current.name} is not in /etc/nvpmodel.conf"
    drift = parse_drift(decode(sections.get(POWER_VALUES.name, b"")))
    return BoardPower(conf, current, note, tuple(drift))
