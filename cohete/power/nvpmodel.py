"""NVIDIA's nvpmodel: the modes a board has, what each caps, what a change asks for. Pure.

Format: `/etc/nvpmodel.conf` of Jetson Linux R28 to R39: `< PARAM TYPE=.. NAME=.. >`, then
arguments with their paths; `< POWER_MODEL ID=.. NAME=.. >`, then `PARAM ARG VALUE`; and
`< PM_CONFIG DEFAULT=.. >`. What `nvpmodel -p --verbose` lists says the same in other words: each
line after `NVPM VERB: `, heads without angle brackets, the default as `MAXN(0)`.
Ids mean different things on different modules: a mode is known by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_CONF_CHARS = 262_144
MAX_MODES = 64
MAX_LINE = 1_024
_NO_CAP = frozenset({-1, 2_147_483_647})

_SECTION = re.compile(r"< ?(PARAM|POWER_MODEL|PM_CONFIG|FAN_CONFIG) ([^<>]{1,200})>", re.ASCII)
_LISTED = re.compile(r"NVPM VERB: ?(?:(PARAM|POWER_MODEL|PM_CONFIG):? (?=[A-Z]+=))?(.*)", re.ASCII)
_DEFAULT = re.compile(r"DEFAULT=(?:[^()]{1,48}\()?(\d{1,4})\)?", re.ASCII)
_FIELD = re.compile(r"([A-Z]+)=([A-Za-z0-9_.+-]{1,48})", re.ASCII)
_VALUE = re.compile(r"([A-Za-z0-9_.-]{1,48})\s+([A-Za-z0-9_.-]{1,48})\s+(\S{1,64})", re.ASCII)
_PATH = re.compile(r"([A-Za-z0-9_.-]{1,48})\s+(/\S{1,200})", re.ASCII)
_WATTS = re.compile(r"(?:^|_)(\d{1,3})W(?:_|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode as the file defines it: `values` by (parameter, argument)."""

    id: int
    name: str
    values: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def watts(self) -> int | None:
        """The budget in its name; None where it names none, as MAXN does."""
        match = _WATTS.search(self.name)
        return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Caps:
    """What a mode allows. Clocks in MHz; None is no cap. `cores` of all that the file knows."""

    cores_online: int
    cores: int
    cpu_mhz: Mapping[str, float | None]
    gpu_mhz: float | None
    emc_mhz: float | None
    gating: Mapping[str, str]
    """Power-gating masks of the GPU, which cannot change while it is in use."""

    @property
    def highest_cpu_mhz(self) -> float | None:
        """Of the fastest cluster; None where any cluster has no cap."""
        known = [mhz for mhz in self.cpu_mhz.values() if mhz is not None]
        return max(known) if known and len(known) == len(self.cpu_mhz) else None


@dataclass(frozen=True, slots=True)
class PowerConf:
    """All modes of a board. `default` is the id it starts with where none was chosen."""

    modes: tuple[Mode, ...]
    default: int | None
    cores: int
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Kind of each parameter: FILE, CLOCK or HWMON."""

    def mode(self, name: str) -> Mode | None:
        """The mode of that name, whatever its case."""
        wanted = name.casefold()
        return next((mode for mode in self.modes if mode.name.casefold() == wanted), None)

    def caps(self, mode: Mode) -> Caps:
        """What this mode allows."""
        off = sum(
            value == "0"
            for (param, arg), value in mode.values.items()
            if param == "CPU_ONLINE" and arg.startswith("CORE_")
        )
        clocks = {
            param: _mhz(param, value)
            for (param, arg), value in mode.values.items()
            if arg == "MAX_FREQ" and self.kinds.get(param, "CLOCK") == "CLOCK"
        }
        cpu = {param: mhz for param, mhz in clocks.items() if param.startswith("CPU")}
        gating = {
            arg: value for (_, arg), value in mode.values.items()
            if "PG_MASK" in arg or arg.startswith("GPU_PG")
        }  # fmt: skip
        return Caps(self.cores - off, self.cores, cpu, clocks.get("GPU"), clocks.get("EMC"), gating)

    def asks_for_reboot(self, now: Mode, wanted: Mode) -> bool:
        """Whether the masks differ: then a GPU that was used since boot needs a reboot.

        A prediction; the prompt of `nvpmodel -m` decides.
        """
        return self.caps(now).gating != self.caps(wanted).gating


def parse_conf(text: str) -> PowerConf:
    """Modes of a `nvpmodel.conf`, or of a listing; what fits nowhere is left out. Never raises."""
    section = ""
    kinds: dict[str, str] = {}
    cores: set[str] = set()
    modes: list[tuple[int, str, dict[tuple[str, str], str]]] = []
    default: int | None = None
    param = ""
    for line in text[:MAX_CONF_CHARS].split("\n"):
        if len(line) > MAX_LINE:
            continue
        line = " ".join(line.partition("#")[0].split())
        if listed := _LISTED.fullmatch(line):
            line = f"< {listed[1]} {listed[2]} >" if listed[1] else listed[2]
        match = _SECTION.fullmatch(line)
        if match:
            section = match[1]
            fields = dict(_FIELD.findall(match[2]))
            if section == "PARAM":
                param = fields.get("NAME", "")
                kinds[param] = fields.get("TYPE", "")
            elif section == "POWER_MODEL":
                number, name = fields.get("ID", ""), fields.get("NAME", "")
                if not number.isdigit() or not name or len(modes) >= MAX_MODES:
                    section = ""
                else:
                    modes.append((int(number), name, {}))
            elif section == "PM_CONFIG" and (chosen := _DEFAULT.search(match[2])):
                default = int(chosen[1])
        elif section == "PARAM" and param == "CPU_ONLINE" and (path := _PATH.fullmatch(line)):
            cores.add(path[1].removesuffix("_KNEXT"))
        elif section == "POWER_MODEL" and (value := _VALUE.fullmatch(line)):
            modes[-1][2][value[1], value[2]] = value[3]
    return PowerConf(
        tuple(Mode(number, name, values) for number, name, values in modes),
        default, len(cores), kinds,
    )  # fmt: skip


def _mhz(param: str, value: str) -> float | None:
    """A cap in MHz: the CPU's is written in kHz, all others in Hz. None is no cap."""
    try:
        number = int(value)
    except ValueError:
        return None
    if number in _NO_CAP or number <= 0:
        # The memory's 0 is no cap on R32 and R35; nothing runs at 0 MHz.
        return None
    return number / 1000 if param.startswith("CPU") else number / 1_000_000


class Outcome(StrEnum):
    """What `nvpmodel -m` did, by what it printed."""

    DONE = "done"
    REBOOT_NEEDED = "reboot needed"
    REBOOTING = "rebooting"
    NO_SUCH_MODE = "no such mode"
    NOT_ALLOWED = "not allowed"
    FAILED = "failed"


def classify(output: str, exit_status: int | None) -> Outcome:
    """What a run of `nvpmodel -m ID` with its input closed came to.

    NVPM ERROR lines follow valid answers too, so that the prompts are looked for first.
    """
    if "rebooting" in output:
        return Outcome.REBOOTING
    if "Reboot required" in output or "DO YOU WANT TO REBOOT NOW" in output:
        return Outcome.REBOOT_NEEDED
    if "request for bad power mode" in output:
        return Outcome.NO_SUCH_MODE
    if exit_status == 0:
        return Outcome.DONE
    lower = output.casefold()
    if "password is required" in lower or "permission denied" in lower or ": 13" in output:
        return Outcome.NOT_ALLOWED
    return Outcome.FAILED
