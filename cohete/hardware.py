"""The table of Jetson modules and of Jetson Linux releases. One row a module, one row a release.

Sources: NVIDIA's module data sheets (CUDA cores, INT8 TOPS, sparse where sparse is what NVIDIA
states), part numbers from the modules' EEPROMs, trip points from the boards' own thermal zones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """Modules that share a device-tree model string."""

    TK1 = "TK1"
    TX1 = "TX1"
    NANO = "Nano"
    TX2 = "TX2"
    XAVIER_NX = "Xavier NX"
    AGX_XAVIER = "AGX Xavier"
    ORIN_NANO = "Orin Nano"
    ORIN_NX = "Orin NX"
    AGX_ORIN = "AGX Orin"
    THOR = "Thor"


@dataclass(frozen=True, slots=True)
class Module:
    """What is printed on the box; `memory_mb` is nominal, the kernel reports less.

    `tops` is NVIDIA's INT8 figure, None where NVIDIA gives none (Maxwell and Pascal have no INT8
    path, Thor is rated in FP4). `throttle_c` is where clocks are really cut, `critical_c` where
    the board shuts down; None where no source states them.
    """

    name: str
    family: Family
    soc: str
    parts: tuple[str, ...]
    memory_mb: int
    cuda_cores: int
    tops: int | None = None
    super_tops: int | None = None
    throttle_c: float | None = None
    critical_c: float | None = None


MODULES: tuple[Module, ...] = (
    #       name                     family             soc        parts
    #       MiB, CUDA cores, TOPS, TOPS in Super mode, throttle C, critical C
    Module("TK1",                   Family.TK1,        "tegra124", ("pm375",), 2048, 192),
    Module("TX1",                   Family.TX1,        "tegra210", ("p2180",), 4096, 256),
    Module("Nano 2GB",              Family.NANO,       "tegra210", ("p3448-0003",), 2048, 128),
    Module("Nano 4GB",              Family.NANO,       "tegra210", ("p3448-0000", "p3448-0002"),
           4096, 128),
    Module("TX2 4GB",               Family.TX2,        "tegra186", ("p3489-0888",), 4096, 256),
    Module("TX2 NX",                Family.TX2,        "tegra186", ("p3636-0001",), 4096, 256),
    Module("TX2i",                  Family.TX2,        "tegra186", ("p3489-0000",), 8192, 256),
    Module("TX2",                   Family.TX2,        "tegra186", ("p3310", "p3310-1000"),
           8192, 256),
    Module("Xavier NX 8GB",         Family.XAVIER_NX,  "tegra194", ("p3668-0000", "p3668-0001"),
           8192, 384, 21),
    Module("Xavier NX 16GB",        Family.XAVIER_NX,  "tegra194", ("p3668-0003",), 16384, 384, 21),
    Module("AGX Xavier 8GB",        Family.AGX_XAVIER, "tegra194", ("p2888-0006",), 8192, 384, 20),
    Module("AGX Xavier 16GB",       Family.AGX_XAVIER, "tegra194", ("p2888-0001",), 16384, 512, 32),
    Module("AGX Xavier 32GB",       Family.AGX_XAVIER, "tegra194", ("p2888-0004",), 32768, 512, 32),
    Module("AGX Xavier 64GB",       Family.AGX_XAVIER, "tegra194", ("p2888-0005",), 65536, 512, 32),
    Module("AGX Xavier Industrial", Family.AGX_XAVIER, "tegra194", ("p2888-0008",), 32768, 512, 30),
    Module("Orin Nano 4GB",         Family.ORIN_NANO,  "tegra234", ("p3767-0004",),
           4096, 512, 20, 34, 99.0, 104.5),
    Module("Orin Nano 8GB",         Family.ORIN_NANO,  "tegra234", ("p3767-0003", "p3767-0005"),
           8192, 1024, 40, 67, 99.0, 104.5),
    Module("Orin NX 8GB",           Family.ORIN_NX,    "tegra234", ("p3767-0001",),
           8192, 1024, 70, 117, 99.0, 104.5),
    Module("Orin NX 16GB",          Family.ORIN_NX,    "tegra234", ("p3767-0000",),
           16384, 1024, 100, 157, 99.0, 104.5),
    Module("AGX Orin 32GB",         Family.AGX_ORIN,   "tegra234", ("p3701-0004", "p3701-0000"),
           32768, 1792, 200, None, 99.0, 104.5),
    Module("AGX Orin 64GB",         Family.AGX_ORIN,   "tegra234", ("p3701-0005", "p3701-0000"),
           65536, 2048, 275, None, 99.0, 104.5),
    Module("AGX Orin Industrial",   Family.AGX_ORIN,   "tegra234", ("p3701-0008",),
           65536, 2048, 248, None, 99.0, 104.5),
    Module("Thor T4000",            Family.THOR,       "tegra264", ("p3834-0000",),
           65536, 1536, critical_c=114.5),
    Module("Thor T5000",            Family.THOR,       "tegra264", ("p3834-0008",),
           131072, 2560, critical_c=114.5),
)  # fmt: skip

_FAMILY_IN_MODEL: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), family)
    for pattern, family in (
        (r"\bthor\b", Family.THOR),
        (r"\bagx orin\b", Family.AGX_ORIN),
        (r"\borin nx\b", Family.ORIN_NX),
        (r"\borin nano\b", Family.ORIN_NANO),
        (r"\bxavier nx\b", Family.XAVIER_NX),
        (r"\bagx xavier\b|\bjetson-?agx\b|\bjetson xavier\b", Family.AGX_XAVIER),
        (r"\btx2\b|\bquill\b|\blanai\b", Family.TX2),
        (r"\btx1\b|\bjetson_tx1\b", Family.TX1),
        (r"\btk1\b|\bjetson[-_ ]tk1\b", Family.TK1),
        (r"\bjetson[- ]nano\b", Family.NANO),
    )
)
_MODULE_BOARDS = frozenset(part.split("-")[0] for module in MODULES for part in module.parts)
_PART = re.compile(r"(?<![0-9a-z])(pm?\d{3,4})(?:-(\d{4}))?(?![0-9])")

REPORTED_SHARE = (0.70, 1.0)
"""How much of the nominal memory a kernel reports: carve-outs take 3 to 27 % (R21 to R39)."""


def parts_in(compatible: tuple[str, ...]) -> tuple[str, ...]:
    """Part numbers named in a device tree's compatible list, in order, without repeats."""
    found: dict[str, None] = {}
    for entry in compatible:
        for match in _PART.finditer(entry.lower()):
            found[f"{match[1]}-{match[2]}" if match[2] else match[1]] = None
    return tuple(found)


