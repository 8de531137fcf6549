"""One device as a tile of text: the pane of the fleet screen. Pure."""

from __future__ import annotations

from cohete.fleet.state import GLYPHS, Device, State
from cohete.fleet.store import HOT_C, is_breaker_open, is_hot, is_over_budget
from cohete.fleet.words import UNKNOWN, gib, load, percent, span, state_word, trend, watts
from cohete.thermal.breaker import GLYPHS as BREAKER_GLYPHS
from cohete.thermal.breaker import BreakerState
from cohete_tui.draw import MARK, Line, bar, fill_style, fit, pad, sparkline, spread, width, wrap

HEIGHT = 7
MIN_WIDTH = 38
_BAR_MAX = 24
_TEXT_LINES = HEIGHT - 2

STATE_STYLES = {
    State.CONNECTING: "dim",
    State.LIVE: "good",
    State.STALE: "warn",
    State.LOST: "danger",
    State.REFUSED: "danger",
    State.DISABLED: "dim",
}


def tile(
    device: Device, now_s: float, cells: int, *, focused: bool, marked: bool = False
) -> list[Line]:
    """HEIGHT lines of exactly `cells` cells."""
    border = "border-focus" if focused else _border(device)
    inner = cells - 4
    if device.stats is None or device.state in (State.LOST, State.REFUSED, State.DISABLED):
        body = _words(device, now_s, inner)
    else:
        body = _numbers(device, now_s, inner)
        if device.state is State.STALE:
            body = [dimmed(line) for line in body]
    lines = [_top(device, cells, border, focused=focused, marked=marked)]
    lines += [[("│ ", border), *pad(line, inner), (" │", border)] for line in body]
    lines.append([("╰" + "─" * (cells - 2) + "╯", border)])
    return lines


def dimmed(line: Line) -> Line:
    """The same line as something that is no longer fresh; what warns keeps its colour."""
    return [(text, style if style == "warn" else "dim") for text, style in line]


def state_span(device: Device, now_s: float) -> Line:
    """Glyph and word of the state."""
    style = STATE_STYLES[device.state]
    return [(f"{GLYPHS[device.state]} {state_word(device, now_s)}", style)]


def heat_style(celsius: float | None) -> str:
    """Plain, warning ten degrees below hot, danger from there."""
    if celsius is None or celsius < HOT_C - 10:
        return ""
    return "warn" if celsius < HOT_C else "danger"


def _border(device: Device) -> str:
    if device.state in (State.LOST, State.REFUSED):
        return "border-danger"
    troubled = is_hot(device) or is_over_budget(device) or is_breaker_open(device)
    return "border-danger" if device.state is State.LIVE and troubled else "border"


def _top(device: Device, cells: int, border: str, *, focused: bool, marked: bool) -> Line:
    """`╭ name ───── module · mode ╮`; what does not fit leaves from the right."""
    text = f"{MARK} {device.id}" if marked else device.id
    name = fit(text, min(len(text), cells - 6))
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
    gpu_share = None if gpu is None else gpu / 100
    cpu = stats.cpu_percent
    cpu_share = None if cpu is None else cpu / 100
    return [
        spread(
            [("GPU  ", "dim"), *bar(gpu_share, cells), (f" {load(device, now_s):>4}", "")],
            [(gpu_clock, "dim")],
            inner,
        ),
        spread(
            [("CPU  ", "dim"), *bar(cpu_share, cells), (f" {percent(cpu):>4}", "")],
            [(f"{stats.cores_online} of {len(stats.cores)}", "dim")],
            inner,
        ),
        _memory(device, inner, cells),
        _heat(device, now_s, inner),
        _power(device, now_s, inner),
    ]


def _memory(device: Device, inner: int, cells: int) -> Line:
    stats = device.stats
    assert stats is not None
    total_mb = stats.ram_total_mb
    share = stats.ram_used_mb / total_mb if total_mb else None
    budget_mb = device.spec.memory_budget_mb
    budget = budget_mb / total_mb if budget_mb and total_mb else None
    over = is_over_budget(device)
    style = "danger" if over else fill_style(share)
    text = f"{gib(stats.ram_used_mb)} of {gib(total_mb)}{' over' if over else ''}"
    return spread(
        [("RAM  ", "dim"), *bar(share, cells, style=style, budget=budget)],
        [(text, "danger" if over else "")],
        inner,
    )


def _heat(device: Device, now_s: float, inner: int) -> Line:
    assert device.stats is not None
    hottest = device.stats.hottest
    celsius = hottest.celsius if hottest else None
    value = UNKNOWN if celsius is None else f"{celsius:.1f}C"
    left: Line = [("TEMP ", "dim"), (f"{value:>6}", heat_style(celsius))]
    if celsius is not None and celsius >= HOT_C:
        left.append((" hot", "danger"))
    if device.breaker is not None and device.breaker is not BreakerState.CLOSED:
        style = "warn" if device.breaker.allows_work else "danger"
        left.append((f" {BREAKER_GLYPHS[device.breaker]} {device.breaker}", style))
    zone = hottest.name if hottest else ""
    left.append((f" {zone} {trend(device.history.slope_per_min('temperature_c'))}", "dim"))
    return spread(left, state_span(device, now_s), inner)


def _power(device: Device, now_s: float, inner: int) -> Line:
    assert device.stats is not None
    cells = max(0, min(20, inner - 20))
    values = device.history.values("power_w", cells)
    known = [value for value in values if value == value]
    sparks = sparkline(values, cells, low=0, high=max(known) * 1.15) if known else ""
    return spread(
        [("PWR  ", "dim"), (f"{watts(device.stats.power_mw):>6} ", ""), (sparks, "spark")],
        [(f"{span(device.age_s(now_s)):>5}", "dim")],
        inner,
    )


def _words(device: Device, now_s: float, inner: int) -> list[Line]:
    """A device without fresh numbers: its state, why, what happens next, what it was last."""
    lines: list[Line] = [state_span(device, now_s)]
    hint = device.hint
    if device.key_line:
        lines.append([("this host was never seen before", "")])
        hint = "c: look at its key and decide"
    elif device.state is State.CONNECTING:
        lines.append([(fit(device.description, inner), "dim")])
    elif device.state is State.DISABLED:
        lines.append([("disabled in the configuration", "dim")])
    else:
        lines += [[(text, "")] for text in wrap(device.error, inner, 2)]
    room = _TEXT_LINES - 1 - len(lines)
    lines += [[(text, "dim")] for text in wrap(hint, inner, room)]
    lines += [[] for _ in range(_TEXT_LINES - 1 - len(lines))]
    age = device.age_s(now_s)
    if device.stats is not None and age is not None:
        hottest = device.stats.hottest
        last = f"{hottest.celsius:.0f}C" if hottest and hottest.celsius is not None else UNKNOWN
        lines.append([(f"{span(age)} ago: {last}, {watts(device.stats.power_mw)}", "dim")])
    else:
        lines.append([])
    return lines
