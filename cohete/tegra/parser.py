"""The tegrastats grammar: one line in, one `TegraStats` out. By token, never by position.

Format: NVIDIA's tegrastats from L4T R21 (TK1) to R39 (Thor). Every field but RAM is optional and
their order differs between releases. A token that fits nothing is counted, not fatal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TypeVar, cast

from cohete.tegra.stats import Core, Engine, Rail, TegraStats, Zone

MAX_LINE = 16_384
MAX_CORES = 64
MAX_FIELDS = 64
"""Bounds against a hostile device: longer lines are cut, further fields are counted as unknown."""

GATED_C = -256.0
"""What tegrastats prints for a zone whose power domain is off."""

_CACHE_LIMIT = 8_192
_CACHED_TOKEN = 64
"""Longer tokens are hostile and not worth keeping."""
_NO_PAIR: tuple[int | None, int | None] = (None, None)
_T = TypeVar("_T")

_RAM = re.compile(r"(?<![A-Za-z0-9_])RAM +(\d{1,9})/(\d{1,9})MB", re.ASCII)
_LFB = re.compile(r"(\d{1,9})x(\d{1,9})(MB|kB)\)", re.ASCII)
_SWAP = re.compile(r"(\d{1,9})/(\d{1,9})MB", re.ASCII)
_CACHED = re.compile(r"(\d{1,9})MB\)", re.ASCII)
_IRAM = re.compile(r"(\d{1,9})/(\d{1,9})kB(\(lfb)?", re.ASCII)
_IRAM_LFB = re.compile(r"(\d{1,9})kB\)", re.ASCII)
_TIME = re.compile(r"(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)\b", re.ASCII)
_CORES = re.compile(r"\[([^\]]{0,4096})\](?:@(\d{1,9}))?", re.ASCII)
_ZONE = re.compile(
    r"([A-Za-z][A-Za-z0-9_.-]{0,31})@(-?\d{1,4}(?:\.\d{1,6})?)C(?:/(-?\d{1,4}(?:\.\d{1,6})?)C)?",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}", re.ASCII)
_RAIL = re.compile(
    r"(-?\d{1,9})(?:mW)?/(-?\d{1,9})(?:mW)?(?:/(-?\d{1,9})(?:mW)?)?|(-?\d{1,9})mW", re.ASCII
)
_LOAD = re.compile(
    r"(?:(\d{1,3})%)?(?:@(?:(\d{1,9})|\[(\d{1,9}(?:,\d{1,9}){0,15})\]))?|(\d{1,9})", re.ASCII
)
_PERCENT = re.compile(r"(\d{1,3})%", re.ASCII)


def parse(line: str) -> TegraStats | None:
    """One sample, or None where the line is none (no `RAM used/total` in it). Never raises."""
    if len(line) > MAX_LINE:
        line = line[:MAX_LINE]
    ram = _RAM.search(line)
    if ram is None:
        return None
    stamp = _TIME.search(line, 0, ram.start())
    reading = _Reading(stamp[1] if stamp else None, int(ram[1]), int(ram[2]))
    reading.take(line[ram.end() :].split())
    return reading.stats()


class _Reading:
    """Collects the fields of one line; `take` walks the tokens once."""

    __slots__ = (
        "cores",
        "edp_limit",
        "engines",
        "iram",
        "lfb",
        "mts",
        "rails",
        "ram",
        "swap",
        "swap_cached_mb",
        "time",
        "unknown",
        "zones",
    )

    def __init__(self, time: str | None, used_mb: int, total_mb: int) -> None:
        self.time = time
        self.ram = (used_mb, total_mb)
        self.lfb = self.swap = self.mts = _NO_PAIR
        self.iram: tuple[int | None, int | None, int | None] = (None, None, None)
        self.swap_cached_mb: int | None = None
        self.edp_limit: int | None = None
        self.cores: tuple[Core, ...] = ()
        self.engines: list[Engine] = []
        self.zones: list[Zone] = []
        self.rails: list[Rail] = []
        self.unknown = 0

    def take(self, tokens: list[str]) -> None:
        zones, rails, engines = self.zones, self.rails, self.engines
        known_zones, keywords, rail_of = _zones, _KEYWORDS, _RAIL.fullmatch
        at = 0
        count = len(tokens)
        while at < count:
            token = tokens[at]
            at += 1
            if token[-1] == "C":
                zone = known_zones.get(token) or _remember(known_zones, token, _make_zone)
                if zone is not None:
                    zones.append(zone)
                    continue
            keyword = keywords.get(token)
            if keyword is not None:
                taken = keyword(self, tokens, at)
                if taken:
                    at += taken
                    continue
            value = tokens[at] if at < count else ""
            # Rails are new numbers each time: remembering them would only push out the others.
            rail = rail_of(value) if "/" in value or "W" in value else None
            if rail is not None and _is_name(token):
                current, average, highest, alone = rail.groups()
                if alone is not None:
                    rails.append(Rail(token, int(alone)))
                elif highest is None:
                    rails.append(Rail(token, int(current), int(average)))
                else:
                    rails.append(Rail(token, int(current), int(average), int(highest)))
                at += 1
                continue
            engine = _engine(token, value)
            if engine is None:
                self.unknown += 1
                continue
            at += 1
            engines.append(engine)
        if count > MAX_FIELDS:
            for fields in (zones, rails, engines):
                self.unknown += max(0, len(fields) - MAX_FIELDS)
                del fields[MAX_FIELDS:]

    def take_lfb(self, tokens: list[str], at: int) -> int:
        match = _LFB.fullmatch(tokens[at]) if at < len(tokens) else None
        if match is None:
            return 0
        blocks, size, unit = match.groups()
        self.lfb = (int(blocks), int(size) * (1024 if unit == "MB" else 1))
        return 1

    def take_swap(self, tokens: list[str], at: int) -> int:
        match = _SWAP.fullmatch(tokens[at]) if at < len(tokens) else None
        if match is None:
            return 0
        self.swap = (int(match[1]), int(match[2]))
        if at + 2 < len(tokens) and tokens[at + 1] == "(cached":
            cached = _CACHED.fullmatch(tokens[at + 2])
            if cached:
                self.swap_cached_mb = int(cached[1])
                return 3
        return 1

    def take_iram(self, tokens: list[str], at: int) -> int:
        match = _IRAM.fullmatch(tokens[at]) if at < len(tokens) else None
        if match is None:
            return 0
        used_kb, total_kb = int(match[1]), int(match[2])
        self.iram = (used_kb, total_kb, None)
        after = at + 1
        if match[3] is None:
            if after < len(tokens) and tokens[after] == "(lfb":
                after += 1
            else:
                return 1
        lfb = _IRAM_LFB.fullmatch(tokens[after]) if after < len(tokens) else None
        if lfb:
            self.iram = (used_kb, total_kb, int(lfb[1]))
            after += 1
        return after - at

    def take_cpu(self, tokens: list[str], at: int) -> int:
        if at >= len(tokens) or not tokens[at].startswith("["):
            return 0
        used = 1
        text = tokens[at]
        while "]" not in text and at + used < len(tokens) and used < MAX_CORES:
            text += tokens[at + used]
            used += 1
        match = _CORES.fullmatch(text)
        if match is None:
            self.unknown += 1
            return used if "]" in text else 1
        shared_mhz = int(match[2]) if match[2] else None
        parts = match[1].split(",")
        known = tuple(map(_cores.get, parts))
        if shared_mhz is None and None not in known and len(known) <= MAX_CORES:
            self.cores = cast("tuple[Core, ...]", known)
            return used
        cores: list[Core] = []
        for part in parts:
            core = _remember(_cores, part, _make_core)
            if core is None or len(cores) >= MAX_CORES:
                self.unknown += 1
            elif shared_mhz is not None and not core.off and core.mhz is None:
                cores.append(Core(core.percent, shared_mhz))
            else:
                cores.append(core)
        self.cores = tuple(cores)
        return used

    def take_mts(self, tokens: list[str], at: int) -> int:
        part = tokens[at : at + 4]
        if len(part) < 4 or part[0] != "fg" or part[2] != "bg":
            return 0
        fore, back = _PERCENT.fullmatch(part[1]), _PERCENT.fullmatch(part[3])
        if fore is None or back is None:
            return 0
        self.mts = (int(fore[1]), int(back[1]))
        return 4

    def take_edp(self, tokens: list[str], at: int) -> int:
        part = tokens[at : at + 2]
        if len(part) < 2 or part[0] != "limit" or not (part[1].isascii() and part[1].isdigit()):
            return 0
        self.edp_limit = int(part[1][:9])
        return 2

    def stats(self) -> TegraStats:
        gpu, emc, others = _split_engines(self.engines)
        # In the order of the fields: by name it takes twice as long.
        return TegraStats(
            *self.ram,
            *self.lfb,
            *self.swap,
            self.swap_cached_mb,
            *self.iram,
            self.cores,
            gpu.percent if gpu else None,
            gpu.mhz if gpu else (),
            gpu.off if gpu else False,
            _emc_percent(emc),
            emc.mhz[0] if emc and emc.mhz else None,
            others,
            _numbered(self.zones),
            _numbered(self.rails),
            *self.mts,
            self.edp_limit,
            self.time,
            self.unknown,
        )


_KEYWORDS: dict[str, Callable[[_Reading, list[str], int], int]] = {
    "(lfb": _Reading.take_lfb,
    "SWAP": _Reading.take_swap,
    "IRAM": _Reading.take_iram,
    "CPU": _Reading.take_cpu,
    "cpu": _Reading.take_cpu,
    "MTS": _Reading.take_mts,
    "EDP": _Reading.take_edp,
}
"""Fields of several tokens. A reader answers how many tokens it took; 0: not mine."""

_GPU = frozenset({"GR3D", "GR3D_FREQ"})
_GPU_SECOND_CLUSTER = "GR3D2_FREQ"
_EMC = frozenset({"EMC", "EMC_FREQ"})


def _split_engines(
    engines: list[Engine],
) -> tuple[Engine | None, Engine | None, tuple[Engine, ...]]:
    gpu: Engine | None = None
    emc: Engine | None = None
    second: Engine | None = None
    others: list[Engine] = []
    for engine in engines:
        if engine.name in _GPU:
            gpu = engine
        elif engine.name in _EMC:
            emc = engine
        elif engine.name == _GPU_SECOND_CLUSTER:
            second = engine
        else:
            others.append(engine)
    if second is not None:
        # R34/R35 print the clock of the second cluster of the same GPU as an engine of its own.
        if gpu is None:
            gpu = second
        elif gpu.mhz and second.mhz:
            # Without root the first has no clock and the second's "0%@0" was not measured.
            gpu = Engine(gpu.name, gpu.percent, gpu.mhz + second.mhz, gpu.off)
    return gpu, emc, tuple(others)


def _emc_percent(emc: Engine | None) -> int | None:
    # Without root R32 and R35 print "EMC_FREQ 0%" and no clock: nothing was measured.
    if emc is None or (emc.percent == 0 and not emc.mhz):
        return None
    return emc.percent


_F = TypeVar("_F", Zone, Rail)


def _numbered(fields: list[_F]) -> tuple[_F, ...]:
    """Keep fields that repeat a name apart: the first keeps it, others become NAME#2, NAME#3."""
    if len({field[0] for field in fields}) == len(fields):
        return tuple(fields)
    seen: dict[str, int] = {}
    result: list[_F] = []
    for field in fields:
        nth = seen[field.name] = seen.get(field.name, 0) + 1
        if nth == 1:
            result.append(field)
        elif isinstance(field, Zone):
            result.append(Zone(f"{field.name}#{nth}", field.celsius, field.max_c))
        else:
            result.append(Rail(f"{field.name}#{nth}", field.cur_mw, field.avg_mw, field.max_mw))
    return tuple(result)


