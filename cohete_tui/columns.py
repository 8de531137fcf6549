"""The columns of the dense fleet table: what each shows, and which leave first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cohete.fleet.state import GLYPHS, Device, State
from cohete.fleet.store import is_breaker_open, is_hot, is_over_budget
from cohete.fleet.words import UNKNOWN, gib, load, percent, span, state_word, trend, watts
from cohete.thermal.breaker import GLYPHS as BREAKER_GLYPHS
from cohete_tui.draw import MARK, Line, bar, fill_style, fit
from cohete_tui.tiles import STATE_STYLES, heat_style

_BAR_CELLS = 8
NAME_MAX = 24
_LIVE_ENOUGH = (State.LIVE, State.STALE)

Cell = Callable[[Device, float, int], Line]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: title, width, its place when room is short (1 stays longest), and its sort."""

    title: str
    cells: int
    priority: int
    draw: Cell
    sort: str = ""
    left: bool = False


def _number(value: Callable[[Device, float], str], style: str = "") -> Cell:
    return lambda device, now, cells: [(fit(value(device, now), cells, right=True), style)]


def _load(value: Callable[[Device, float], float | None], off: bool = False) -> Cell:
    def draw(device: Device, now: float, cells: int) -> Line:
        share = value(device, now)
        text = load(device, now) if off else percent(share)
        if cells < _BAR_CELLS + 5:
            return [(fit(text, cells, right=True), "")]
        return [*bar(None if share is None else share / 100, _BAR_CELLS), (f" {text:>4}", "")]

    return draw


def _ram(device: Device, now: float, cells: int) -> Line:
    stats = device.stats
    if stats is None:
        return [(fit(UNKNOWN, cells, right=True), "")]
    over = is_over_budget(device)
    style = "danger" if over else ""
    if cells < _BAR_CELLS + 5:
        return [(fit(percent(stats.ram_percent), cells, right=True), style)]
    share = stats.ram_used_mb / stats.ram_total_mb if stats.ram_total_mb else None
    text = f"{gib(stats.ram_used_mb)}/{gib(stats.ram_total_mb)}"
    return [
        *bar(share, _BAR_CELLS, style="danger" if over else fill_style(share)),
        (fit(text, cells - _BAR_CELLS, right=True), style),
    ]


def _heat(device: Device, now: float, cells: int) -> Line:
    hottest = device.stats.hottest if device.stats else None
    if hottest is None or hottest.celsius is None:
        return [(fit(f"{UNKNOWN:>6}", cells), "")]
    style = heat_style(hottest.celsius)
    return [
        (f"{hottest.celsius:5.1f}C", style),
        (fit(f" {hottest.name}", cells - 6), style or "dim"),
    ]


def _state(device: Device, now: float, cells: int) -> Line:
    if cells <= 2:
        return [(fit(GLYPHS[device.state], cells), STATE_STYLES[device.state])]
    if device.state is State.LIVE and is_breaker_open(device):
        assert device.breaker is not None
        words = f"{BREAKER_GLYPHS[device.breaker]} {device.breaker}"
        return [("● live ", "good"), (fit(words, cells - 7), "danger")]
    if device.state is State.LIVE and (is_hot(device) or is_over_budget(device)):
        words = "hot" if is_hot(device) else "over budget"
        return [("● live ", "good"), (fit(words, cells - 7), "danger")]
    text = f"{GLYPHS[device.state]} {state_word(device, now)}"
    return [(fit(text, cells), STATE_STYLES[device.state])]


def _why(device: Device, now: float, cells: int) -> Line:
    text = device.error if device.state is not State.LIVE else ""
    return [(fit(text, cells), "dim")]


def _trend(device: Device, now: float, cells: int) -> Line:
    return [(fit(trend(device.history.slope_per_min("temperature_c")) or UNKNOWN, cells), "dim")]


def _swap(device: Device) -> str:
    used_mb = device.stats.swap_used_mb if device.stats else None
    return gib(used_mb)


def _l4t(device: Device) -> str | None:
    return device.facts.l4t if device.facts else None


