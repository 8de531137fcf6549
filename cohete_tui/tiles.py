"""One device as a tile of text: the pane of the fleet screen. Pure."""

from __future__ import annotations

import textwrap

from cohete.fleet.state import GLYPHS, Device, State
from cohete.fleet.store import HOT_C, is_hot
from cohete.fleet.words import UNKNOWN, gib, percent, span, state_word, trend, watts
from cohete_tui.draw import Line, bar, fill_style, fit, pad, sparkline, spread, width

HEIGHT = 7
MIN_WIDTH = 38
_BAR_MAX = 24

STATE_STYLES = {
    State.CONNECTING: "dim",
    State.LIVE: "good",
    State.STALE: "warn",
    State.LOST: "danger",
    State.REFUSED: "danger",
    State.DISABLED: "dim",
}


def tile(device: Device, now_s: float, cells: int, *, focused: bool) -> list[Line]:
    """HEIGHT lines of exactly `cells` cells."""
    border = "border-focus" if focused else _border(device)
    inner = cells - 4
    if device.stats is None or device.state in (State.LOST, State.REFUSED, State.DISABLED):
        body = _words(device, now_s, inner)
    else:
        body = _numbers(device, now_s, inner)
        if device.state is State.STALE:
            body = [[(text, "dim" if style != "warn" else style) for text, style in line]
                    for line in body]  # fmt: skip
    lines = [_top(device, cells, border, focused=focused)]
    lines += [[("│ ", border), *pad(line, inner), (" │", border)] for line in body]
    lines.append([("╰" + "─" * (cells - 2) + "╯", border)])
    return lines


def _border(device: Device) -> str:
    if device.state in (State.LOST, State.REFUSED):
        return "border-danger"
    return "border-danger" if device.state is State.LIVE and is_hot(device) else "border"


def _top(device: Device, cells: int, border: str, *, focused: bool) -> Line:
    """`╭ name ───── module · mode ╮`; what does not fit leaves from the right."""
    name = fit(device.id, min(len(device.id), cells - 6))
    room = cells - len(name) - 6
    full = " · ".join(part for part in (device.module_name, device.mode_name) if part)
    about = next((text for text in (full, device.module_name) if len(text) + 3 <= room), "")
    right: Line = [(f" {about} ", "dim"), ("╮", border)] if about else [("╮", border)]
    left: Line = [("╭ ", border), (name, "title-focus" if focused else "title"), (" ", border)]
    rule = "─" * (cells - width(left) - width(right))
    return [*left, (rule, border), *right]


def _numbers(device: Device, now_s: float, inner: int) -> list[Line]:
    stats = device.stats
    assert stats is not None
    gpu = device.gpu_percent(now_s)
    cells = max(4, min(_BAR_MAX, inner - 20))
    gpu_clock = f"{stats.gpu_mhz[0]} MHz" if stats.gpu_mhz and stats.gpu_mhz[0] else ""
    share = None if gpu is None else gpu / 100
    cpu = stats.cpu_percent
    cpu_share = None if cpu is None else cpu / 100
    ram_share = stats.ram_used_mb / stats.ram_total_mb if stats.ram_total_mb else None
    budget_mb = device.spec.memory_budget_mb
    budget = budget_mb / stats.ram_total_mb if budget_mb and stats.ram_total_mb else None
    over = budget is not None and ram_share is not None and ram_share > budget
    ram_style = "danger" if over else fill_style(ram_share)
    ram_text = f"{gib(stats.ram_used_mb)} of {gib(stats.ram_total_mb)}"
    return [
        spread(
            [("GPU ", "dim"), *bar(share, cells), (f" {percent(gpu):>4}", "")],
            [(gpu_clock, "dim")],
            inner,
        ),
        spread(
            [("CPU ", "dim"), *bar(cpu_share, cells), (f" {percent(cpu):>4}", "")],
            [(f"{stats.cores_online} of {len(stats.cores)}", "dim")],
            inner,
        ),
        spread(
            [("RAM ", "dim"), *bar(ram_share, cells, style=ram_style, budget=budget)],
            [(ram_text, "danger" if over else "")],
            inner,
        ),
        _heat(device, now_s, inner),
        _power(device, now_s, inner),
    ]


def heat_style(celsius: float | None) -> str:
    """Plain, warning ten degrees below hot, danger from there."""
    if celsius is None or celsius < HOT_C - 10:
        return ""
    return "warn" if celsius < HOT_C else "danger"


def _heat(device: Device, now_s: float, inner: int) -> Line:
    assert device.stats is not None
    hottest = device.stats.hottest
    celsius = hottest.celsius if hottest else None
    style = heat_style(celsius)
    name = fit(hottest.name if hottest else "temp", 4)
    text = UNKNOWN if celsius is None else f"{celsius:.1f} C"
    left: Line = [(f"{name}", "dim"), (f"{text:>7}", style)]
    if celsius is not None and celsius >= HOT_C:
        left.append((" hot", "danger"))
    left.append((f" {trend(device.history.slope_per_min('temperature_c'))}", "dim"))
    return spread(left, state_span(device, now_s), inner)


def state_span(device: Device, now_s: float) -> Line:
    """Glyph and word of the state."""
    style = STATE_STYLES[device.state]
    return [(f"{GLYPHS[device.state]} {state_word(device, now_s)}", style)]


def _power(device: Device, now_s: float, inner: int) -> Line:
    assert device.stats is not None
    power_mw = device.stats.power_mw
    value = watts(power_mw)
    age = span(device.age_s(now_s))
    cells = max(0, min(20, inner - 19))
    values = device.history.values("power_w", cells)
    known = [value for value in values if value == value]
    sparks = sparkline(values, cells, low=0, high=max(known) * 1.15) if known else ""
    return spread(
        [("PWR ", "dim"), (f"{value:>6} ", ""), (sparks, "spark")],
        [(f"{age:>5}", "dim")],
        inner,
    )


def _words(device: Device, now_s: float, inner: int) -> list[Line]:
    """A device without fresh numbers: its state, why, and what happens next."""
    lines: list[Line] = [state_span(device, now_s)]
    reason = textwrap.wrap(device.error, inner)[:2]
    lines += [[(text, "")] for text in reason]
    hint = device.hint
    if device.state is State.REFUSED:
        hint = "c: look at it and decide" if device.key_line else hint
    if device.state is State.CONNECTING:
        lines.append([(device.description, "dim")])
    room = 4 - len(lines)
    lines += [[(text, "dim")] for text in textwrap.wrap(hint, inner)[:room]]
    while len(lines) < 4:
        lines.append([])
    age = device.age_s(now_s)
    if age is not None and device.stats is not None:
        hottest = device.stats.hottest
        last = f"{hottest.celsius:.0f} C" if hottest and hottest.celsius is not None else UNKNOWN
        lines.append([(f"{span(age)} ago: {last}, {watts(device.stats.power_mw)}", "dim")])
    else:
        lines.append([("never seen", "dim")] if device.state is not State.CONNECTING else [])
    return lines[:5]
