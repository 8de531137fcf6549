"""The memory of a board as its kernel tells it: what can be had, swap, stalls, pieces.

Formats: /proc/meminfo, /proc/vmstat, /proc/pressure/memory (kernel 4.20 and later), /proc/swaps and
/proc/buddyinfo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cohete.memory.pressure import large_free_mb, parse_psi
from cohete.text import decode

_KB = re.compile(rb"^(\w{1,32}):\s+(\d{1,12}) kB", re.MULTILINE)
_PAGES = re.compile(rb"^(pswpin|pswpout) (\d{1,18})$", re.MULTILINE)
_SWAP = re.compile(r"^(\S{1,200})\s+(partition|file)\s+(\d{1,12})\s+(\d{1,12})\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BoardMemory:
    """In MiB; None is unknown. `nvmap_mb` is what the GPU's allocator holds, part of what is used.

    `swapped_in`, `swapped_out`: pages since boot. `large_free_mb`: free in blocks of 4 MiB.
    """

    total_mb: int | None = None
    available_mb: int | None = None
    swap_total_mb: int | None = None
    swap_free_mb: int | None = None
    nvmap_mb: int | None = None
    swapped_in: int | None = None
    swapped_out: int | None = None
    psi_some: float | None = None
    psi_full: float | None = None
    swap_is_zram: bool | None = None
    large_free_mb: int | None = None
    page_bytes: int = 4096


def memory_from(sections: Mapping[str, bytes]) -> BoardMemory:
    """Memory from the raw output of each probe. Never raises."""
    kb = {name.decode(): int(value) for name, value in _KB.findall(sections.get("meminfo", b""))}
    pages = {name: int(value) for name, value in _PAGES.findall(sections.get("vmstat", b""))}
    some, full = parse_psi(decode(sections.get("psi", b"")))
    swaps = _SWAP.findall(decode(sections.get("swaps", b"")))
    return BoardMemory(
        _mb(kb, "MemTotal"), _mb(kb, "MemAvailable"), _mb(kb, "SwapTotal"), _mb(kb, "SwapFree"),
        _mb(kb, "NvMapMemUsed"), pages.get(b"pswpin"), pages.get(b"pswpout"), some, full,
        all("zram" in name for name, *_ in swaps) if swaps else None,
        large_free_mb(decode(sections.get("buddyinfo", b""))),
        page_bytes(sections),
    )  # fmt: skip


def _mb(kb: Mapping[str, int], name: str) -> int | None:
    return kb[name] // 1024 if name in kb else None


def page_bytes(sections: Mapping[str, bytes]) -> int:
    """Bytes of a page; 4096, as nearly everywhere, where the board does not tell."""
    text = decode(sections.get("page", b"")).strip()[:9]
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else 4096
