"""What a device does: processes, network, disks. Two readings of its counters make rates. Pure.

Formats: /proc/stat, /proc/PID/stat (through the `processes` script), /proc/net/dev and
/proc/diskstats of Linux, `df -P -k`, `nvmap/iovmm/clients` of Jetson Linux, and
`nvidia-smi --query-compute-apps=pid,used_memory`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cohete.text import decode, sanitise

MAX_PROCESSES = 4_096
MAX_PROGRAMS = 16
MAX_ROWS = 128
MAX_LINE = 1_024
_NAME_CHARS = 32
_SECTOR_BYTES = 512

_PROCESS = re.compile(r"(\d{1,9}) (\d{1,15}) (\d{1,15}) (.+)", re.ASCII)
_INTERFACE_NAME = re.compile(r"[^\s:]{1,32}", re.ASCII)
_WHOLE_DISK = re.compile(r"nvme\d+n\d+|mmcblk\d+|sd[a-z]+|vd[a-z]+|hd[a-z]+", re.ASCII)
_FILESYSTEM = re.compile(
    r"(/dev/\S{1,200}) +(\d{1,15}) +(\d{1,15}) +(\d{1,15}) +\d{1,3}% +(/.*)", re.ASCII
)
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_KILOBYTES = re.compile(r"(\d{1,15})K", re.ASCII)
_COMPUTE_APP = re.compile(r"(\d{1,9}) ?, ?(\d{1,9})(?: MiB)?", re.ASCII)


class Ticks(NamedTuple):
    """CPU time of a process in clock ticks, and its resident memory in pages."""

    ticks: int
    rss_pages: int
    name: str


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading: counters since boot, and what is so now. None is unknown."""

    uptime_s: float | None = None
    ticks_per_s: int = 100
    page_bytes: int = 4096
    processes: Mapping[int, Ticks] = field(default_factory=dict)
    network: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """By interface: bytes received, bytes sent, errors and drops."""
    disks: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """By whole disk: bytes read, bytes written, milliseconds it was busy."""
    filesystems: tuple[Filesystem, ...] = ()
    gpu_mb: Mapping[int, int] | None = None
    """GPU memory by process in MiB; None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Process:
    """`cpu_percent` of one core; None is not measured yet, or unknown."""

    pid: int
    name: str
    cpu_percent: float | None
    rss_mb: float
    gpu_mb: int | None


@dataclass(frozen=True, slots=True)
class Interface:
    """Bytes a second since the last reading; None is not measured yet."""

    name: str
    rx_bytes_s: float | None
    tx_bytes_s: float | None
    errors: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes a second and share of the time it was busy, since the last reading."""

    name: str
    read_bytes_s: float | None
    write_bytes_s: float | None
    busy_percent: float | None


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A file system on a disk; sizes in MiB."""

    device: str
    mount: str
    used_mb: int
    total_mb: int


@dataclass(frozen=True, slots=True)
class Activity:
    """What a device did between two readings."""

    processes: tuple[Process, ...]
    interfaces: tuple[Interface, ...]
    disks: tuple[Disk, ...]
    filesystems: tuple[Filesystem, ...]
    gpu_known: bool
    span_s: float | None
    """Seconds between the readings; None while there is only one."""


class Program(NamedTuple):
    """A process that holds much memory; `rss_mb` in MiB."""

    pid: int
    name: str
    rss_mb: float


def programs_from(sections: Mapping[str, bytes], page_bytes: int) -> tuple[Program, ...]:
    """The processes that hold most, as facts tell them, the largest first. Never raises."""
    found = _processes(decode(sections.get("large", b"")))
    programs = [
        Program(pid, each.name, each.rss_pages * page_bytes / 1_048_576)
        for pid, each in found.items()
    ]
    return tuple(sorted(programs, key=lambda each: (-each.rss_mb, each.pid))[:MAX_PROGRAMS])


def counters_from(sections: Mapping[str, bytes]) -> Counters:
    """Counters from the raw output of each part of the script. Never raises."""
    text = {name: decode(body) for name, body in sections.items()}
    return Counters(
        uptime_s=_first_float(text.get("uptime", "")),
        ticks_per_s=_positive(text.get("ticks", ""), 100),
        page_bytes=_positive(text.get("page", ""), 4096),
        processes=_processes(text.get("processes", "")),
        network=_network(text.get("network", "")),
        disks=_disks(text.get("disks", "")),
        filesystems=_filesystems(text.get("df", "")),
        gpu_mb=_gpu_memory(text),
    )


def between(before: Counters | None, after: Counters) -> Activity:
    """Rates between two readings; without the first, or after a reboot, they are unknown."""
    span_s: float | None = None
    if before is not None and before.uptime_s is not None and after.uptime_s is not None:
        span_s = after.uptime_s - before.uptime_s
    if before is None or span_s is None or span_s <= 0:
        before, span_s = Counters(), None
    gpu = after.gpu_mb
    processes = tuple(
        Process(
            pid,
            now.name,
            _cpu_percent(before.processes.get(pid), now, span_s, after.ticks_per_s),
            now.rss_pages * after.page_bytes / 1_048_576,
            None if gpu is None else gpu.get(pid, 0),
        )
        for pid, now in after.processes.items()
    )
    interfaces = tuple(
        Interface(
            name,
            _rate(before.network.get(name), counters, 0, span_s),
            _rate(before.network.get(name), counters, 1, span_s),
            counters[2],
        )
        for name, counters in after.network.items()
    )
    disks = tuple(
        Disk(
            name,
            _rate(before.disks.get(name), counters, 0, span_s),
            _rate(before.disks.get(name), counters, 1, span_s),
            _busy(_rate(before.disks.get(name), counters, 2, span_s)),
        )
        for name, counters in after.disks.items()
    )
    return Activity(processes, interfaces, disks, after.filesystems, gpu is not None, span_s)


def _cpu_percent(before: Ticks | None, now: Ticks, span_s: float | None, hz: int) -> float | None:
    # The same number with another name is another process.
    if span_s is None or before is None or before.name != now.name or now.ticks < before.ticks:
        return None
    return 100 * (now.ticks - before.ticks) / hz / span_s


def _rate(
    before: tuple[int, int, int] | None, now: tuple[int, int, int], at: int, span_s: float | None
) -> float | None:
    if before is None or span_s is None or now[at] < before[at]:
        return None
    return (now[at] - before[at]) / span_s


def _busy(busy_ms_s: float | None) -> float | None:
    return None if busy_ms_s is None else min(100.0, busy_ms_s / 10)


def _lines(text: str) -> list[str]:
    """Those of a length that means something: matching a longer one could take for ever."""
    return [line for line in text.split("\n") if len(line) <= MAX_LINE]


def _numbers(words: list[str]) -> list[int]:
    """All of them; none where one is no number."""
    return [int(word) for word in words] if all(map(_NUMBER.fullmatch, words)) else []


def _processes(text: str) -> dict[int, Ticks]:
    found: dict[int, Ticks] = {}
    # The last line may be cut off where the output was too long.
    for line in _lines(text)[:MAX_PROCESSES]:
        match = _PROCESS.fullmatch(line)
        if match:
            name = sanitise(match[4], _NAME_CHARS)
            found[int(match[1])] = Ticks(int(match[2]), int(match[3]), name)
    return found


def _network(text: str) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for line in _lines(text):
        name, colon, rest = line.partition(":")
        name, numbers = name.strip(), _numbers(rest.split())
        if not colon or len(numbers) < 12 or not _INTERFACE_NAME.fullmatch(name):
            continue
        if name != "lo" and len(found) < MAX_ROWS:
            faults = sum(numbers[2:4]) + sum(numbers[10:12])
            found[sanitise(name)] = (numbers[0], numbers[8], faults)
    return found


def _disks(text: str) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for line in _lines(text):
        words = line.split()
        numbers = _numbers(words[3:])
        if len(numbers) < 11 or not _WHOLE_DISK.fullmatch(words[2]) or len(found) >= MAX_ROWS:
            continue
        found[words[2]] = (numbers[2] * _SECTOR_BYTES, numbers[6] * _SECTOR_BYTES, numbers[9])
    return found


def _filesystems(text: str) -> tuple[Filesystem, ...]:
    found: dict[str, Filesystem] = {}
    for line in _lines(text):
        match = _FILESYSTEM.fullmatch(line.rstrip())
        if match and len(found) < MAX_ROWS:
            used, total = int(match[3]) // 1024, int(match[2]) // 1024
            device = sanitise(match[1], 64)
            if not device.startswith("/dev/loop"):
                # Mounted in several places it is still one file system.
                found.setdefault(device, Filesystem(device, sanitise(match[5], 64), used, total))
    return tuple(found.values())


def _gpu_memory(text: Mapping[str, str]) -> dict[int, int] | None:
    """nvmap's clients, which only root can read, else what nvidia-smi says (Thor)."""
    if "nvmap" in text and (found := _nvmap(text["nvmap"])) is not None:
        return found
    if "compute_apps" not in text:
        return None
    lines = [line.strip() for line in _lines(text["compute_apps"]) if line.strip()]
    matches = [_COMPUTE_APP.fullmatch(line) for line in lines]
    # Nothing printed: no process uses the GPU. Something else printed: it was refused.
    if not all(matches):
        return None
    return {int(match[1]): int(match[2]) for match in matches if match}


def _nvmap(text: str) -> dict[int, int] | None:
    found: dict[int, int] | None = None
    for line in _lines(text):
        words = line.split()
        if words[:4] == ["CLIENT", "PROCESS", "PID", "SIZE"]:
            found = {}
        elif found is not None and len(words) >= 4 and _NUMBER.fullmatch(words[-2]):
            size = _KILOBYTES.fullmatch(words[-1])
            pid = int(words[-2])
            if size and len(found) < MAX_PROCESSES:
                found[pid] = found.get(pid, 0) + int(size[1]) // 1024
    return found


def _first_float(text: str) -> float | None:
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        return None


def _positive(text: str, otherwise: int) -> int:
    word = text.strip()[:9]
    return int(word) if word.isascii() and word.isdigit() and int(word) > 0 else otherwise
