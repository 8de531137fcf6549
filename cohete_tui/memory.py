"""The memory of a device as lines: used, budget, what can be had, in which pieces, swap. Pure."""

from __future__ import annotations

from cohete.device.memory import BoardMemory
from cohete.fleet.state import Device
from cohete.fleet.store import is_over_budget
from cohete.fleet.words import gib, percent, span
from cohete.memory.pressure import PSI_SOME_PERCENT
from cohete.tegra import TegraStats
from cohete_tui.draw import Line, bar, fill_style, fit, spread

LABEL = 8
_BAR_MAX = 24


def gauge(label: str, share: float | None, value: str, note: str, cells: int) -> Line:
    """A label, a bar, its value, a note."""
    room = max(4, min(24, cells - LABEL - 6 - 16))
    return spread(
        [
            (fit(label, 5), "dim"),
            *bar(share, room),
            (f" {value:>4}", ""),
        ],
        [(note, "dim")],
        cells,
    )


def memory(device: Device, now_s: float, cells: int) -> list[Line]:
    """Gauges of memory and swap; between them the budget and what the kernel tells."""
    stats = device.stats
    if stats is None:
        return []
    total_mb = stats.ram_total_mb
    budget_mb = device.spec.memory_budget_mb
    over = is_over_budget(device)
    share = stats.ram_used_mb / total_mb if total_mb else None
    room = max(4, min(_BAR_MAX, cells - LABEL - 22))
    filled = bar(
        share,
        room,
        style="danger" if over else fill_style(share),
        budget=budget_mb / total_mb if budget_mb and total_mb else None,
    )
    text = f"{gib(stats.ram_used_mb)} of {gib(total_mb)}"
    lines = [spread([("RAM  ", "dim"), *filled], [(text, "")], cells)]
    if budget_mb is not None:
        lines += _budget(budget_mb, stats, cells, over=over)
    if device.facts is not None:
        lines += _kernel(device.facts.memory, span(device.facts_age_s(now_s)), cells)
    if stats.lfb_blocks is not None and stats.lfb_kb is not None:
        size = f"{stats.lfb_kb // 1024} MB" if stats.lfb_kb >= 1024 else f"{stats.lfb_kb} kB"
        lines.append(_row("largest free blocks", f"{stats.lfb_blocks} × {size}", cells))
    lines.append(_swap(stats, room, cells))
    return lines


def _row(label: str, value: str, cells: int, style: str = "") -> Line:
    return spread([(f"     {label}", style or "dim")], [(value, style)], cells)


def _budget(budget_mb: int, stats: TegraStats, cells: int, *, over: bool) -> list[Line]:
    left_mb = budget_mb - stats.ram_used_mb
    value = f"{gib(-left_mb)} over {gib(budget_mb)}" if over else (
        f"{gib(max(0, left_mb))} left of {gib(budget_mb)}"
    )  # fmt: skip
    lines = [_row("over budget" if over else "budget", value, cells, "danger" if over else "")]
    if stats.ram_total_mb > budget_mb:
        lines.append(_row("kept for the system", gib(stats.ram_total_mb - budget_mb), cells))
    return lines


def _kernel(memory: BoardMemory, age: str, cells: int) -> list[Line]:
    """What the kernel told with the facts; nothing where it did not."""
    lines: list[Line] = []
    if memory.available_mb is not None:
        lines.append(_row(f"available, {age} ago", gib(memory.available_mb), cells))
    if memory.nvmap_mb is not None:
        lines.append(_row("of the GPU", gib(memory.nvmap_mb), cells))
    if memory.psi_some is not None:
        style = "warn" if memory.psi_some >= PSI_SOME_PERCENT else ""
        lines.append(_row("waits for memory", percent(round(memory.psi_some)), cells, style))
    return lines


def _swap(stats: TegraStats, room: int, cells: int) -> Line:
    if stats.swap_total_mb is None:
        return spread([("SWAP ", "dim")], [("none", "dim")], cells)
    share = None
    if stats.swap_used_mb is not None and stats.swap_total_mb:
        share = stats.swap_used_mb / stats.swap_total_mb
    text = f"{gib(stats.swap_used_mb)} of {gib(stats.swap_total_mb)}"
    return spread([("SWAP ", "dim"), *bar(share, room)], [(text, "")], cells)
