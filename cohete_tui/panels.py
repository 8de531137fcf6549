"""The parts of the device screen as lines of text. Pure: a device and a time in, lines out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from cohete.device.identity import compute_hint
from cohete.fleet.state import Device, State
from cohete.fleet.words import UNKNOWN, gib, load, percent, span, trend, watts
from cohete.tegra import Engine, TegraStats, Zone
from cohete.tegra.rules import NOT_THE_MODULE
from cohete.thermal.throttle import Cause
from cohete_tui.draw import Line, bar, fit, spread, wrap
from cohete_tui.memory import gauge, memory
from cohete_tui.tiles import dimmed, heat_style, state_span

_LABEL = 8


def loads(device: Device, now_s: float, cells: int, why: Mapping[str, str]) -> list[Line]:
    """Cores, GPU, memory, bandwidth, engines."""
    stats = device.stats
    if stats is None:
        return _nothing_yet(device, now_s, cells)
    gpu = device.gpu_percent(now_s)
    other = stats.gpu_percent is None and gpu is not None
    note = "by nvidia-smi" if other else _mhz(stats.gpu_mhz)
    if gpu is None and "gpu" in why and not stats.gpu_off:
        note = "why: see facts"
    share = None if gpu is None else gpu / 100
    lines = _not_fresh(device, now_s, cells)
    lines.append(gauge("GPU", share, load(device, now_s), note, cells))
    cpu = stats.cpu_percent
    online = f"{stats.cores_online} of {len(stats.cores)} cores"
    share = None if cpu is None else cpu / 100
    lines.append(gauge("CPU", share, percent(cpu), online, cells))
    lines += _cores(stats, cells)
    lines.append([])
    lines += memory(device, now_s, cells)
    emc = stats.emc_percent
    emc_share = None if emc is None else emc / 100
    lines.append(
        gauge("EMC", emc_share, percent(emc), _mhz((stats.emc_mhz,) if stats.emc_mhz else ()),
               cells)
    )  # fmt: skip
    lines += _engines(stats.engines, cells)
    return _as_fresh_as_it_is(device, lines)


def _not_fresh(device: Device, now_s: float, cells: int) -> list[Line]:
    """Above values that are no longer live: since when, why, and what to do."""
    if device.state in (State.LIVE, State.CONNECTING):
        return []
    lines: list[Line] = [[(f"Last seen {span(device.age_s(now_s))} ago", "warn")]]
    lines += [[(text, "warn")] for text in wrap(device.error, cells, 3)]
    lines += [[(text, "warn")] for text in wrap(device.hint, cells, 4)]
    return [*lines, []]


def _as_fresh_as_it_is(device: Device, lines: list[Line]) -> list[Line]:
    return lines if device.state is State.LIVE else [dimmed(line) for line in lines]


def _mhz(clocks: tuple[int, ...]) -> str:
    return f"{'/'.join(str(clock) for clock in dict.fromkeys(clocks))} MHz" if clocks else ""


def _cores(stats: TegraStats, cells: int) -> list[Line]:
    """Cores as a row of small bars with their clock, as many beside each other as fit."""
    lines: list[Line] = []
    line: Line = []
    each = 22
    across = max(1, (cells + 2) // each)
    for nth, core in enumerate(stats.cores):
        if core.off:
            value: Line = [(fit("off", 18), "dim"), (" ", "")]
        else:
            share = None if core.percent is None else core.percent / 100
            clock = f"{core.mhz} MHz" if core.mhz is not None else ""
            value = [*bar(share, 4), (f"{percent(core.percent):>5}", ""),
                     (fit(clock, 9, right=True), "dim"), (" ", "")]  # fmt: skip
        line += [(f"{nth:>2} ", "dim"), *value]
        if (nth + 1) % across == 0 or nth == len(stats.cores) - 1:
            lines.append(line)
            line = []
    return lines


def _engines(engines: tuple[Engine, ...], cells: int) -> list[Line]:
    lines: list[Line] = []
    line: Line = []
    each = 24
    across = max(1, cells // each)
    for nth, engine in enumerate(engines):
        if engine.off:
            text, style = "off", "dim"
        else:
            load = percent(engine.percent) if engine.percent is not None else ""
            text, style = f"{load} {_mhz(engine.mhz)}".strip() or UNKNOWN, ""
        name = engine.name.removesuffix("_FREQ")
        line += [(fit(f"{name} ", 8), "dim"), (fit(text, each - 9), style), (" ", "")]
        if (nth + 1) % across == 0 or nth == len(engines) - 1:
            lines.append(line)
            line = []
    return lines


def sensors(device: Device, now_s: float, cells: int) -> list[Line]:
    """Zones hottest first, then rails with the module's total."""
    stats = device.stats
    if stats is None:
        return []
    lines: list[Line] = []
    known = [zone for zone in stats.zones if zone.celsius is not None]
    module = device.facts.module if device.facts else None
    hottest = stats.hottest

    def place(zone: Zone) -> tuple[bool, float]:
        return zone.name.lower() in NOT_THE_MODULE, -(zone.celsius or 0.0)

    for zone in sorted(known, key=place):
        aside = place(zone)[0]
        style = "dim" if aside else heat_style(zone.celsius)
        note = ""
        if zone is hottest:
            note = trend(device.history.slope_per_min("temperature_c"))
        elif aside:
            note = "not the module" if cells >= 36 else ""
        value = f"{zone.celsius:5.1f}C"
        top = f" max {zone.max_c:.1f}C" if zone.max_c is not None else ""
        lines.append(
            spread([(fit(zone.name, 9), "dim"), (value, style), (top, "dim")], [(note, "dim")],
                   cells)
        )  # fmt: skip
    gated = [zone.name for zone in stats.zones if zone.celsius is None]
    if gated:
        lines.append(spread([(" ".join(gated), "dim")], [("off", "dim")], cells))
    if module is not None and module.throttle_c is not None:
        limit = f"throttles at {module.throttle_c:g}C, off at {module.critical_c:g}C"
        lines += [[(text, "dim")] for text in textwrap.wrap(limit, max(10, cells))]
    for each in device.throttling:
        style = "dim" if each.cause is Cause.MODE else "danger"
        text = f"held back by {each.cause}: {each.words}"
        lines += [[(part, style)] for part in wrap(text, cells, 4)]
    if lines:
        lines.append([])
    for rail in stats.rails:
        right: Line = [(f"{watts(rail.cur_mw):>7}", "")]
        if rail.avg_mw is not None and cells >= 38:
            right.append((f"  avg {watts(rail.avg_mw):>6}", "dim"))
        lines.append(spread([(rail.name, "dim")], right, cells))
    if stats.rails:
        lines.append(spread([("module total", "title")], [(watts(stats.power_mw), "title")], cells))
    return _as_fresh_as_it_is(device, lines)


