"""The last quarter of an hour of one device in memory, for charts, trends and means."""

from __future__ import annotations

import math
from array import array
from typing import TypeVar

SERIES = ("temperature_c", "power_w", "ram_percent", "gpu_percent", "cpu_percent")
HISTORY_SAMPLES, HISTORY_S = 900, 900.0
TREND_WINDOW_S = 60.0
STEPS = 30
"""In one degree, watt or percent: two bytes have room for 1,000 W so, and tenths are exact."""
MOST = 32_767 / STEPS

_T = TypeVar("_T")

_UNKNOWN = -32_768
_BLOCK = 100
"""Samples that are allocated at once. One size for all blocks keeps the heap in one piece, and
what is full never changes: whoever looks at a moment shares it."""
_MOST_BLOCKS = -(-HISTORY_SAMPLES // _BLOCK) + 1
_WIDE = len(SERIES)
_NO_TIMES = bytes(_BLOCK * array("f").itemsize)
_NO_VALUES = bytes(_BLOCK * _WIDE * array("h").itemsize)


class _Block:
    """Some samples in a row: seconds after the first of them, and values in STEPS."""

    __slots__ = ("begin_s", "seconds", "values")

    def __init__(self, begin_s: float, seconds: array[float], values: array[int]) -> None:
        self.begin_s, self.seconds, self.values = begin_s, seconds, values

    def copy(self) -> _Block:
        return _Block(self.begin_s, self.seconds[:], self.values[:])


class History:
    """The last `HISTORY_SAMPLES` samples of one device, of the last `HISTORY_S` or little more.

    NaN is unknown. Times are monotonic seconds of arrival; of a series see SERIES for its unit.
    Values are kept to 1 / STEPS; one beyond MOST counts as MOST.
    """

    __slots__ = ("_blocks", "_filled")

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._filled = _BLOCK
        """Samples in the last block; those before it are full."""

    def add(self, now_s: float, values: tuple[float | None, ...]) -> None:
        """One sample, in the order of SERIES."""
        blocks, at = self._blocks, self._filled
        if at == _BLOCK:
            at = 0
            old_s = now_s - HISTORY_S
            while blocks and (len(blocks) >= _MOST_BLOCKS or _last_s(blocks[0]) < old_s):
                del blocks[0]
            blocks.append(_Block(now_s, array("f", _NO_TIMES), array("h", _NO_VALUES)))
        block = blocks[-1]
        block.seconds[at] = now_s - block.begin_s
        kept = block.values
        for nth, value in enumerate(values, at * _WIDE):
            if value is None or value != value:
                kept[nth] = _UNKNOWN
            else:
                kept[nth] = round(STEPS * max(-MOST, min(MOST, value)))
        self._filled = at + 1

    def __len__(self) -> int:
        held = len(self._blocks) * _BLOCK - (_BLOCK - self._filled) if self._blocks else 0
        return min(HISTORY_SAMPLES, held)

    def snapshot(self) -> History:
        """A copy that grows no more."""
        kept = History()
        kept._filled = self._filled
        kept._blocks = [*self._blocks[:-1], *(block.copy() for block in self._blocks[-1:])]
        return kept

    def times(self, last: int | None = None) -> list[float]:
        """Arrival times, oldest first; of the last `last` samples."""
        blocks, count = self._tail(last)
        times: list[float] = []
        for block in blocks:
            begin_s = block.begin_s
            times += [begin_s + after_s for after_s in block.seconds]
        return self._cut(times, count)

    def values(self, name: str, last: int | None = None) -> list[float]:
        """A series, oldest first; the last `last` samples of it. NaN is unknown."""
        blocks, count = self._tail(last)
        column = SERIES.index(name)
        values = [value for block in blocks for value in block.values[column::_WIDE]]
        return [
            math.nan if value == _UNKNOWN else value / STEPS for value in self._cut(values, count)
        ]

    def _tail(self, last: int | None) -> tuple[list[_Block], int]:
        """The blocks that hold the last samples, and how many samples these are."""
        count = len(self) if last is None else min(len(self), last)
        if not count:
            return [], 0
        before = -(-max(0, count - self._filled) // _BLOCK)
        return self._blocks[len(self._blocks) - 1 - before :], count

    def _cut(self, every: list[_T], count: int) -> list[_T]:
        end = len(every) - (_BLOCK - self._filled)
        return every[end - count : end] if count else []

    def slope_per_min(self, name: str, window_s: float = TREND_WINDOW_S) -> float | None:
        """Change per minute over the window by least squares; None with less than 10 s of it."""
        if len(self) < 5:
            return None
        last = self._blocks[-1]
        newest_s = last.begin_s + last.seconds[self._filled - 1]
        column, count, first = SERIES.index(name), self._filled, 0.0
        n = sx = sy = sxx = sxy = 0.0
        for block in reversed(self._blocks):
            seconds, values, after_s = block.seconds, block.values, block.begin_s - newest_s
            for at in range(count - 1, -1, -1):
                x = seconds[at] + after_s
                if x < -window_s:
                    break
                y = values[at * _WIDE + column]
                if y != _UNKNOWN:
                    n += 1
                    sx += x
                    sy += y
                    sxx += x * x
                    sxy += x * y
                    first = x
            else:
                count = _BLOCK
                continue
            break
        spread = n * sxx - sx * sx
        if n < 5 or first > -10 or spread <= 0:
            return None
        return 60 / STEPS * (n * sxy - sx * sy) / spread


def _last_s(full: _Block) -> float:
    return full.begin_s + full.seconds[-1]
