"""How near a board is to running out of memory, from its last samples. Pure.

What is counted: memory that can still be had (MemAvailable) and free swap, how fast both go, how
fast pages go to swap, the kernel's own stall times (PSI) where it has them, and whether what is
free lies in blocks large enough for a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

WINDOW_S = 15.0
SOON_S, VERY_SOON_S = 60.0, 15.0
LITTLE_SHARE = 0.03
"""With less than this of the memory left, swap or not, a board is about to stall."""
LEAST_LOSS_SHARE = 0.01
"""What is lost within the window before it counts as going somewhere."""
SWAP_RATE_MB_S = 5.0
PSI_SOME_PERCENT, PSI_FULL_PERCENT = 10.0, 10.0
LARGE_BLOCK_KB = 4096
"""The kernel's largest blocks; without one free, memory is in pieces."""


class Level(StrEnum):
    """How urgent it is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


_ORDER = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}


class Moment(NamedTuple):
    """Memory of a board at a moment, in MiB; None is unknown. PSI is avg10 in percent."""

    at_s: float
    total_mb: int
    available_mb: int
    swap_used_mb: int | None = None
    swap_total_mb: int | None = None
    lfb_blocks: int | None = None
    lfb_kb: int | None = None
    psi_some: float | None = None
    psi_full: float | None = None
    swap_is_zram: bool | None = None
    swapped_mb_s: float | None = None
    """What went to swap and came back, by the kernel's own count."""

    @property
    def swap_free_mb(self) -> int:
        """Free swap; 0 where it is unknown, for what is unknown cannot be relied on."""
        if self.swap_used_mb is None or self.swap_total_mb is None:
            return 0
        return max(0, self.swap_total_mb - self.swap_used_mb)


@dataclass(frozen=True, slots=True)
class Pressure:
    """What it comes to. `exhausted_in_s`: None where memory does not go; `causes` in words."""

    level: Level
    causes: tuple[str, ...] = ()
    exhausted_in_s: float | None = None
    advice: str = ""

    @property
    def words(self) -> str:
        """Level and first cause, for a person."""
        return f"{self.level}: {self.causes[0]}" if self.causes else str(self.level)


def assess(moments: Sequence[Moment]) -> Pressure:
    """From the last moments, oldest first; those older than the window do not count."""
    if not moments:
        return Pressure(Level.OK)
    now = moments[-1]
    recent = [each for each in moments if now.at_s - each.at_s <= WINDOW_S]
    found: list[tuple[Level, str, str]] = []
    left_s = exhaustion_s(recent)
    if left_s is not None and left_s <= SOON_S:
        level = Level.CRITICAL if left_s <= VERY_SOON_S else Level.WARNING
        words = f"out of memory in about {max(1, round(left_s))} s"
        found.append((level, words, "End or shrink what grows, now."))
    if now.available_mb < LITTLE_SHARE * now.total_mb:
        words = f"{now.available_mb} MB of {now.total_mb} MB left"
        found.append((Level.CRITICAL, words, "End or shrink something."))
    # What goes in and out by turns fills nothing, and stalls all the same.
    rate = max(swap_rate_mb_s(recent) or 0.0, now.swapped_mb_s or 0.0)
    if rate >= SWAP_RATE_MB_S:
        found.append((Level.WARNING, *_swap_words(now, rate)))
    if now.psi_full is not None and now.psi_full >= PSI_FULL_PERCENT:
        words = f"everything waits for memory {now.psi_full:.0f} % of the time"
        found.append((Level.CRITICAL, words, "End or shrink something."))
    elif now.psi_some is not None and now.psi_some >= PSI_SOME_PERCENT:
        words = f"something waits for memory {now.psi_some:.0f} % of the time"
        found.append((Level.WARNING, words, "Watch what grows."))
    if (pieces := fragmentation(now)) is not None:
        advice = "Compact or drop caches, or restart the largest program, before a model is loaded."
        found.append((Level.WARNING, pieces, advice))
    found.sort(key=lambda each: -_ORDER[each[0]])
    return Pressure(
        found[0][0] if found else Level.OK,
        tuple(words for _, words, _ in found),
        left_s,
        found[0][2] if found else "",
    )


