"""How each generation of tegrastats writes a line, for root and for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Style:
    """What a release prints. Tuples name engines; empty where the release prints none."""

    stamped: bool = False
    lower_cpu: bool = False
    iram: bool = False
    unit: str = "mW"
    third_values: bool = False
    gpu: str = "GR3D_FREQ"
    emc: str = "EMC_FREQ"
    gpu_clock: str = "plain"
    """plain: @f, list: @[f,f], second: @f GR3D2_FREQ x%@f, bare: @[f,f,f] without a load."""
    gpu_load_for_user: bool = True
    user_emc: str = ""
    """What a user without root sees in place of the EMC load."""
    user_after_gpu: str = ""
    engines: tuple[str, ...] = ()
    """Printed for root when idle: each entry as it stands, `{}` filled with the clock."""
    tail: str = "APE 174"
    resolution_c: float = 1 / 32
    gated: str = "omit"
    """omit: a gated zone is left out; mark: it prints -256C."""
    extra_rails: tuple[str, ...] = ()
    has_zones: bool = True


TK1_R21 = Style(
    lower_cpu=True, gpu="GR3D", emc="EMC", engines=("AVP 0%@12", "VDE 120"), tail="EDP limit 0",
    has_zones=False,
)  # fmt: skip
TX1_R28 = Style(
    lower_cpu=True, gpu="GR3D", emc="EMC", engines=("APE 25",), tail="", has_zones=False,
    gpu_load_for_user=False,
)  # fmt: skip
TX2_R28 = Style(
    unit="", tail="APE 150 MTS fg 0% bg 0%", resolution_c=0.5, gpu_load_for_user=False,
)  # fmt: skip
NANO_R32 = Style(iram=True, unit="", user_emc="0%", tail="APE 25", resolution_c=0.5)
XAVIER_R32 = Style(unit="", user_emc="0%", tail="APE 150 MTS fg 0% bg 0%", resolution_c=0.5)
ORIN_R35 = Style(
    stamped=True, gpu_clock="second", user_emc="0%", user_after_gpu="GR3D2_FREQ 0%@0",
    engines=("NVJPG1 729", "VIC_FREQ 729"), tail="APE 233", gated="mark",
)  # fmt: skip
ORIN_R36 = Style(
    stamped=True, gpu_clock="list",
    engines=("NVENC off", "NVDEC off", "NVJPG off", "NVJPG1 off", "VIC off", "OFA off"),
)  # fmt: skip
ORIN_R39 = Style(
    stamped=True, gpu_clock="list", third_values=True, tail="APE 200",
    engines=("NVDEC0 off", "NVJPG0 off", "NVJPG1 off", "VIC off", "OFA off"),
)  # fmt: skip
THOR_R38 = Style(
    stamped=True, gpu_clock="bare", gpu_load_for_user=False, tail="APE 300",
    engines=("NVENC0_FREQ @{}", "NVENC1_FREQ @{}", "NVDEC0_FREQ @{}", "NVDEC1_FREQ @{}",
             "NVJPG0_FREQ @{}", "VIC off", "OFA_FREQ @{}", "PVA0_FREQ off"),
)  # fmt: skip
THOR_R39 = Style(
    stamped=True, gpu_clock="bare", gpu_load_for_user=False, third_values=True, tail="APE 300",
    engines=("NVENC0_FREQ @{}", "NVDEC0_FREQ @{}", "NVJPG0_FREQ @{}", "VIC off", "OFA_FREQ @{}"),
)  # fmt: skip


@dataclass(slots=True)
class Reading:
    """What a board measures at one moment; None in `cores` is offline, in `zones_c` gated."""

    wall_s: float
    ram_used_mb: int
    ram_total_mb: int
    lfb: str
    swap: tuple[int, int] | None
    cores: Sequence[tuple[int, int] | None]
    gpu_percent: int
    gpu_mhz: int
    gpu_clusters: int
    emc_percent: int
    emc_mhz: int
    encoder_percent: int
    zones_c: dict[str, float | None]
    zones_max_c: dict[str, float]
    rails_mw: dict[str, tuple[int, int, int]]


def write_line(style: Style, reading: Reading, *, root: bool) -> str:
    """The line tegrastats of this release prints for this reading."""
    parts: list[str] = []
    if style.stamped:
        parts.append(datetime.fromtimestamp(reading.wall_s, UTC).strftime("%m-%d-%Y %H:%M:%S"))
    parts.append(f"RAM {reading.ram_used_mb}/{reading.ram_total_mb}MB (lfb {reading.lfb})")
    if reading.swap is not None:
        parts.append(f"SWAP {reading.swap[0]}/{reading.swap[1]}MB (cached 0MB)")
    if style.iram and root:
        parts.append("IRAM 0/252kB(lfb 252kB)")
    parts.append(_cpu(style, reading))
    parts.extend(_engines(style, reading, root=root))
    if style.has_zones:
        parts.extend(_zones(style, reading))
    parts.extend(_rails(style, reading))
    return " ".join(part for part in parts if part)


def _cpu(style: Style, reading: Reading) -> str:
    if style.lower_cpu:
        loads = ",".join("off" if core is None else f"{core[0]}%" for core in reading.cores)
        clock = max((core[1] for core in reading.cores if core), default=0)
        return f"cpu [{loads}]@{clock}"
    cores = ",".join("off" if core is None else f"{core[0]}%@{core[1]}" for core in reading.cores)
    return f"CPU [{cores}]"


def _engines(style: Style, reading: Reading, *, root: bool) -> list[str]:
    if not root:
        emc = f"{style.emc} {style.user_emc}" if style.user_emc else ""
        gpu = f"{style.gpu} {reading.gpu_percent}%" if style.gpu_load_for_user else ""
        return [emc, gpu, style.user_after_gpu if gpu else ""]
    load, clock = reading.gpu_percent, reading.gpu_mhz
    clocks = ",".join([str(clock)] * reading.gpu_clusters)
    gpu = {
        "plain": f"{style.gpu} {load}%@{clock}",
        "list": f"{style.gpu} {load}%@[{clocks}]",
        "second": f"{style.gpu} {load}%@{clock} GR3D2_FREQ {load}%@{clock}",
        "bare": f"{style.gpu} @[{clocks}]",
    }[style.gpu_clock]
    engines = [entry.format(clock) for entry in style.engines]
    if reading.encoder_percent and "NVENC off" in engines:
        engines[engines.index("NVENC off")] = f"NVENC {reading.encoder_percent}%@716"
    return [f"{style.emc} {reading.emc_percent}%@{reading.emc_mhz}", gpu, *engines, style.tail]


def number(celsius: float, resolution_c: float) -> str:
    """A temperature as the sensor resolves it, without trailing zeros."""
    steps = round(celsius / resolution_c)
    return f"{int(steps * resolution_c * 1000) / 1000:.3f}".rstrip("0").rstrip(".")


def _zones(style: Style, reading: Reading) -> list[str]:
    parts = []
    for name, celsius in reading.zones_c.items():
        if celsius is None:
            if style.gated == "mark":
                parts.append(f"{name}@-256C")
            continue
        text = f"{name}@{number(celsius, style.resolution_c)}C"
        if style.third_values:
            text += f"/{number(reading.zones_max_c[name], style.resolution_c)}C"
        parts.append(text)
    return parts


def _rails(style: Style, reading: Reading) -> list[str]:
    parts = []
    for name, (current, average, highest) in reading.rails_mw.items():
        values = (current, average, highest) if style.third_values else (current, average)
        parts.append(f"{name} " + "/".join(f"{value}{style.unit}" for value in values))
    return parts