def identify(model: str, compatible: tuple[str, ...], memory_mb: int | None) -> Module | None:
    """The module behind these device-tree strings and this MemTotal (MiB); None: unknown.

    The part number decides where it is exact; the memory where one part number stands for two
    modules (the AGX Orin developer kit), or where only the family is known. Memory alone never
    decides, because four modules report nearly the same; but a part that cannot hold the memory
    that is there (a board flashed as its neighbour) gives way to the sibling that can.
    """
    parts = [part for part in parts_in(compatible) if part.split("-")[0] in _MODULE_BOARDS]
    exact = [module for module in MODULES if any(part in module.parts for part in parts)]
    if exact:
        return _by_memory(exact, memory_mb)
    family = _family(model)
    if parts or family is None or memory_mb is None:
        return None
    fitting = [m for m in MODULES if m.family is family and _holds(m, memory_mb)]
    return fitting[0] if fitting else None


def _by_memory(named: list[Module], memory_mb: int | None) -> Module | None:
    if memory_mb is None:
        return named[0] if len(named) == 1 else None
    siblings = [module for module in MODULES if module.family is named[0].family]
    for module in (*named, *siblings):
        if _holds(module, memory_mb):
            return module
    # Less memory than usual is a large carve-out; more than the part can hold is a wrong part.
    return named[0] if len(named) == 1 and memory_mb < named[0].memory_mb else None


def _holds(module: Module, memory_mb: int) -> bool:
    low, high = REPORTED_SHARE
    return module.memory_mb * low <= memory_mb <= module.memory_mb * high


def _family(model: str) -> Family | None:
    for pattern, family in _FAMILY_IN_MODEL:
        if pattern.search(model):
            return family
    return None


def is_super(model: str, compatible: tuple[str, ...]) -> bool:
    """Whether the Super device tree is booted: it says so in both of its names."""
    return bool(compatible and compatible[0].endswith("-super")) or model.rstrip().endswith("Super")


_RELEASE = re.compile(r"#\s*R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3}){0,3})")
_CORE_PACKAGE = re.compile(r"^(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)[-+~]")
_META_PACKAGE = re.compile(r"^(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?:[-+~]|$)")

JETPACK_OF_L4T = {
    "39.2.1": "7.2.1", "39.2.0": "7.2", "38.4.0": "7.1", "38.2.2": "7.0", "38.2.1": "7.0",
    "38.2.0": "7.0", "36.5.0": "6.2.2", "36.4.7": "6.2.1", "36.4.4": "6.2.1", "36.4.3": "6.2",
    "36.4.0": "6.1", "36.3.0": "6.0", "36.2.0": "6.0 DP", "35.6.4": "5.1.6", "35.6.3": "5.1.5",
    "35.6.2": "5.1.5", "35.6.1": "5.1.5", "35.6.0": "5.1.4", "35.5.0": "5.1.3", "35.4.1": "5.1.2",
    "35.3.1": "5.1.1", "35.2.1": "5.1", "35.1.0": "5.0.2", "34.1.1": "5.0.1 DP",
    "34.1.0": "5.0 DP", "32.7.6": "4.6.6", "32.7.5": "4.6.5", "32.7.4": "4.6.4", "32.7.3": "4.6.3",
    "32.7.2": "4.6.2", "32.7.1": "4.6.1", "32.6.1": "4.6", "32.5.2": "4.5.1", "32.5.1": "4.5.1",
    "32.5.0": "4.5", "32.4.4": "4.4.1", "32.4.3": "4.4", "32.3.1": "4.3", "28.2.1": "3.3",
}  # fmt: skip
"""Jetson Linux release to JetPack release. It always lags: the package on the board wins."""


def parse_l4t(nv_tegra_release: str, core_package: str = "") -> str | None:
    """The release as x.y.z from /etc/nv_tegra_release, else from nvidia-l4t-core's version."""
    match = _RELEASE.search(nv_tegra_release)
    if match:
        revision = match[2] if "." in match[2] else f"{match[2]}.0"
        return f"{match[1]}.{revision}"
    package = _CORE_PACKAGE.match(core_package.strip())
    return package[1] if package else None


def jetpack_name(l4t: str | None, meta_package: str = "") -> str | None:
    """What to call the release: the installed nvidia-jetpack, the table, else "L4T x.y.z"."""
    package = _META_PACKAGE.match(meta_package.strip())
    if package:
        return f"JetPack {package[1]}"
    if l4t is None:
        return None
    known = JETPACK_OF_L4T.get(l4t)
    return f"JetPack {known}" if known else f"L4T {l4t}"
