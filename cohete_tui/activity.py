"""Processes, network and disks of a device as lines. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cohete.device.activity import Activity, Process
from cohete.fleet.words import UNKNOWN, gib, percent
from cohete_tui.draw import Line, bar, fill_style, fit, spread


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of processes: by `of`, the largest first; None stands last."""

    name: str
    of: Callable[[Process], float | None]


SORTS = (
    Sort("cpu", lambda process: process.cpu_percent),
    Sort("memory", lambda process: process.rss_mb),
    Sort("gpu memory", lambda process: process.gpu_mb),
)

_PID, _CPU, _SIZE = 8, 8, 10


def heading(sort: Sort, cells: int) -> Line:
    """Titles over the rows; the order's is marked."""

    def title(text: str, name: str, width: int) -> tuple[str, str]:
        mark = "▼" if name == sort.name else ""
        return (f"{text + mark:>{width}}", "accent" if mark else "dim")

    left: Line = [
        (f"{'PID':>{_PID}}", "dim"),
        title("CPU", "cpu", _CPU),
        title("MEMORY", "memory", _SIZE),
        title("GPU MEM", "gpu memory", _SIZE),
        ("  NAME", "dim"),
    ]
    return spread(left, [], cells)


def ordered(activity: Activity, sort: Sort, words: str) -> list[Process]:
    """The processes that match, in this order."""
    needles = words.casefold().split()
    found = [
        process
        for process in activity.processes
        if all(needle in f"{process.pid} {process.name}".casefold() for needle in needles)
    ]

    def key(process: Process) -> tuple[bool, float, int]:
        value = sort.of(process)
        return (value is None, -(value or 0.0), process.pid)

    return sorted(found, key=key)


def process_line(process: Process) -> Line:
    """One row under `heading`."""
    cpu = process.cpu_percent
    gpu = UNKNOWN if process.gpu_mb is None else _size(process.gpu_mb) if process.gpu_mb else ""
    return [
        (f"{process.pid:>{_PID}}", "dim"),
        (f"{UNKNOWN if cpu is None else f'{cpu:.1f}%':>{_CPU}}", "" if cpu else "dim"),
        (f"{_size(process.rss_mb):>{_SIZE}}", ""),
        (f"{gpu:>{_SIZE}}", "dim" if process.gpu_mb is None else ""),
        (f"  {process.name}", "title" if cpu else ""),
    ]


def traffic_lines(activity: Activity, cells: int) -> list[Line]:
    """Interfaces, disks and file systems, a line each."""
    lines: list[Line] = []
    for interface in activity.interfaces:
        faults: Line = [(f"{interface.errors} errors", "warn")] if interface.errors else []
        numbers = f"↓{_rate(interface.rx_bytes_s)}  ↑{_rate(interface.tx_bytes_s)}"
        lines.append(spread([(f"{fit(interface.name, 14)} ", "dim"), (numbers, "")], faults, cells))
    for disk in activity.disks:
        busy = f"busy {percent(disk.busy_percent)}"
        numbers = f"read {_rate(disk.read_bytes_s)}  write {_rate(disk.write_bytes_s)}"
        lines.append(
            spread([(f"{fit(disk.name, 14)} ", "dim"), (numbers, "")], [(busy, "dim")], cells)
        )
    for each in activity.filesystems:
        share = each.used_mb / each.total_mb if each.total_mb else None
        style = fill_style(share)
        left = [(f"{fit(each.mount, 14)} ", "dim"), *bar(share, 16, style=style)]
        text = f"{gib(each.used_mb)} of {gib(each.total_mb)}"
        lines.append(spread(left, [(text, style if style == "danger" else "")], cells))
    return lines or [[("nothing was read", "dim")]]


def _size(size_mb: float) -> str:
    """`92M`, `5.9G`."""
    return gib(size_mb) if size_mb >= 1000 else f"{size_mb:.0f}M"


def _rate(bytes_s: float | None) -> str:
    """`   12 kB/s`, nine cells."""
    if bytes_s is None:
        return f"{UNKNOWN:>9}"
    if bytes_s >= 1e6:
        return f"{bytes_s / 1e6:>4.1f} MB/s"
    return f"{bytes_s / 1e3:>4.0f} kB/s"