def identity(device: Device, now_s: float, cells: int, why: Mapping[str, str]) -> list[Line]:
    """Who it is, how it is connected, and why something is unknown."""
    facts = device.facts
    rows: list[tuple[str, str, str]] = []
    if facts is not None:
        module = facts.module
        rows.append(("module", facts.module_name, ""))
        if module is not None:
            tops = f", {facts.tops} TOPS" if facts.tops else ""
            rows.append(("", f"{module.cuda_cores} CUDA cores{tops}", "dim"))
        rows += [
            ("board", facts.model or UNKNOWN, "dim"),
            ("release", f"{facts.jetpack or UNKNOWN}, L4T {facts.l4t or UNKNOWN}", ""),
            ("mode", facts.power_mode.name if facts.power_mode else UNKNOWN, ""),
            ("host", facts.hostname or UNKNOWN, ""),
            ("kernel", facts.kernel or UNKNOWN, "dim"),
            ("up", span(facts.uptime_s), ""),
            ("memory", f"{gib(facts.memory_available_mb)} available", ""),
        ]
        if facts.battery is not None:
            rows.append(
                ("battery", facts.battery.words, "warn" if facts.battery.discharging else "")
            )
        rows += [
            (
                "" if nth else "network",
                " ".join((each.name, *each.addresses)) + ("" if each.is_up else f" {each.state}"),
                "" if each.is_up else "dim",
            )
            for nth, each in enumerate(facts.interfaces)
        ]
        rows += [
            (
                "" if nth else "storage",
                f"{room.mount} {room.free / 1e9:.1f} of {room.total / 1e9:.0f} GB free",
                "warn" if room.is_low else "",
            )
            for nth, room in enumerate(facts.rooms[:4])
        ]
        hint = compute_hint(facts)
        rows.append(("compute", f"{hint.backend}, NEON {_yes(facts.has_neon)}, "
                     f"CUDA {_yes(facts.has_cuda)}", "dim"))  # fmt: skip
        age = device.facts_age_s(now_s)
        rows.append(("read", f"{span(age)} ago", "dim"))
    else:
        rows.append(("facts", "not read yet", "dim"))
    rows += [
        ("link", device.description, ""),
        ("key", device.fingerprint or UNKNOWN, "dim"),
        ("samples", f"{device.samples}, every {device.interval_s:g} s, "
         f"{'root' if device.with_root else 'no sudo'}", "dim"),
    ]  # fmt: skip
    if device.noise_lines or device.dropped_lines:
        text = f"{device.noise_lines} were none, {device.dropped_lines} came too late"
        rows.append(("lines", text, "dim"))
    lines = _rows(rows, cells)
    if why:
        lines += [[], [("Unknown, and why", "title")]]
        for field, reason in why.items():
            for nth, text in enumerate(textwrap.wrap(reason, max(10, cells - 12))):
                lines.append([(fit("" if nth else field, 12), "dim"), (text, "")])
    return lines


def _rows(rows: list[tuple[str, str, str]], cells: int) -> list[Line]:
    lines: list[Line] = []
    for label, value, style in rows:
        for nth, text in enumerate(textwrap.wrap(value, max(10, cells - _LABEL)) or [""]):
            lines.append([(fit("" if nth else label, _LABEL), "dim"), (text, style)])
    return lines


def _yes(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"


def _nothing_yet(device: Device, now_s: float, cells: int) -> list[Line]:
    lines: list[Line] = [state_span(device, now_s)]
    if device.state is State.DISABLED:
        text = "Set `enabled: true` for this device in cohete.yaml to watch it."
        return [*lines, [], *([(part, "dim")] for part in wrap(text, cells, 3))]
    lines += [[(text, "")] for text in wrap(device.error, cells, 4)]
    lines += [[(text, "dim")] for text in wrap(device.hint, cells, 6)]
    tries = "1 try" if device.attempts == 1 else f"{device.attempts} tries"
    tail = wrap(f"{tries} so far, no sample yet", cells, 2)
    return [*lines, [], *([(part, "dim")] for part in tail)]


def headline(device: Device, now_s: float, cells: int) -> Line:
    """Name, module and mode; state and age on the right."""
    about = " · ".join(part for part in (device.module_name, device.mode_name) if part)
    left: Line = [(f" {device.id}", "accent"), (f"  {about}", "")]
    age = device.age_s(now_s)
    right: Line = [*state_span(device, now_s)]
    if age is not None:
        right.append((f"  {span(age)} ", "dim"))
    return spread(left, right, cells)