def exhaustion_s(moments: Sequence[Moment]) -> float | None:
    """Seconds until nothing is left, memory and swap together, if it goes on as in the window."""
    if len(moments) < 2:
        return None
    left = [each.available_mb + each.swap_free_mb for each in moments]
    now = moments[-1]
    slope = _slope([each.at_s for each in moments], left)
    if slope >= 0 or max(left) - left[-1] < LEAST_LOSS_SHARE * now.total_mb:
        return None
    return left[-1] / -slope


def swap_rate_mb_s(moments: Sequence[Moment]) -> float | None:
    """How fast swap fills over the window, in MiB a second; None where it is unknown."""
    known = [
        (each.at_s, float(each.swap_used_mb)) for each in moments if each.swap_used_mb is not None
    ]
    if len(known) < 2:
        return None
    return _slope([at for at, _ in known], [used for _, used in known])


def fragmentation(moment: Moment) -> str | None:
    """That free memory is in pieces, in words; None where it is not, or not known."""
    if moment.lfb_blocks is None or moment.lfb_kb is None:
        return None
    if moment.lfb_kb >= LARGE_BLOCK_KB or moment.available_mb < 0.1 * moment.total_mb:
        return None
    size = f"{moment.lfb_kb // 1024} MB" if moment.lfb_kb >= 1024 else f"{moment.lfb_kb} kB"
    return f"{moment.available_mb} MB are free, in blocks of {size} at most"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether something fits, and why not; `after` is what would make it fit."""

    fits: bool
    words: str
    after: str = ""


def fits(request_mb: int, moment: Moment, margin_mb: int = 256) -> Fit:
    """Whether a model of this size can be loaded now: enough memory, and not in pieces."""
    room = moment.available_mb - margin_mb
    if request_mb > room:
        return Fit(False, f"{request_mb} MB needed, {max(0, room)} MB can be had")
    pieces = fragmentation(moment)
    if pieces is not None:
        return Fit(
            False,
            f"{request_mb} MB needed: {pieces}, and large GPU allocations fail then",
            "compact memory, drop caches, or restart what runs longest",
        )
    return Fit(True, f"{request_mb} MB needed, {room} MB can be had")


_BUDDY = re.compile(r"^Node\s+\d+,\s+zone\s+(\w{1,16})((?:\s+\d{1,12}){1,16})\s*$", re.M | re.A)
PAGE_KB = 4


def large_free_mb(buddyinfo: str, block_kb: int = LARGE_BLOCK_KB) -> int | None:
    """Free memory in blocks of at least `block_kb`, from /proc/buddyinfo; None where it is none.

    Column n counts free blocks of 2^n pages.
    """
    found = None
    for _, counts in _BUDDY.findall(buddyinfo):
        sizes = [(PAGE_KB << order, int(count)) for order, count in enumerate(counts.split())]
        found = (found or 0) + sum(kb * count for kb, count in sizes if kb >= block_kb)
    return None if found is None else found // 1024


_PSI = re.compile(r"^(some|full) avg10=(\d{1,3}\.\d{1,2})\b", re.MULTILINE | re.ASCII)


def parse_psi(text: str) -> tuple[float | None, float | None]:
    """avg10 of some and full in percent, from /proc/pressure/memory; None where it is not."""
    found = {kind: float(value) for kind, value in _PSI.findall(text)}
    return found.get("some"), found.get("full")


def _swap_words(now: Moment, rate: float) -> tuple[str, str]:
    where = "to zram, which is memory too" if now.swap_is_zram else "to swap"
    words = f"{rate:.0f} MB/s go {where}"
    advice = "Shrink what is loaded: swapping a model in and out stalls every request."
    return words, advice


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Change per second by least squares."""
    n = len(times)
    mean_t, mean_v = sum(times) / n, sum(values) / n
    spread = sum((at - mean_t) ** 2 for at in times)
    if spread <= 0:
        return 0.0
    return sum((a - mean_t) * (v - mean_v) for a, v in zip(times, values, strict=True)) / spread