# Boards repeat themselves: most tokens of a line were seen before, and values are immutable.
_zones: dict[str, Zone | None] = {}
_cores: dict[str, Core | None] = {}
_engines: dict[tuple[str, str], Engine | None] = {}
_names: set[str] = set()


def _remember(cache: dict[str, _T | None], key: str, make: Callable[[str], _T | None]) -> _T | None:
    if key in cache:
        return cache[key]
    value = make(key)
    if len(key) <= _CACHED_TOKEN:
        if len(cache) >= _CACHE_LIMIT:
            cache.clear()
        cache[key] = value
    return value


def _engine(name: str, value: str) -> Engine | None:
    pair = (name, value)
    if pair in _engines:
        return _engines[pair]
    engine = _make_engine(name, value)
    if len(name) + len(value) <= _CACHED_TOKEN:
        if len(_engines) >= _CACHE_LIMIT:
            _engines.clear()
        _engines[pair] = engine
    return engine


def _make_zone(token: str) -> Zone | None:
    match = _ZONE.fullmatch(token)
    if match is None:
        return None
    celsius = float(match[2])
    gated = celsius <= GATED_C
    return Zone(
        sys.intern(match[1]), None if gated else celsius, float(match[3]) if match[3] else None
    )


def _make_core(part: str) -> Core | None:
    load, has_clock, clock = part.strip().partition("%@")
    if not has_clock:
        if load == "off":
            return Core(None, None, off=True)
        load = load.removesuffix("%") if load.endswith("%") else "-"
    if not _is_number(load, 3) or (has_clock and not _is_number(clock, 9)):
        return None
    return Core(int(load), int(clock) if has_clock else None)


def _is_number(text: str, digits: int) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= digits


def _is_name(token: str) -> bool:
    if token in _names:
        return True
    if _NAME.fullmatch(token) is None:
        return False
    if len(_names) >= _CACHE_LIMIT:
        _names.clear()
    _names.add(token)
    return True


def _make_engine(name: str, value: str) -> Engine | None:
    if not value or not _is_name(name):
        return None
    if value == "off":
        return Engine(name, None, (), off=True)
    load = _LOAD.fullmatch(value)
    if load is None:
        return None
    percent, one, several, bare = load.groups()
    if several:
        mhz = tuple(int(part) for part in several.split(","))
    else:
        mhz = (int(one or bare),) if one or bare else ()
    return Engine(name, int(percent) if percent else None, mhz)
