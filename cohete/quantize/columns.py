"""How much each column of a tensor counts, in a byte: what a search weighs errors with.

A byte is a quarter of an octave, so that what is worked out on another machine, and differs in its
last bits, nearly always gives the same file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cohete.quantize.lanes import ROWS, Floats

_STEPS = 4
_ONE, _LEAST, _MOST = 64, 16, 112
"""The byte of a column that counts as much as the mean, and how little and how much one may."""
_COUNTS = np.exp2((np.arange(256) - _ONE) / _STEPS).astype(np.float32)


def coded(energies: npt.NDArray[np.float64]) -> bytes:
    """A byte for each column, by the mean square of what goes through it.

    Empty where those say nothing: none, no numbers, or nothing but zeros.
    """
    mean = energies.mean() if energies.size else 0.0
    if not (np.isfinite(mean) and mean > 0):
        return b""
    with np.errstate(divide="ignore"):
        octaves = np.log2(energies / mean)
    codes = np.clip(np.rint(_STEPS * octaves) + _ONE, _LEAST, _MOST)
    return bytes(codes.astype(np.uint8))


def counts_of(columns: bytes, first: int, numbers: int) -> Floats:
    """How much each of some numbers of a tensor counts, beginning with number `first` of it.

    As `lanes.Lanes` has them: shape (8, numbers / 8). `columns` and both numbers are whole blocks.
    """
    row = _COUNTS[np.frombuffer(columns, np.uint8)]
    fours = row.view(np.complex128).reshape(-1, ROWS).T
    block = len(fours[0])
    begin = first // (4 * ROWS)
    at = np.arange(begin, begin + numbers // (4 * ROWS)) % block
    return np.ascontiguousarray(fours[:, at]).view(np.float32)


def plain_counts_of(columns: bytes, first: int, numbers: int) -> Floats:
    """The same in plain order; one each where nothing is known. Any number may be the first."""
    if not columns:
        return np.ones(numbers, np.float32)
    row = _COUNTS[np.frombuffer(columns, np.uint8)]
    return np.take(row, np.arange(first, first + numbers), mode="wrap")
