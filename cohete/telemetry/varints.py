"""LEB128 varints and zigzag for whole arrays at once. Pure."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from cohete.telemetry.chunk import Ints

Bytes = NDArray[np.uint8]
Unsigned = NDArray[np.uint64]

MAX_LENGTH = 10
"""Bytes of the longest number: 64 bits in groups of seven."""


def zigzag(values: Ints) -> Unsigned:
    """0, -1, 1, -2 as 0, 1, 2, 3."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def unzigzag(values: Unsigned) -> Ints:
    """The inverse of `zigzag`."""
    half = (values >> np.uint64(1)).view(np.int64)
    return half ^ -(values & np.uint64(1)).view(np.int64)


def lengths_of(values: Unsigned) -> Ints:
    """How many bytes each number takes."""
    lengths = np.ones(values.shape, np.int64)
    rest = values >> np.uint64(7)
    while rest.any():
        lengths += rest != 0
        rest >>= np.uint64(7)
    return lengths


def pack(values: Unsigned, lengths: Ints) -> bytes:
    """All numbers one after the other, each in as many bytes as `lengths_of` says."""
    if not len(values):
        return b""
    begins = np.cumsum(lengths) - lengths
    out = np.empty(int(begins[-1] + lengths[-1]), np.uint8)
    out[begins] = values & np.uint64(0x7F)
    longest = int(lengths.max())
    which = np.arange(len(values))
    for nth in range(1, longest):
        which = which[lengths[which] > nth]
        at = begins[which] + nth
        out[at - 1] |= 0x80
        out[at] = (values[which] >> np.uint64(7 * nth)) & np.uint64(0x7F)
    return out.tobytes()


def pack_one(value: int) -> bytes:
    """One number; for few of them this is quicker than an array."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Numbers:
    """All that could be a varint in a run of bytes: where each ends, and its value.

    What lies between numbers (names, bitmaps) gives entries too; whoever reads knows where
    numbers begin, and asks by that.
    """

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._ends = np.flatnonzero(data < 0x80)
        begins = np.empty_like(self._ends)
        if len(begins):
            begins[0] = 0
            begins[1:] = self._ends[:-1] + 1
        self._begins = begins
        self._lengths = self._ends - begins + 1
        self._longest = int(self._lengths.max(initial=0))
        self._end_list: list[int] = self._ends.tolist()
        self._values = self._unpacked(begins, self._lengths)

    def take(self, at: int, count: int) -> tuple[Unsigned, int]:
        """`count` numbers from byte `at` on, and where they end. Raises ValueError."""
        if not count:
            return self._values[:0], at
        first = bisect_left(self._end_list, at)
        last = first + count
        if last > len(self._ends):
            raise ValueError("the numbers end too early")
        values = self._values[first:last]
        lengths = self._lengths[first:last]
        if first and self._end_list[first - 1] + 1 != at:
            # The bytes before it look like a part of it.
            values, lengths = values.copy(), lengths.copy()
            begin, length = np.array([at]), self._ends[first : first + 1] - at + 1
            lengths[:1], values[:1] = length, self._unpacked(begin, length)
        if self._longest > MAX_LENGTH and int(lengths.max()) > MAX_LENGTH:
            raise ValueError("a number is too long")
        return values, self._end_list[last - 1] + 1

    def take_one(self, at: int) -> tuple[int, int]:
        """The number that begins at byte `at`, and where it ends. Raises ValueError."""
        values, end = self.take(at, 1)
        return int(values[0]), end

    def _unpacked(self, begins: Ints, lengths: Ints) -> Unsigned:
        values = (self._data[begins] & 0x7F).astype(np.uint64)
        which = np.arange(len(begins))
        for nth in range(1, min(MAX_LENGTH, int(lengths.max(initial=0)))):
            which = which[lengths[which] > nth]
            part = (self._data[begins[which] + nth] & 0x7F).astype(np.uint64)
            values[which] |= part << np.uint64(7 * nth)
        return values
