"""Setting a power mode: by name, resolved on each board; a reboot is a person's to allow.

Sources: the prompts of `nvpmodel -m` as captured; a reboot is asked for where the GPU has been
used since boot and its power-gating mask has to change. The prompt reads standard input, which is
closed here: only a person's yes answers it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from cohete.control.change import (
    Change,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    by_exit_status,
    fed,
    output_of,
)
from cohete.control.services import active_probe, finish_steps, is_active, start_steps, stop_steps
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import POWER_PROBES, Probe
from cohete.power.nvpmodel import Caps, Mode, Outcome, PowerConf, classify
from cohete.power.reading import BoardPower, power_from
from cohete.text import decode

NVPMODEL = "/usr/sbin/nvpmodel"
SET_RULE = f"{NVPMODEL} -m [0-9]"
MOST, DEFAULT, LEAST = "@most", "@default", "@least"
"""Modes by what they mean: uncapped, what the board starts with, the fewest watts."""
SETTLE_S = 5.0
SET_LIMIT_S = 60.0
"""R35 takes up to some 20 s to move a running board between modes."""

CORES_PRESENT = Probe("cores_present", ("cat", "/sys/devices/system/cpu/present"))


@dataclass(frozen=True, slots=True)
class SetMode:
    """The power mode of this name, or of this meaning, whatever its id on a board.

    `drain`: systemd units that are stopped before a reboot, so that work ends in order. `finish`: a
    command that runs on the board before they are, and ends well once nothing is under way.
    """

    name: str
    drain: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    only_from: str = ""
    """Only where the board is in this mode: somebody who has set another one since keeps it."""
    only_down: bool = False
    """Only where that is no more power than now: who wants less of a board never raises it."""

    @property
    def intent(self) -> str:
        return f"set the power mode to {self.name}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (*POWER_PROBES, CORES_PRESENT, *(active_probe(unit) for unit in self.drain))

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the board has no such mode, or does not tell its modes."""
        power = power_from(dict(board))
        mode = _wanted(power, self.name, device)
        now = power.current_mode
        before = _named(now) if now else (power.current.name if power.current else "")
        change = Change(device, self.intent, before, _named(mode))
        if self.only_from and now is not None and not _is(power, now, self.only_from):
            return Change(device, self.intent, before, before)
        if self.only_down and now is not None and _watts(now) < _watts(mode):
            return Change(device, self.intent, before, before)
        is_so = power.current is not None and power.current.name.casefold() == mode.name.casefold()
        if is_so:
            return change
        running = tuple(unit for unit in self.drain if is_active(board, unit))
        asks = now is not None and power.conf.asks_for_reboot(now, mode)
        return Change(
            device, self.intent, before, _named(mode),
            steps=(_set_step(mode),),
            reboot_steps=(*finish_steps(self.finish), *stop_steps(running), _reboot_step(mode)),
            undrain=start_steps(running),
            needs=frozenset({Need.ROOT, *({Need.REBOOT} if asks else ())}),
            notes=tuple(_notes(power, mode, asks=asks, cores=_cores(board))),
            undo=replace(self, name=now.name) if now is not None else None,
            undo_words=f"Undone by setting {now.name} again."
            if now is not None
            else "It cannot be undone: the mode it is in now is not known.",
            settle_s=SETTLE_S,
        )  # fmt: skip


def _is(power: BoardPower, mode: Mode, name: str) -> bool:
    """Whether a mode has that name, or that meaning."""
    if name.startswith("@"):
        return by_meaning(power.conf, name) == mode
    return mode.name.casefold() == name.casefold()


def _wanted(power: BoardPower, name: str, device: str) -> Mode:
    if not power.conf.modes:
        raise ChangeRefused(power.note or "it tells no power modes", where=device)
    mode = by_meaning(power.conf, name) if name.startswith("@") else power.conf.mode(name)
    if mode is None:
        names = ", ".join(each.name for each in power.conf.modes)
        raise ChangeRefused(
            f"it has no power mode {name}", where=device, hint=f"Its modes are: {names}."
        )
    return mode


def by_meaning(conf: PowerConf, meaning: str) -> Mode | None:
    """The mode that is meant on this board; None where it has none of that kind."""
    if meaning == DEFAULT:
        return next((mode for mode in conf.modes if mode.id == conf.default), None)
    if len(conf.modes) == 1:
        return conf.modes[0]
    with_watts = sorted(
        (mode for mode in conf.modes if mode.watts is not None), key=lambda mode: mode.watts or 0
    )
    if meaning == LEAST:
        return with_watts[0] if with_watts else None
    uncapped = [mode for mode in conf.modes if mode.name.upper().startswith("MAXN")]
    if meaning == MOST:
        return uncapped[0] if uncapped else with_watts[-1] if with_watts else None
    return None


