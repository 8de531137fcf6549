"""GGUF's blocks back into numbers, for checks and for measuring what was lost."""

from __future__ import annotations

import numpy as np

from cohete.quantize.lanes import Bytes, Floats, rows_of
from cohete.quantize.types import PLAIN, TensorType


def decode(data: Bytes, kind: TensorType) -> Floats:
    """The numbers of whole blocks, flat and in order. Raises KeyError for a type not in DECODED."""
    if kind in PLAIN:
        return rows_of(data, kind)
    return _DECODERS[kind](data.reshape(-1, kind.block_bytes)).reshape(-1)


def _half(data: Bytes) -> Floats:
    return np.ascontiguousarray(data).view(np.float16).astype(np.float32)


def _nibbles(data: Bytes) -> Bytes:
    return np.hstack((data & 15, data >> 4))


def _fifths(data: Bytes) -> Bytes:
    return np.unpackbits(np.ascontiguousarray(data), axis=1, bitorder="little") << np.uint8(4)


def _q4_0(blocks: Bytes) -> Floats:
    codes = _nibbles(blocks[:, 2:]).astype(np.float32) - np.float32(8)
    return codes * _half(blocks[:, :2])


def _q4_1(blocks: Bytes) -> Floats:
    return _nibbles(blocks[:, 4:]).astype(np.float32) * _half(blocks[:, :2]) + _half(blocks[:, 2:4])


def _q5_0(blocks: Bytes) -> Floats:
    codes = _nibbles(blocks[:, 6:]) | _fifths(blocks[:, 2:6])
    return (codes.astype(np.float32) - np.float32(16)) * _half(blocks[:, :2])


def _q5_1(blocks: Bytes) -> Floats:
    codes = _nibbles(blocks[:, 8:]) | _fifths(blocks[:, 4:8])
    return codes.astype(np.float32) * _half(blocks[:, :2]) + _half(blocks[:, 2:4])


def _q8_0(blocks: Bytes) -> Floats:
    codes = np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32)
    return codes * _half(blocks[:, :2])


def _q6_k(blocks: Bytes) -> Floats:
    low, high = blocks[:, :128], blocks[:, 128:192]
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.float32)
    codes = []
    for half in range(2):
        ql, qh = low[:, 64 * half : 64 * half + 64], high[:, 32 * half : 32 * half + 32]
        codes += [
            (ql[:, :32] & 15) | ((qh & 3) << 4),
            (ql[:, 32:] & 15) | ((qh >> 2 & 3) << 4),
            (ql[:, :32] >> 4) | ((qh >> 4 & 3) << 4),
            (ql[:, 32:] >> 4) | ((qh >> 6) << 4),
        ]
    steps = np.repeat(_half(blocks[:, 208:]) * scales, 16, axis=1)
    return (np.hstack(codes).astype(np.float32) - np.float32(32)) * steps


_DECODERS = {
    TensorType.Q4_0: _q4_0,
    TensorType.Q4_1: _q4_1,
    TensorType.Q5_0: _q5_0,
    TensorType.Q5_1: _q5_1,
    TensorType.Q8_0: _q8_0,
    TensorType.Q6_K: _q6_k,
}
DECODED = frozenset(_DECODERS) | PLAIN
"""What can be read back."""
