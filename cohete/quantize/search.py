"""The quality encoder: the same formats, with scales that are searched for instead of taken.

The reference takes the scale of a block from its largest number. Here it is chosen so that the
squared error of the block is least: codes are rounded with some candidates, each gets its scale
(for Q4_1 and Q5_1 scale and offset, by turns), and the best one is kept; where none is better, or
the reference loses nothing, the reference's.

An error counts as much as the column it is in, for a tensor gives out its numbers times what goes
into it, and that is a hundred times larger in some columns than in others (`columns`, `weighing`).

Where nothing is known of columns, it needs nothing but the weights. The scale of least squares then
makes numbers smaller on the whole, for what is rounded off is missing in one direction only: by 1 %
at four bits. For Q4_0 and Q5_0 the scale is therefore the one that keeps the size, and an error
counts more in a large number than in a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from cohete.quantize.encode import (
    Parts,
    codes_of,
    fifths,
    halves,
    inverse,
    mask_of,
    nibbles,
    take,
)
from cohete.quantize.lanes import BLOCK, LANES, Bytes, Floats, Lanes, wide
from cohete.quantize.types import Encoder, TensorType

VERSION, WEIGHED_VERSION = 4, 1
"""Part of what a quantized tensor is known by: other candidates give other bytes."""
CANDIDATES = (-0.8, -0.4, 0.0, 0.4, 0.9)
"""What is added to the highest code before the scale is taken from the largest number."""
_TURNS = 3
_BEGIN = np.float32(0.98)
_BEGIN_AT = np.float32(0.01)
"""How much of the range the first turn begins with, and from where."""
_COUNT = np.float32(BLOCK)
_NOTHING = np.float32(2.0**-22)
"""What is no loss: the squared error of rounding to 16 bits, by the squares that were rounded."""


def _sum(x: Floats) -> Floats:
    """Over each block."""
    lanes = x.sum(axis=0).reshape(-1, LANES)
    total: Floats = lanes[:, 0] + lanes[:, 1] + lanes[:, 2] + lanes[:, 3]
    return total


def _stored(values: Floats) -> Floats:
    """As it comes back out of a file."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _quiet() -> np.errstate:
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


def _symmetric(lanes: Lanes, bits: int, known: Floats | None = None) -> Parts:
    """Q4_0 and Q5_0: codes around zero, times one scale. `known`: how much each error counts."""
    half = np.float32(1 << (bits - 1))
    x = lanes.plain()
    peak = lanes.peaks()
    plain = peak / -half
    best_score = np.full_like(peak, -1)
    best = plain.copy()
    work, codes = np.empty_like(x), np.empty_like(x)
    with _quiet():
        counts = _counts(x) if known is None else known
        weighted = x * counts
        size = _sum(np.multiply(weighted, x, out=work))
        for more in CANDIDATES:
            tried = inverse(peak / np.float32(-(float(half) + more)))
            np.multiply(x, wide(tried), out=codes)
            np.rint(codes, out=codes)
            np.clip(codes, -half, half - 1, out=codes)
            xc = _sum(np.multiply(weighted, codes, out=work))
            np.multiply(codes, codes, out=codes)
            cc = _sum(np.multiply(codes, counts, out=work))
            score = xc * xc / cc
            mask = mask_of(score > best_score)
            take(best_score, score, mask)
            take(best, np.divide(size, xc) if known is None else np.divide(xc, cc), mask)
        best = np.where(np.isfinite(best), best, plain)
        codes_best, error = _symmetric_codes(x, best, bits, counts, work)
        codes_plain, error_plain = _symmetric_codes(x, plain, bits, counts, work, taken=True)
    worse = ~(error < error_plain) | (error_plain <= _NOTHING * size)
    take(best, plain, mask_of(worse))
    _take_codes(codes_best, codes_plain, worse)
    return _packed(codes_best, bits, best)


def _counts(x: Floats) -> Floats:
    """How much the squared error of each number counts: by its size, and that of its block."""
    counts = np.multiply(x, x)
    counts += wide(_sum(counts) / _COUNT)
    return np.sqrt(counts, out=counts)


def _symmetric_codes(
    x: Floats, scale: Floats, bits: int, counts: Floats, work: Floats, *, taken: bool = False
) -> tuple[Bytes, Floats]:
    """Codes for a scale as it is stored (`taken`: before it is), and the error."""
    half = float(1 << (bits - 1))
    stored = _stored(scale)
    codes = codes_of(x.copy(), inverse(scale if taken else stored), half + 0.5, bits)
    np.subtract(codes, np.float32(half), out=work, dtype=np.float32)
    work *= wide(stored)
    work -= x
    work *= work
    work *= counts
    return codes, _sum(work)


