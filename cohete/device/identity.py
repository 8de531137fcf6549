"""Who a device is: its facts as one value, read from one probe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum

from cohete import hardware
from cohete.device.activity import Program, programs_from
from cohete.device.battery import Battery, battery_from
from cohete.device.interfaces import NetworkInterface, interfaces_from
from cohete.device.memory import BoardMemory, memory_from
from cohete.device.rooms import Room, rooms_from
from cohete.device.temperatures import throttle_from
from cohete.hardware import Module
from cohete.text import decode, sanitise
from cohete.thermal.throttle import HeldBack, held_back_from

_MODE = re.compile(
    r"^NV Power Mode: ?([A-Za-z0-9_.-]{1,48})[ \t]*\r?\n[ \t]*(\d{1,4})[ \t]*\r?$", re.M
)


class Backend(StrEnum):
    """Compute back-ends by the names that trueno gives them."""

    SCALAR = "Scalar"
    NEON = "NEON"
    GPU = "GPU"
    AUTO = "Auto"


@dataclass(frozen=True, slots=True)
class PowerMode:
    """The active nvpmodel mode. Ids mean different things on different modules; names do not."""

    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device says about itself. None and "" mean unknown; sizes are MiB."""

    model: str = ""
    compatible: tuple[str, ...] = ()
    module: Module | None = None
    is_super: bool = False
    l4t: str | None = None
    jetpack: str | None = None
    hostname: str = ""
    kernel: str = ""
    machine_id: str = ""
    serial: str = ""
    memory_total_mb: int | None = None
    memory_available_mb: int | None = None
    power_mode: PowerMode | None = None
    power_mode_note: str = ""
    uptime_s: float | None = None
    has_neon: bool | None = None
    has_cuda: bool | None = None
    held_back: HeldBack = field(default_factory=HeldBack)
    battery: Battery | None = None
    memory: BoardMemory = field(default_factory=BoardMemory)
    throttle_c: float | None = None
    """Where its kernel says that it throttles."""
    interfaces: tuple[NetworkInterface, ...] = ()
    rooms: tuple[Room, ...] = ()
    """File systems with what is free on each."""
    programs: tuple[Program, ...] = ()
    """Those that hold most memory, the largest first."""

    @property
    def module_name(self) -> str:
        """The module as people call it, else what the device tree says, else unknown."""
        if self.module is not None:
            return f"{self.module.name} Super" if self.is_super else self.module.name
        return self.model or "unknown board"

    @property
    def tops(self) -> int | None:
        """NVIDIA's INT8 TOPS for this module as it is booted."""
        if self.module is None:
            return None
        if self.is_super and self.module.super_tops is not None:
            return self.module.super_tops
        return self.module.tops


def sharing(facts: Facts, before: Facts | None) -> Facts:
    """The same facts; what of them has not changed is the very object it was.

    They are read with every connection, and a view that is held keeps those of before.
    """
    if before is None:
        return facts
    same = {
        each.name: known
        for each in fields(facts)
        if (known := getattr(before, each.name)) == getattr(facts, each.name)
    }
    return replace(facts, **same)


@dataclass(frozen=True, slots=True)
class ComputeHint:
    """What to compute with here; `memory_budget_mb` None means nothing was measured."""

    prefer_neon: bool
    cuda_available: bool
    memory_budget_mb: int | None

    @property
    def backend(self) -> Backend:
        """The trueno back-end this hint asks for."""
        if self.cuda_available:
            return Backend.GPU
        return Backend.NEON if self.prefer_neon else Backend.SCALAR


def compute_hint(facts: Facts, reserve_mb: int = 512) -> ComputeHint:
    """NEON where the CPU lists asimd, CUDA where its device was found, memory as measured.

    `reserve_mb` of the kernel's MemAvailable stay free for the system.
    """
    available = facts.memory_available_mb
    return ComputeHint(
        prefer_neon=bool(facts.has_neon),
        cuda_available=bool(facts.has_cuda),
        memory_budget_mb=None if available is None else max(0, available - reserve_mb),
    )


def parse_power_mode(output: str) -> PowerMode | None:
    """The mode in `nvpmodel -q`: the name line and the id line under it, wherever they stand.

    Fan lines come before, NVPM ERROR lines after a valid answer; neither means failure.
    """
    match = _MODE.search(output)
    return PowerMode(match[1], int(match[2])) if match else None


def known_by(facts: Facts | None, place: str) -> str:
    """What a board is told by from one time to the next: its serial number where that is known.

    Every Jetson has the same address on USB, a lent one goes on to another board, and copies of one
    system have the same machine-id.
    """
    return ((facts.serial or facts.machine_id) if facts is not None else "") or place


