"""Q6_K: 256 numbers in 16 groups, each with its own 8-bit scale. Byte for byte as ggml.

After `quantize_row_q6_K_ref` and `make_qx_quants` of ggml (MIT, see NOTICE): for each group, of 19
scales the one that loses least, weighted by the squares of the numbers; then the codes.
"""

from __future__ import annotations

import numpy as np

from cohete.quantize.encode import largest, mask_of, take
from cohete.quantize.lanes import Bytes, Floats

SUPER, GROUP = 256, 16
_STEPS = 32
_EPS = np.float32(1e-15)
_TRIALS = (0, *range(-9, 0), *range(1, 10))
_NEVER_CUT = -6
_FOUR, _FOUR_UP, _2, _6 = (np.uint8(n) for n in (15, 4, 2, 6))
_LOW, _HIGH = np.float32(-_STEPS), np.float32(_STEPS - 1)


def _rounded(x: Floats) -> Floats:
    """To whole numbers within the codes, halves to even; in place."""
    np.rint(x, out=x)
    np.clip(x, _LOW, _HIGH, out=x)
    return x


def _rounds_each() -> bool:
    """Whether einsum rounds a product before it adds it, as C does; not where a machine does both
    in one step."""
    near = np.float32(1 + 2.0**-12)
    # Its square lies half a step above what is taken away from it, and is rounded down.
    left = np.repeat(np.array([[1], [near]], np.float32), 64, axis=1)
    right = np.repeat(np.array([[-(1 + 2.0**-11)], [near]], np.float32), 64, axis=1)
    return not np.einsum("ij,ij->j", left, right).any()


_ROUNDS_EACH = _rounds_each()


def _sum_of_products(a: Floats, b: Floats, out: Floats, room: Floats) -> None:
    """Of each column, from the first row on. At least two columns."""
    if _ROUNDS_EACH:
        np.einsum("ij,ij->j", a, b, out=out)
    else:
        np.add.reduce(np.multiply(a, b, room), axis=0, out=out)


def _group_scales(x: Floats) -> tuple[Floats, Bytes, Floats]:
    """The best scale of each column of 16, which trial it is of, and the number furthest from zero.

    Sums go number by number, as in C: another order would round in another way.
    """
    peak = largest(x)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        square = x * x
        weighted = square * x
        scale, best = np.zeros_like(peak), np.zeros_like(peak)
        which = np.zeros(peak.size, np.uint8)
        tried, xl, ll, found = (np.empty_like(peak) for _ in range(4))
        codes, products = np.empty_like(x), np.empty_like(x)
        for nth, step in enumerate(_TRIALS):
            np.divide(_tried(step), peak, tried)
            np.multiply(x, tried, codes)
            np.rint(codes, codes)
            # Codes of a scale this small stay within their range.
            if step > _NEVER_CUT:
                codes.clip(_LOW, _HIGH, codes)
            _sum_of_products(weighted, codes, xl, products)
            np.multiply(square, codes, products)
            _sum_of_products(products, codes, ll, products)
            np.divide(xl, ll, found)
            if step == 0:
                np.copyto(scale, found, where=ll != 0)
                np.multiply(scale, xl, best)
                continue
            np.multiply(best, ll, ll)
            np.multiply(xl, found, tried)
            np.multiply(xl, xl, xl)
            # Without a code that is not zero both are zero, and no scale is better than another.
            better = xl > ll
            mask = mask_of(better)
            take(scale, found, mask)
            take(best, tried, mask)
            which ^= (which ^ np.uint8(nth)) & np.negative(better.view(np.int8)).view(np.uint8)
    scale[np.abs(peak) < _EPS] = 0
    return scale, which, peak


def _tried(step: int) -> np.float32:
    return -(np.float32(_STEPS) + np.float32(0.1) * np.float32(step))


_EVERY_TRIED = np.array([_tried(step) for step in _TRIALS], np.float32)


def q6_k(x: Floats) -> Bytes:
    """From float32 of (256, blocks) to bytes of (blocks, 210)."""
    blocks = x.shape[1]
    groups = x.reshape(SUPER // GROUP, GROUP, blocks)
    # (16, groups * blocks): every group is a column.
    flat = np.ascontiguousarray(groups.transpose(1, 0, 2)).reshape(GROUP, -1)
    scale, which, peaks = _group_scales(flat)
    scales = scale.reshape(SUPER // GROUP, blocks)
    peak = largest(scales)
    empty = np.abs(peak) < _EPS
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        whole = np.float32(-128) / peak
        d = np.where(empty, np.float32(0), np.float32(1) / whole).astype(np.float16)
        bytes_ = np.minimum(np.rint(whole * scales), np.float32(127))
        bytes_[:, empty] = 0
        steps = bytes_.astype(np.int8)
        each = (d.astype(np.float32) * steps.astype(np.float32)).reshape(1, -1)
        codes = _rounded(flat / each)
        codes += np.float32(_STEPS)
        # Where the step is too small to be told from none, the codes of the search stay.
        lost = each[0] == 0
        if lost.any():
            inverse = _EVERY_TRIED[which[lost]] / peaks[lost]
            kept = _rounded(flat[:, lost] * inverse) + np.float32(_STEPS)
            codes[:, lost] = np.where(np.abs(peaks[lost]) < _EPS, np.float32(0), kept)
        levels = codes.astype(np.uint8)
    levels = np.ascontiguousarray(
        levels.reshape(GROUP, SUPER // GROUP, blocks).transpose(1, 0, 2)
    ).reshape(SUPER, blocks)
    levels[:, empty] = 0
    return np.hstack((*_packed(levels), steps.view(np.uint8).T, d.view(np.uint8).reshape(-1, 2)))


def _packed(levels: Bytes) -> tuple[Bytes, Bytes]:
    """The low four bits of all codes, then their high two."""
    low: list[Bytes] = []
    high: list[Bytes] = []
    for half in (levels[:128], levels[128:]):
        a, b, c, d = half[:32], half[32:64], half[64:96], half[96:]
        low += [(a & _FOUR) | (c << _FOUR_UP), (b & _FOUR) | (d << _FOUR_UP)]
        tops = [part >> _FOUR_UP for part in (a, b, c, d)]
        high.append(tops[0] | tops[1] << _2 | tops[2] << _FOUR_UP | tops[3] << _6)
    return np.concatenate(low).T, np.concatenate(high).T
