"""The heading of a group of devices: its name and its own totals. Pure."""

from __future__ import annotations

from cohete.fleet.state import State
from cohete.fleet.store import is_hot
from cohete.fleet.words import percent, watts
from cohete_tui.draw import Line, Span, spread, width
from cohete_tui.ordering import Group


def heading_line(group: Group, cells: int, *, focused: bool) -> Line:
    """`▾ roof  12   1 lost  1 hot  11 live   RAM 61%  118W`; a folded one starts with ▸."""
    sign = "▸" if group.folded else "▾"
    name: Line = [
        (f"{sign} {group.title}", "title-focus" if focused else "title"),
        (f"  {len(group.devices)} ", "dim"),
    ]
    right = [*_counts(group), *_resources(group)]
    for end in (right, _counts(group)):
        if width(name) + width(end) <= cells:
            return spread(name, end, cells)
    return spread(name, [], cells)


def _counts(group: Group) -> Line:
    states = [device.state for device in group.devices]
    hot = sum(device.state is State.LIVE and is_hot(device) for device in group.devices)
    parts: list[Span] = []
    for count, word, style in (
        (states.count(State.REFUSED), "refused", "danger"),
        (states.count(State.LOST), "lost", "danger"),
        (hot, "hot", "danger"),
        (states.count(State.STALE), "stale", "warn"),
        (states.count(State.CONNECTING), "connecting", "dim"),
        (states.count(State.LIVE), "live", "good"),
    ):
        if count:
            parts.append((f"  {count} {word}", style))
    return parts


def _resources(group: Group) -> Line:
    live = [d.stats for d in group.devices if d.state is State.LIVE and d.stats is not None]
    total_mb = sum(stats.ram_total_mb for stats in live)
    powers = [stats.power_mw for stats in live if stats.power_mw is not None]
    line: Line = []
    if total_mb:
        used_mb = sum(stats.ram_used_mb for stats in live)
        line.append((f"  RAM {percent(100 * used_mb / total_mb)}", ""))
    if powers:
        partly = f" on {len(powers)}" if len(powers) < len(live) else ""
        line.append((f"  {watts(sum(powers))}{partly}", ""))
    return line
