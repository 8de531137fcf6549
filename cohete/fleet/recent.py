"""The last quarter of an hour of one device in memory, for charts, trends and means."""

from __future__ import annotations

import math
from array import array

SERIES = ("temperature_c", "power_w", "ram_percent", "gpu_percent", "cpu_percent")
HISTORY_SAMPLES, HISTORY_S = 900, 900.0
TREND_WINDOW_S = 60.0

_BLOCK = 60
"""Samples that are allocated at once. One size for all blocks keeps the heap in one piece, and
what is full never changes: whoever looks at a moment shares it."""
_MOST_BLOCKS = -(-HISTORY_SAMPLES // _BLOCK) + 1
_WIDE = len(SERIES)
_NO_TIMES = bytes(_BLOCK * array("d").itemsize)
_NO_VALUES = bytes(_BLOCK * _WIDE * array("f").itemsize)


class History:
    """The last `HISTORY_SAMPLES` samples of one device, of the last `HISTORY_S` or little more.

    NaN is unknown. Times are monotonic seconds of arrival; of a series see SERIES for its unit.
    """

    __slots__ = ("_filled", "_times", "_values")

    def __init__(self) -> None:
        self._times: list[array[float]] = []
        self._values: list[array[float]] = []
        self._filled = _BLOCK
        """Samples in the last block; those before it are full."""

    def add(self, now_s: float, values: tuple[float | None, ...]) -> None:
        """One sample, in the order of SERIES."""
        at = self._filled
        if at == _BLOCK:
            at = 0
            old_s = now_s - HISTORY_S
            while self._times and (len(self._times) >= _MOST_BLOCKS or self._times[0][-1] < old_s):
                del self._times[0], self._values[0]
            self._times.append(array("d", _NO_TIMES))
            self._values.append(array("f", _NO_VALUES))
        self._times[-1][at] = now_s
        kept = self._values[-1]
        for nth, value in enumerate(values, at * _WIDE):
            kept[nth] = math.nan if value is None else value
        self._filled = at + 1

    def __len__(self) -> int:
        held = len(self._times) * _BLOCK - (_BLOCK - self._filled) if self._times else 0
        return min(HISTORY_SAMPLES, held)

    def snapshot(self) -> History:
        """A copy that grows no more."""
        kept = History()
        kept._filled = self._filled
        kept._times = [*self._times[:-1], *(block[:] for block in self._times[-1:])]
        kept._values = [*self._values[:-1], *(block[:] for block in self._values[-1:])]
        return kept

    def times(self, last: int | None = None) -> list[float]:
        """Arrival times, oldest first; of the last `last` samples."""
        return self._tail(self._times, 0, 1, last)

    def values(self, name: str, last: int | None = None) -> list[float]:
        """A series, oldest first; the last `last` samples of it. NaN is unknown."""
        return self._tail(self._values, SERIES.index(name), _WIDE, last)

    def _tail(
        self, blocks: list[array[float]], column: int, wide: int, last: int | None
    ) -> list[float]:
        count = len(self) if last is None else min(len(self), last)
        if not count:
            return []
        before = -(-max(0, count - self._filled) // _BLOCK)
        tail: list[float] = []
        for block in blocks[len(blocks) - 1 - before : -1]:
            tail += block[column::wide]
        tail += blocks[-1][column : self._filled * wide : wide]
        return tail[len(tail) - count :]

    def slope_per_min(self, name: str, window_s: float = TREND_WINDOW_S) -> float | None:
        """Change per minute over the window by least squares; None with less than 10 s of it."""
        if len(self) < 5:
            return None
        newest = first = self._times[-1][self._filled - 1]
        column, count = SERIES.index(name), self._filled
        n = sx = sy = sxx = sxy = 0.0
        for times, values in zip(reversed(self._times), reversed(self._values), strict=True):
            for at in range(count - 1, -1, -1):
                x = times[at] - newest
                if x < -window_s:
                    break
                y = values[at * _WIDE + column]
                if y == y:
                    n += 1
                    sx += x
                    sy += y
                    sxx += x * x
                    sxy += x * y
                    first = times[at]
            else:
                count = _BLOCK
                continue
            break
        spread = n * sxx - sx * sx
        if n < 5 or newest - first < 10 or spread <= 0:
            return None
        return 60 * (n * sxy - sx * sy) / spread