def columns(name_cells: int, *, wide: bool) -> list[Column]:
    """All columns in the order of the screen; `wide` draws bars beside loads."""
    load_cells = _BAR_CELLS + 5 if wide else 4
    return [
        Column("DEVICE", name_cells, 1, lambda device, now, cells: [(fit(device.id, cells), "")],
               "name", left=True),
        Column(
            "GPU", load_cells, 3, _load(lambda d, now: d.gpu_percent(now), off=True), "gpu"
        ),
        Column("CPU", load_cells, 7,
               _load(lambda d, now: d.stats.cpu_percent if d.stats else None), "cpu"),
        Column("RAM", 18 if wide else 4, 5, _ram, "ram"),
        Column("HOTTEST", 12, 4, _heat, "temp", left=True),
        Column("POWER", 6, 6, _number(lambda d, now: watts(d.stats.power_mw if d.stats else None)),
               "power"),
        Column("STATE", 22 if wide else 18, 2, _state, "trouble", left=True),
        Column("AGE", 5, 10, _number(lambda d, now: span(d.age_s(now)), "dim"), "age"),
        Column("MODE", 15, 8,
               lambda d, now, cells: [(fit(d.mode_name or UNKNOWN, cells), "dim")], left=True),
        Column("MODULE", 20, 9,
               lambda d, now, cells: [(fit(d.module_name or UNKNOWN, cells), "dim")], left=True),
        Column("SITE", 10, 11,
               lambda d, now, cells: [(fit(d.spec.site or "", cells), "dim")], left=True),
        Column("WHY", 40, 12, _why, left=True),
        Column("TREND", 12, 13, _trend, left=True),
        Column("SWAP", 5, 14, _number(lambda d, now: _swap(d), "dim")),
        Column("L4T", 8, 15,
               lambda d, now, cells: [(fit(_l4t(d) or UNKNOWN, cells), "dim")], left=True),
        Column("ADDRESS", 24, 16,
               lambda d, now, cells: [(fit(str(d.spec.target), cells), "dim")], left=True),
        Column("TAGS", 20, 17,
               lambda d, now, cells: [(fit(" ".join(d.spec.tags), cells), "dim")], left=True),
    ]  # fmt: skip


def everything(devices: Sequence[Device], *, wide: bool = True) -> list[Column]:
    """Every column that has something to say about these devices."""
    longest = max((len(device.id) for device in devices), default=6)
    name_cells = min(NAME_MAX, max(8, longest))
    shown = columns(name_cells, wide=wide)
    if not any(device.spec.site for device in devices):
        shown = [column for column in shown if column.title != "SITE"]
    if not any(device.spec.tags for device in devices):
        shown = [column for column in shown if column.title != "TAGS"]
    return shown


def fitting(devices: Sequence[Device], cells: int) -> list[Column]:
    """The columns that fit into `cells`, by priority, in the order of the screen."""
    candidates = everything(devices, wide=cells >= 130)
    kept: list[Column] = []
    room = cells - 1
    for column in sorted(candidates, key=lambda column: column.priority):
        if column.title == "STATE" and column.cells + 2 > room:
            # Too narrow for the word: its glyph stays.
            column = replace(column, title="", cells=min(2, max(0, room - 2)))
        if column.cells + 2 <= room or column.priority == 1:
            kept.append(column)
            room -= column.cells + 2
    return sorted(kept, key=lambda column: _place(candidates, column))


def _place(candidates: Sequence[Column], column: Column) -> int:
    return next(nth for nth, other in enumerate(candidates) if other.priority == column.priority)


def title_line(shown: Sequence[Column], sort: str, *, reverse: bool) -> Line:
    """The heading; the column that orders the table carries an arrow."""
    line: Line = [(" ", "")]
    for column in shown:
        arrow = ("▲" if reverse else "▼") if column.sort == sort else ""
        text = fit(column.title + arrow, column.cells, right=not column.left)
        line += [(text, "accent" if arrow else "title"), ("  ", "")]
    return line


def row_line(
    device: Device, now_s: float, shown: Sequence[Column], *, marked: bool = False
) -> Line:
    """One device; what is no longer fresh is dim."""
    line: Line = [(MARK, "accent") if marked else (" ", "")]
    for column in shown:
        cell = column.draw(device, now_s, column.cells)
        if device.state not in (State.LIVE, State.CONNECTING) and column.title not in (
            "DEVICE",
            "STATE",
        ):
            cell = [(text, "dim") for text, _ in cell]
        line += [*cell, ("  ", "")]
    return line
