"""Numbers into GGUF's 32-blocks, byte for byte as ggml's reference does, with numpy.

After the `quantize_row_*_ref` functions of ggml (MIT, see NOTICE). A chunk of blocks lies as an
array of (8, 4 * blocks): row r has the numbers 4r to 4r + 3 of each block, one block after the
other. What goes over a block then goes over whole rows, and four numbers at a time are moved on
the way in and out, which together is several times as fast as block by block. Nothing depends on
the machine: numpy never contracts a multiplication and an addition into one rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cohete.quantize.types import TensorType

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint16]
Masks = npt.NDArray[np.int32]

BLOCK, ROWS, LANES = 32, 8, 4
_HALF_BELOW = np.nextafter(np.float32(0.5), np.float32(0)).view(np.uint32)
_TO_F16_BIAS = np.float32(2.0**112)


def lanes_of(data: Bytes, kind: TensorType) -> Floats:
    """Stored numbers (F32, F16, BF16) as float32 of shape (8, 4 * blocks); exact."""
    if kind is TensorType.F32:
        fours = data.view(np.complex128).reshape(-1, ROWS).T
        return np.ascontiguousarray(fours).view(np.float32)
    words = np.ascontiguousarray(data.view(np.uint64).reshape(-1, ROWS).T)
    return _widened(words.view(np.uint16), kind)


def columns_of(data: Bytes, kind: TensorType, block: int) -> Floats:
    """The same as float32 of shape (block, blocks)."""
    if kind is TensorType.F32:
        return np.ascontiguousarray(data.view(np.float32).reshape(-1, block).T)
    return _widened(np.ascontiguousarray(data.view(np.uint16).reshape(-1, block).T), kind)


def _widened(words: npt.NDArray[np.uint16], kind: TensorType) -> Floats:
    """F16 or BF16 as float32; not by a cast, which is slow."""
    if kind is TensorType.BF16:
        wide = words.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    bits = words.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70002000)
    found: Floats = bits.view(np.float32)
    found *= _TO_F16_BIAS
    return found


def rows_of(data: Bytes, kind: TensorType) -> Floats:
    """The same, flat and in order."""
    if kind is TensorType.F32:
        return data.view(np.float32)
    if kind is TensorType.F16:
        return data.view(np.float16).astype(np.float32)
    return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def is_finite(data: Bytes, kind: TensorType) -> bool:
    """Whether every number is one."""
    if data.size == 0:
        return True
    # Of all positive patterns those of infinity and NaN are the highest, and of all negative ones.
    if kind is TensorType.F32:
        high, low = int(data.view(np.int32).max()), int(data.view(np.uint32).max())
        return high < 0x7F800000 and low < 0xFF800000
    most = 0x7C00 if kind is TensorType.F16 else 0x7F80
    high, low = int(data.view(np.int16).max()), int(data.view(np.uint16).max())
    return high < most and low < most + 0x8000


def mask_of(flags: npt.NDArray[np.bool_]) -> Masks:
    """All bits where a flag is set."""
    found = flags.astype(np.int32)
    return np.negative(found, found)


def take(into: Floats, new: Floats, mask: Masks) -> None:
    """`new` where the mask is set; it is used up. Several times as fast as a masked copy."""
    kept, bits = into.view(np.int32), new.view(np.int32)
    bits ^= kept
    bits &= mask
    kept ^= bits


def largest(x: Floats) -> Floats:
    """Of each column the value furthest from zero, with its sign; of two the first."""
    return _furthest(x, x.max(axis=0), x.min(axis=0))


def _furthest(x: Floats, high: Floats, low: Floats) -> Floats:
    found: Floats = np.where(high >= -low, high, low)
    either = (high == -low) & (high != 0)
    if either.any():
        at = np.flatnonzero(either)
        first = (np.abs(x[:, at]) == high[at]).argmax(axis=0)
        found[at] = x[first, at]
    # Nothing is further from zero than where ggml begins: plus zero.
    found[found == 0] = 0.0
    return found


def extremes(x: Floats) -> tuple[Floats, Floats]:
    """Highest and lowest number of each block."""
    high = x.max(axis=0).reshape(-1, LANES)
    low = x.min(axis=0).reshape(-1, LANES)
    return (
        np.maximum(np.maximum(high[:, 0], high[:, 1]), np.maximum(high[:, 2], high[:, 3])),
        np.minimum(np.minimum(low[:, 0], low[:, 1]), np.minimum(low[:, 2], low[:, 3])),
    )


def _some(x: Floats, at: npt.NDArray[np.intp]) -> Floats:
    """Some blocks as columns."""
    return x.reshape(ROWS, -1, LANES)[:, at].transpose(0, 2, 1).reshape(BLOCK, -1)


def peaks(x: Floats) -> Floats:
    """Of each block the number furthest from zero, with its sign; of two the first."""
    high, low = extremes(x)
    found: Floats = np.where(high >= -low, high, low)
    either = high == -low
    if either.any():
        doubtful = np.flatnonzero(either)
        found[doubtful] = _furthest(_some(x, doubtful), high[doubtful], low[doubtful])
    return found


def range_of(x: Floats, steps: int) -> tuple[Floats, Floats]:
    """Step and lowest number of each block; of two zeros the first, for their signs differ."""
    high, low = extremes(x)
    at = np.flatnonzero(low == 0)
    if at.size:
        some = _some(x, at)
        low[at] = some[(some == 0).argmax(axis=0), np.arange(at.size)]
    return (high - low) / np.float32(steps), low


def inverse(d: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        found: Floats = np.where(d != 0, np.float32(1) / d, np.float32(0))
    return found


def codes_of(x: Floats, scale: Floats, offset: float, bits: int) -> Bytes:
    """x * scale + offset, cut to a whole number of so many bits; `x` is used up."""
    with np.errstate(invalid="ignore", over="ignore"):
        x *= np.repeat(scale, LANES)
        x += np.float32(offset)
        codes = x.astype(np.uint8)
    # One above the highest becomes the highest.
    codes -= codes >> bits
    wild = ~np.isfinite(scale)
    if wild.any():
        codes[:, np.repeat(wild, LANES)] = 0
    return codes


def halves(values: Floats) -> Words:
    """As F16."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).view(np.uint16)