def _offset(lanes: Lanes, bits: int, known: Floats | None = None) -> Parts:
    """Q4_1 and Q5_1: codes from zero, times a scale, plus an offset."""
    most = np.float32((1 << bits) - 1)
    x = lanes.plain()
    high, low = lanes.limits()
    plain_d, plain_m = (high - low) / most, low.copy()
    total = _COUNT if known is None else _sum(known)
    d: Floats = np.divide((high - low) * _BEGIN, most, dtype=np.float32)
    m: Floats = low + (high - low) * _BEGIN_AT
    codes, work = np.empty_like(x), np.empty_like(x)
    with _quiet():
        weighted = x if known is None else x * known
        sum_x = _sum(weighted)
        size = _sum(np.multiply(weighted, x, out=work))
        for _ in range(_TURNS):
            np.subtract(x, wide(m), out=codes)
            codes *= wide(inverse(d))
            np.rint(codes, out=codes)
            np.clip(codes, np.float32(0), most, out=codes)
            sum_xc = _sum(np.multiply(weighted, codes, out=work))
            counted = codes if known is None else np.multiply(codes, known, out=work)
            sum_c = _sum(counted)
            sum_cc = _sum(np.multiply(counted, codes, out=work))
            below = total * sum_cc - sum_c * sum_c
            fitted = np.divide(total * sum_xc - sum_c * sum_x, below, dtype=np.float32)
            d = np.where(below > 0, fitted, d)
            m = np.divide(sum_x - d * sum_c, total, dtype=np.float32)
        codes_best, error = _offset_codes(x, d, m, bits, known, work)
        codes_plain, error_plain = _offset_codes(x, plain_d, plain_m, bits, known, work, taken=True)
    worse = ~(error < error_plain) | (error_plain <= _NOTHING * size)
    mask = mask_of(worse)
    take(d, plain_d, mask)
    take(m, plain_m, mask)
    _take_codes(codes_best, codes_plain, worse)
    return _packed(codes_best, bits, d, m)


def _offset_codes(
    x: Floats, d: Floats, m: Floats, bits: int, known: Floats | None, work: Floats,
    *, taken: bool = False,
) -> tuple[Bytes, Floats]:  # fmt: skip
    stored_d, stored_m = _stored(d), _stored(m)
    shifted = x - wide(m if taken else stored_m)
    scaled = inverse(d if taken else stored_d)
    if not taken:
        # An offset that was fitted may lie above some numbers: those get code 0.
        np.maximum(shifted, np.float32(0), out=shifted)
        most = np.float32((1 << bits) - 1)
        np.minimum(shifted, wide(np.abs(stored_d) * most), out=shifted)
    codes = codes_of(shifted, scaled, 0.5, bits)
    np.multiply(codes, wide(stored_d), out=work)
    work += wide(stored_m)
    work -= x
    work *= work
    if known is not None:
        work *= known
    return codes, _sum(work)


def _take_codes(into: Bytes, new: Bytes, flags: npt.NDArray[np.bool_]) -> None:
    """`new` in the blocks with a flag; it is used up."""
    new ^= into
    new &= np.repeat(np.negative(flags.view(np.int8)).view(np.uint8), LANES)
    into ^= new


def _packed(codes: Bytes, bits: int, *scales: Floats) -> Parts:
    heads = [halves(scale) for scale in scales]
    if bits == 4:
        return *heads, nibbles(codes)
    return *heads, fifths(codes), nibbles(codes)


_SEARCHES: Mapping[TensorType, tuple[Callable[[Lanes, int, Floats | None], Parts], int]] = {
    TensorType.Q4_0: (_symmetric, 4),
    TensorType.Q5_0: (_symmetric, 5),
    TensorType.Q4_1: (_offset, 4),
    TensorType.Q5_1: (_offset, 5),
}


def parts_of(lanes: Lanes, wanted: TensorType, known: Floats | None = None) -> Parts:
    """Blocks as `wanted`, one of SEARCHED; `known`: how much the error of each number counts, in
    the shape of the lanes."""
    search, bits = _SEARCHES[wanted]
    return search(lanes, bits, known)


NAMES: Mapping[Encoder, str] = {
    Encoder.REFERENCE: "reference-2",
    Encoder.SEARCH: f"search-{VERSION}",
    Encoder.WEIGHED: f"search-weighed-{WEIGHED_VERSION}",
}
"""As they are called in manifests: what another version made is made anew."""
