"""Numbers into GGUF's 32-blocks, byte for byte as ggml's reference does, with numpy.

After the `quantize_row_*_ref` functions of ggml (MIT, see NOTICE). How a chunk of blocks lies is
told in `lanes`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cohete.quantize.lanes import ROWS, Bytes, Floats, Lanes, furthest, rows_of, wide
from cohete.quantize.types import TensorType

Masks = npt.NDArray[np.int32]
Part = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Parts = tuple[Part, ...]
"""Of each block what lies side by side in it: one word, or rows of words of which it has one of
every row."""

_HALF_BELOW = np.nextafter(np.float32(0.5), np.float32(0)).view(np.uint32)
_ONES, _LOW = np.uint64(0x0101010101010101), np.uint64(0x0F0F0F0F0F0F0F0F)
_FOUR = np.uint64(4)
"""Bytes are moved eight at a time: numpy has no fast way for single ones."""


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
    return furthest(x, x.max(axis=0), x.min(axis=0))


def inverse(d: Floats) -> Floats:
    with np.errstate(divide="ignore", over="ignore"):
        found: Floats = np.where(d != 0, np.float32(1) / d, np.float32(0))
    return found


def codes_of(x: Floats, scale: Floats, offset: float, bits: int) -> Bytes:
    """x * scale + offset, cut to a whole number of so many bits; `x` is used up.

    With a scale that is not the block's own, numbers may lie outside: they get the outermost code.
    """
    lanes = Lanes(x)
    lanes.scale(scale)
    np.clip(x, np.float32(-offset), np.float32((1 << bits) - 1 - offset), out=x)
    return _cut(lanes, scale, offset, bits)


def _cut(scaled: Lanes, scale: Floats, offset: float, bits: int) -> Bytes:
    """At most one above the highest code."""
    x = scaled.x
    with np.errstate(invalid="ignore"):
        x += np.float32(offset)
        codes = x.astype(np.uint8)
    # One above the highest becomes the highest.
    eights = codes.reshape(-1).view(np.uint64)
    eights -= eights >> np.uint64(bits) & _ONES
    wild = ~np.isfinite(scale)
    if wild.any():
        codes[:, wide(wild)] = 0
    return codes


def halves(values: Floats) -> npt.NDArray[np.uint16]:
    """As F16."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).view(np.uint16)


def nibbles(codes: Bytes) -> npt.NDArray[np.uint32]:
    """The low four bits, two codes a byte, number j with number j + 16: shape (4, blocks)."""
    eights = codes.reshape(2, -1).view(np.uint64)
    low = (eights[1] & _LOW) << _FOUR
    low |= eights[0] & _LOW
    found: npt.NDArray[np.uint32] = low.view(np.uint32).reshape(ROWS // 2, -1)
    return found


_GATHER = np.uint32(1 << 28 | 1 << 21 | 1 << 14 | 1 << 7)
"""Times a word of four bytes that are 0 or 1, it has them as its highest four bits."""


def fifths(codes: Bytes) -> npt.NDArray[np.uint32]:
    """The fifth bits of 32 codes as one word."""
    eights = codes.reshape(-1).view(np.uint64) >> _FOUR & _ONES
    fours = eights.view(np.uint32).reshape(ROWS, -1)
    fours *= _GATHER
    fours >>= 28
    found: npt.NDArray[np.uint32] = fours[0].copy()
    for row in range(1, ROWS):
        found |= fours[row] << np.uint32(4 * row)
    return found


def join(parts: Parts, out: Bytes) -> None:
    """Write the parts of each block side by side, block after block."""
    kinds = [(f"part{nth}", part.dtype, part.shape[:-1]) for nth, part in enumerate(parts)]
    blocks = out.view(np.dtype(kinds))
    for (name, _, shape), part in zip(kinds, parts, strict=True):
        field = blocks[name]
        if not shape:
            field[:] = part
            continue
        for nth, row in enumerate(part):
            field[:, nth] = row


def q4_0(lanes: Lanes) -> Parts:
    d = lanes.peaks() / np.float32(-8)
    return halves(d), nibbles(_codes(lanes, d, 8.5, 4))


def q5_0(lanes: Lanes) -> Parts:
    d = lanes.peaks() / np.float32(-16)
    codes = _codes(lanes, d, 16.5, 5)
    return halves(d), fifths(codes), nibbles(codes)


def q4_1(lanes: Lanes) -> Parts:
    d, low = range_of(lanes, 15)
    lanes.lower(low)
    return halves(d), halves(low), nibbles(_codes(lanes, d, 0.5, 4))


def q5_1(lanes: Lanes) -> Parts:
    d, low = range_of(lanes, 31)
    lanes.lower(low)
    codes = _codes(lanes, d, 0.5, 5)
    return halves(d), halves(low), fifths(codes), nibbles(codes)


def range_of(lanes: Lanes, steps: int) -> tuple[Floats, Floats]:
    """Step and lowest number of each block."""
    high, low = lanes.limits()
    return (high - low) / np.float32(steps), low


def _codes(lanes: Lanes, d: Floats, offset: float, bits: int) -> Bytes:
    scale = inverse(d)
    lanes.scale(scale)
    return _cut(lanes, scale, offset, bits)


def q8_0(lanes: Lanes) -> Parts:
    high, low = lanes.outermost()
    d = np.divide(np.abs(np.maximum(high, -low)), np.float32(127), dtype=np.float32)
    scale = inverse(d)
    lanes.scale(scale)
    x = lanes.x
    with np.errstate(invalid="ignore", over="ignore"):
        # Halves go away from zero: a little less than a half of the number's own sign is added.
        half = x.view(np.uint32) & np.uint32(0x80000000)
        half |= _HALF_BELOW
        x += half.view(np.float32)
        codes = x.astype(np.int8)
    wild = ~np.isfinite(scale)
    if wild.any():
        codes[:, wide(wild)] = 0
    return halves(d), codes.view(np.uint32)


def f16(data: Bytes, kind: TensorType) -> Bytes:
    """As F16, rounded to the nearest."""
    with np.errstate(over="ignore"):
        return rows_of(data, kind).astype(np.float16).view(np.uint8)


def f32(data: Bytes, kind: TensorType) -> Bytes:
    """As F32, exact."""
    return rows_of(data, kind).view(np.uint8)


ENCODERS: dict[TensorType, Callable[[Lanes], Parts]] = {
    TensorType.Q4_0: q4_0,
    TensorType.Q4_1: q4_1,
    TensorType.Q5_0: q5_0,
    TensorType.Q5_1: q5_1,
    TensorType.Q8_0: q8_0,
}
"""From blocks, which are used up, to what is to be joined."""