def nibbles(codes: Bytes) -> Words:
    """Two codes of four bits a byte, number j with number j + 16: shape (blocks, 8)."""
    low = codes[ROWS // 2 :] << 4
    low |= codes[: ROWS // 2]
    return np.ascontiguousarray(low.view(np.uint32).T).view(np.uint16)


_GATHER = np.uint32(1 << 28 | 1 << 21 | 1 << 14 | 1 << 7)
"""Times a word of four bytes that are 0 or 1, it has them as its highest four bits."""


def fifths(codes: Bytes) -> Words:
    """The fifth bits of 32 codes as one word: shape (blocks, 2)."""
    fours = (codes >> 4).view(np.uint32)
    fours *= _GATHER
    fours >>= 28
    found: npt.NDArray[np.uint32] = fours[0].copy()
    for row in range(1, ROWS):
        found |= fours[row] << np.uint32(4 * row)
    words: Words = found.view(np.uint16).reshape(-1, 2)
    return words


def joined(*parts: Words) -> Bytes:
    """Parts of each block side by side: shape (blocks, bytes of a block)."""
    columns = [part.reshape(-1, 1) if part.ndim == 1 else part for part in parts]
    out = np.empty((len(columns[0]), sum(part.shape[1] for part in columns)), np.uint16)
    at = 0
    for part in columns:
        out[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    return out.view(np.uint8)


def q4_0(x: Floats) -> Bytes:
    d = peaks(x) / np.float32(-8)
    return joined(halves(d), nibbles(codes_of(x, inverse(d), 8.5, 4)))


def q5_0(x: Floats) -> Bytes:
    d = peaks(x) / np.float32(-16)
    codes = codes_of(x, inverse(d), 16.5, 5)
    return joined(halves(d), fifths(codes), nibbles(codes & np.uint8(15)))


def q4_1(x: Floats) -> Bytes:
    d, low = range_of(x, 15)
    x -= np.repeat(low, LANES)
    return joined(halves(d), halves(low), nibbles(codes_of(x, inverse(d), 0.5, 4)))


def q5_1(x: Floats) -> Bytes:
    d, low = range_of(x, 31)
    x -= np.repeat(low, LANES)
    codes = codes_of(x, inverse(d), 0.5, 5)
    return joined(halves(d), halves(low), fifths(codes), nibbles(codes & np.uint8(15)))


def q8_0(x: Floats) -> Bytes:
    high, low = extremes(x)
    d = np.divide(np.abs(np.maximum(high, -low)), np.float32(127), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        x *= np.repeat(inverse(d), LANES)
        # Halves go away from zero: a little less than a half of the number's own sign is added.
        half = x.view(np.uint32) & np.uint32(0x80000000)
        half |= _HALF_BELOW
        x += half.view(np.float32)
        codes = x.astype(np.int8)
    fours = np.ascontiguousarray(codes.view(np.uint32).T)
    return joined(halves(d), fours.view(np.uint16))


def f16(data: Bytes, kind: TensorType) -> Bytes:
    """As F16, rounded to the nearest."""
    with np.errstate(over="ignore"):
        return rows_of(data, kind).astype(np.float16).view(np.uint8)


def f32(data: Bytes, kind: TensorType) -> Bytes:
    """As F32, exact."""
    return rows_of(data, kind).view(np.uint8)


ENCODERS: dict[TensorType, Callable[[Floats], Bytes]] = {
    TensorType.Q4_0: q4_0,
    TensorType.Q4_1: q4_1,
    TensorType.Q5_0: q5_0,
    TensorType.Q5_1: q5_1,
    TensorType.Q8_0: q8_0,
}
"""From float32 of (8, 4 * blocks), which is used up, to bytes of (blocks, bytes of a block)."""