def _watts(mode: Mode) -> float:
    """What a mode may take; one without a number is uncapped."""
    return math.inf if mode.watts is None else mode.watts


def _named(mode: Mode) -> str:
    return f"{mode.name} (id {mode.id})"


def _set_step(mode: Mode) -> Step:
    return Step(
        f"set {mode.name}",
        as_root(NVPMODEL, "-m", str(mode.id)),
        rule=SET_RULE if mode.id < 10 else f"{NVPMODEL} -m [0-9][0-9]",
        judge=_judge_set,
        limit_s=SET_LIMIT_S,
    )


def _reboot_step(mode: Mode) -> Step:
    return Step(
        f"set {mode.name} and reboot",
        fed("YES", as_root(NVPMODEL, "-m", str(mode.id))),
        rule=SET_RULE if mode.id < 10 else f"{NVPMODEL} -m [0-9][0-9]",
        judge=_judge_reboot,
        limit_s=SET_LIMIT_S,
        ends_connection=True,
    )


def _judge_set(done: Completed) -> Verdict:
    outcome = classify(_all(done), done.exit_status)
    if outcome is Outcome.DONE:
        return Verdict(True)
    if outcome is Outcome.REBOOT_NEEDED:
        return Verdict(
            False, "the board asks for a reboot; it stays in its mode until then", reboot=True
        )
    if outcome is Outcome.REBOOTING:
        return Verdict(False, "the board reboots though nobody said so")
    if outcome is Outcome.NO_SUCH_MODE:
        return Verdict(False, "nvpmodel knows no such mode, though its file names it")
    return Verdict(False, output_of(done) or by_exit_status(done).words)


def _judge_reboot(done: Completed) -> Verdict:
    outcome = classify(_all(done), done.exit_status)
    if outcome in (Outcome.REBOOTING, Outcome.DONE):
        return Verdict(True)
    return Verdict(False, output_of(done) or by_exit_status(done).words)


def _all(done: Completed) -> str:
    return decode(done.stdout) + "\n" + decode(done.stderr)


def _notes(power: BoardPower, mode: Mode, *, asks: bool, cores: int | None) -> list[str]:
    conf, now = power.conf, power.current_mode
    notes = []
    if asks:
        notes.append(
            "The GPU's power gating differs: if the GPU was used since boot, the board asks for a "
            "reboot, which ends everything that runs on it."
        )
    if now is not None:
        notes += changed_caps(conf.caps(now), conf.caps(mode))
    if cores is not None and conf.cores > cores:
        notes.append(
            f"Its nvpmodel.conf is for {conf.cores} cores and it has {cores}: nvpmodel will print "
            "an error for each missing one, and still set the mode."
        )
    notes.append("A mode change lets go of clocks that jetson_clocks has locked.")
    return notes


def changed_caps(now: Caps, then: Caps) -> list[str]:
    """Which caps a change moves, each with both values."""
    found = []
    if now.cores_online != then.cores_online:
        found.append(f"CPU cores {now.cores_online} to {then.cores_online}.")
    for name, mine, theirs in (
        ("CPU", now.highest_cpu_mhz, then.highest_cpu_mhz),
        ("GPU", now.gpu_mhz, then.gpu_mhz),
        ("EMC", now.emc_mhz, then.emc_mhz),
    ):
        if mine != theirs:
            found.append(f"{name} clock {cap_words(mine)} to {cap_words(theirs)}.")
    return found


def cap_words(mhz: float | None) -> str:
    """A cap as a person reads it."""
    return "no cap" if mhz is None else f"{mhz:.0f} MHz"


def _cores(board: Sections) -> int | None:
    """Cores the kernel knows, from a list such as `0-5` or `0,3-5`."""
    return count_cores(decode(board.get(CORES_PRESENT.name, b"")).strip())


_RANGES = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?){0,255}", re.ASCII)


def count_cores(text: str) -> int | None:
    """How many cores a kernel list such as `0-5` or `0,3-5` names; None where it is none."""
    if not _RANGES.fullmatch(text):
        return None
    total = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        total += max(0, int(last or first) - int(first) + 1)
    return total


def lowered(conf: PowerConf, mode: Mode) -> list[str]:
    """Clocks that this mode caps lower than some mode with fewer watts does."""
    caps = conf.caps(mode)
    found = []
    for other in conf.modes:
        if mode.watts is None or other.watts is None or other.watts >= mode.watts:
            continue
        below = conf.caps(other)
        for name, mine, theirs in (
            ("CPU", caps.highest_cpu_mhz, below.highest_cpu_mhz),
            ("GPU", caps.gpu_mhz, below.gpu_mhz),
        ):
            if mine is not None and theirs is not None and mine < theirs:
                found.append(f"{name} below {other.name}")
    return found
