"""Stored numbers as arrays that numpy is fast with, and what stands out in each block of 32.

A chunk of blocks lies as an array of (8, 4 * blocks): row r has the numbers 4r to 4r + 3 of each
block, one block after the other. What goes over a block then goes over whole rows, and four numbers
at a time are moved on the way in and out, which together is several times as fast as block by
block. Nothing depends on the machine: numpy never contracts a multiplication and an addition into
one rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cohete.quantize.types import TensorType

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint16]

_T = TypeVar("_T", bound=np.generic)

BLOCK, ROWS, LANES = 32, 8, 4
_ONE = np.float32(1)
_F16_UNIT = np.float32(2.0**112)
"""F16 has its exponent from another zero: its bits as float32 are so many times too small."""
_SCALE_LIMIT = np.float32(2.0**15)
"""Scales above this would be too large for float32 with the unit in them."""


def _widened(words: Words, kind: TensorType) -> tuple[Floats, np.float32]:
    """F16 or BF16 as float32, and what it is to be multiplied by; not by a cast, which is slow."""
    if kind is TensorType.BF16:
        wide = words.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32), _ONE
    bits = words.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)
    return bits.view(np.float32), _F16_UNIT


def numbers_of(words: Words, kind: TensorType) -> Floats:
    """F16 or BF16 as float32, exact and fast; what is no number becomes one."""
    found, unit = _widened(words, kind)
    if unit != 1:
        found *= unit
    return found


def wide(values: Floats) -> Floats:
    """One value of each block for every lane of it."""
    return np.repeat(values, LANES)


class NotFinite(ValueError):
    """A number that is none; of a piece, in the tensor of this number."""


@dataclass(slots=True)
class Lanes:
    """Some blocks: numbers are `x` (8, 4 * blocks) times `unit`. Most of what is done uses `x` up.

    `stored` has them as they were, where that was 16 bits; their order can be told from those.
    """

    x: Floats
    unit: np.float32 = _ONE
    stored: Words | None = None
    kind: TensorType = TensorType.F32

    def plain(self) -> Floats:
        """The numbers themselves."""
        if self.unit != 1:
            self.x *= self.unit
            self.unit = _ONE
        return self.x

    def scale(self, by: Floats) -> None:
        """Multiply each block; rounded as the numbers themselves would be."""
        with np.errstate(invalid="ignore", over="ignore"):
            if self.unit != 1 and not float(np.abs(by).max(initial=0)) < _SCALE_LIMIT:
                self.plain()
            self.x *= wide(by * self.unit)
            self.unit = _ONE

    def lower(self, by: Floats) -> None:
        """Subtract from each block. `by` are numbers of the blocks, so nothing is lost."""
        self.x -= wide(by / self.unit)

    def outermost(self) -> tuple[Floats, Floats]:
        """Of each block the highest number and the lowest.

        Of 16 bits: the highest above zero and the lowest below; where a block has none there, the
        one that is furthest from zero on the other side. Raises NotFinite where one is no number.
        """
        if self.stored is None:
            top: Floats = self.x.max(axis=0)
            bottom: Floats = self.x.min(axis=0)
            if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
                raise NotFinite
            return _over(np.maximum, top), _over(np.minimum, bottom)
        # With their sign first, the patterns of positive numbers have their order as signed words,
        # and those of negative ones the opposite order as unsigned words.
        up: npt.NDArray[np.int16] = self.stored.view(np.int16).max(axis=0)
        down: Words = self.stored.max(axis=0)
        if not _are_finite(int(up.max()), int(down.max()), self.kind):
            raise NotFinite
        high, low = _over(np.maximum, up).view(np.uint16), _over(np.maximum, down)
        return numbers_of(high, self.kind), numbers_of(low, self.kind)

    def limits(self) -> tuple[Floats, Floats]:
        """Highest and lowest number of each block; of two zeros the first: their signs differ."""
        high, low = self.outermost()
        one_sided = (high < 0) | (low > 0)
        if self.stored is not None and one_sided.any():
            at = np.flatnonzero(one_sided)
            some = self._some(at)
            high[at], low[at] = some.max(axis=0), some.min(axis=0)
        at = np.flatnonzero(low == 0)
        if at.size:
            some = self._some(at)
            low[at] = some[(some == 0).argmax(axis=0), np.arange(at.size)]
        # A zero below which there is nothing must not make the range negative.
        high += np.float32(0)
        return high, low

    def peaks(self) -> Floats:
        """Of each block the number furthest from zero, with its sign; of two the first."""
        high, low = self.outermost()
        found: Floats = np.where(high >= -low, high, low)
        either = high == -low
        if either.any():
            at = np.flatnonzero(either)
            found[at] = furthest(self._some(at), high[at], low[at])
        return found

    def _some(self, at: npt.NDArray[np.intp]) -> Floats:
        """Some blocks as columns."""
        columns = self.x.reshape(ROWS, -1, LANES)[:, at].transpose(0, 2, 1).reshape(BLOCK, -1)
        found: Floats = columns * self.unit
        return found


def _over(best: np.ufunc, lanes: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """Over the lanes of each block."""
    a, b, c, d = lanes.reshape(-1, LANES).T
    found: npt.NDArray[_T] = best(best(a, b), best(c, d))
    return found


def furthest(x: Floats, high: Floats, low: Floats) -> Floats:
    """Of each column the value furthest from zero, with its sign; of two the first."""
    found: Floats = np.where(high >= -low, high, low)
    either = (high == -low) & (high != 0)
    if either.any():
        at = np.flatnonzero(either)
        first = (np.abs(x[:, at]) == high[at]).argmax(axis=0)
        found[at] = x[first, at]
    # Nothing is further from zero than where ggml begins: plus zero.
    found[found == 0] = 0.0
    return found


def lanes_of(data: Bytes, kind: TensorType) -> Lanes:
    """Stored numbers (F32, F16, BF16), exact. Whole blocks."""
    if kind is TensorType.F32:
        fours = data.view(np.complex128).reshape(-1, ROWS).T
        return Lanes(np.ascontiguousarray(fours).view(np.float32))
    words = np.ascontiguousarray(data.view(np.uint64).reshape(-1, ROWS).T).view(np.uint16)
    return Lanes(*_widened(words, kind), words, kind)


def columns_of(data: Bytes, kind: TensorType, block: int) -> Floats:
    """The same as float32 of shape (block, blocks)."""
    if kind is TensorType.F32:
        return np.ascontiguousarray(data.view(np.float32).reshape(-1, block).T)
    return numbers_of(np.ascontiguousarray(data.view(np.uint16).reshape(-1, block).T), kind)


def rows_of(data: Bytes, kind: TensorType) -> Floats:
    """The same, flat and in order."""
    if kind is TensorType.F32:
        return data.view(np.float32)
    if kind is TensorType.F16:
        return data.view(np.float16).astype(np.float32)
    return numbers_of(data.view(np.uint16), kind)


def is_finite(data: Bytes, kind: TensorType) -> bool:
    """Whether every number is one."""
    if data.size == 0:
        return True
    if kind is TensorType.F32:
        high, low = int(data.view(np.int32).max()), int(data.view(np.uint32).max())
        return high < 0x7F800000 and low < 0xFF800000
    return _are_finite(int(data.view(np.int16).max()), int(data.view(np.uint16).max()), kind)


def _are_finite(high: int, low: int, kind: TensorType) -> bool:
    """Of 16 bits, from the highest pattern as a signed word and as an unsigned one: of all positive
    patterns those of infinity and NaN are the highest, and of all negative ones."""
    most = 0x7C00 if kind is TensorType.F16 else 0x7F80
    return high < most and low < most + 0x8000