def facts_from(sections: dict[str, bytes]) -> Facts:
    """Facts from the raw output of each probe (see `links.commands.PROBES`). Never raises."""
    model = _line(sections, "model")
    compatible = tuple(
        sanitise(decode(part), 96)
        for part in sections.get("compatible", b"").split(b"\0")[:16]
        if part.startswith(b"nvidia,")
    )
    memory = memory_from(sections)
    total_mb = memory.total_mb
    l4t = hardware.parse_l4t(_text(sections, "l4t"), _text(sections, "l4t_core"))
    mode_output = _text(sections, "nvpmodel")
    mode = parse_power_mode(mode_output)
    features = _text(sections, "cpuinfo").lower().partition(":")[2].split()
    cuda = _text(sections, "cuda")
    return Facts(
        model=model,
        compatible=compatible,
        module=hardware.identify(model, compatible, total_mb),
        is_super=hardware.is_super(model, compatible),
        l4t=l4t,
        jetpack=hardware.jetpack_name(l4t, _text(sections, "jetpack")),
        hostname=_line(sections, "hostname", 64),
        kernel=_line(sections, "kernel", 64),
        machine_id=_hex(_line(sections, "machine_id", 64)),
        serial=_line(sections, "serial", 32),
        memory_total_mb=total_mb,
        memory_available_mb=memory.available_mb,
        power_mode=mode,
        power_mode_note="" if mode else sanitise(mode_output.strip(), 120),
        uptime_s=_seconds(_text(sections, "uptime")),
        # Linux on aarch64 calls NEON asimd; 32-bit kernels (TK1) call it neon.
        has_neon=bool({"asimd", "neon"} & set(features)) if features else None,
        has_cuda=bool(re.search(r"^/dev/(nvhost-gpu|nvidiactl)\s*$", cuda, re.M)) if cuda else None,
        held_back=held_back_from(_text(sections, "throttle")),
        battery=battery_from(_text(sections, "supplies")),
        memory=memory,
        throttle_c=throttle_from(sections.get("trips", b"")),
        interfaces=interfaces_from(sections.get("interfaces", b"")),
        rooms=rooms_from(decode(sections.get("df", b""))),
        programs=programs_from(sections, memory.page_bytes),
    )


def _text(sections: dict[str, bytes], name: str) -> str:
    return decode(sections.get(name, b""))


def _line(sections: dict[str, bytes], name: str, limit: int = 120) -> str:
    """The first line of an answer; what the shell says of a missing file is no answer."""
    text = _text(sections, name).replace("\0", "").strip()
    first = text.splitlines()[0] if text else ""
    if first.startswith(("cat: ", "head: ", "grep: ", "sh: ", "uname: ")):
        return ""
    return sanitise(first, limit)


def _hex(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else ""


def _seconds(text: str) -> float | None:
    match = re.match(r"\d{1,12}(?:\.\d{1,6})?", text)
    return float(match[0]) if match else None


def facts_as_dict(facts: Facts) -> dict[str, object]:
    """Facts in plain types, for a file; without what runs on the board and its addresses: a
    recording is shared."""
    plain = asdict(facts)
    del plain["memory"], plain["programs"], plain["interfaces"], plain["rooms"]
    return {
        **plain,
        "module": facts.module.name if facts.module is not None else None,
        "compatible": list(facts.compatible),
    }


def facts_from_dict(found: Mapping[str, object]) -> Facts:
    """Facts from `facts_as_dict`, or from whatever else a file holds: what is not of its type or
    not known is unknown, and every text is safe to show."""
    texts = {
        name: sanitise(value, 120) if isinstance(value := found.get(name), str) else ""
        for name in ("model", "hostname", "kernel", "machine_id", "serial", "power_mode_note")
    }
    mode = found.get("power_mode")
    name, number = (mode.get("name"), mode.get("id")) if isinstance(mode, dict) else (None, None)
    compatible = found.get("compatible")
    return Facts(
        **texts,
        compatible=tuple(sanitise(part, 120) for part in compatible if isinstance(part, str))
        if isinstance(compatible, list)
        else (),
        module=next((m for m in hardware.MODULES if m.name == found.get("module")), None),
        is_super=found.get("is_super") is True,
        throttle_c=float(celsius)
        if isinstance(celsius := found.get("throttle_c"), int | float)
        else None,
        l4t=_text_or_none(found.get("l4t")),
        jetpack=_text_or_none(found.get("jetpack")),
        memory_total_mb=_int_or_none(found.get("memory_total_mb")),
        memory_available_mb=_int_or_none(found.get("memory_available_mb")),
        power_mode=PowerMode(sanitise(name, 48), number)
        if isinstance(name, str) and isinstance(number, int)
        else None,
        uptime_s=float(uptime)
        if isinstance(uptime := found.get("uptime_s"), int | float)
        else None,
        has_neon=_bool_or_none(found.get("has_neon")),
        has_cuda=_bool_or_none(found.get("has_cuda")),
        held_back=HeldBack(),
        battery=None,
        memory=BoardMemory(),
        interfaces=(),
        rooms=(),
        programs=(),
    )


def _text_or_none(value: object) -> str | None:
    return sanitise(value, 120) if isinstance(value, str) else None


def _int_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bool_or_none(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
