"""Samples of one device as a small blob: columns of integers, deltas as varints, deflated. Pure.

Its first byte is the version of the format, the rest is deflated:

    count, number of columns, then the times and each column as
    (name), kind, and by kind: one value; all deltas; or a bitmap of what is known and its deltas

Integers are LEB128 varints, signed ones zigzag. Times are deltas of deltas.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from cohete.telemetry.chunk import Chunk, Flags, Ints
from cohete.telemetry.varints import Numbers, Unsigned, lengths_of, pack, pack_one, unzigzag, zigzag

VERSION = 1
MAX_SAMPLES = 100_000
MAX_COLUMNS = 1_024
MAX_VALUES = 8_000_000
MAX_BYTES = 64 * 1024 * 1024
_CONSTANT, _DELTAS, _SPARSE, _UNKNOWN = range(4)
_LEVEL = 6


class CodecError(ValueError):
    """A blob that was not made by `encode`."""


def encode(chunk: Chunk) -> bytes:
    """A blob of these samples."""
    count = len(chunk)
    deltas = zigzag(_deltas(chunk.values))
    lengths = lengths_of(deltas)
    packed = pack(deltas.ravel(), lengths.ravel())
    ends = np.cumsum(lengths.sum(axis=1)).tolist()
    all_known = np.logical_and.reduce(chunk.known, axis=1).tolist()
    any_known = np.logical_or.reduce(chunk.known, axis=1).tolist()
    still = np.logical_and.reduce(chunk.values == chunk.values[:, :1], axis=1).tolist()
    out = bytearray(pack_one(count) + pack_one(len(chunk.names)))
    out += _numbers(zigzag(_deltas(_deltas(chunk.at_ms))))
    begin = 0
    for nth, name in enumerate(chunk.names):
        raw = name.encode("utf-8")
        out += pack_one(len(raw))
        out += raw
        if not any_known[nth]:
            out.append(_UNKNOWN)
        elif all_known[nth] and still[nth]:
            out.append(_CONSTANT)
            out += packed[begin : begin + int(lengths[nth, 0])]
        elif all_known[nth]:
            out.append(_DELTAS)
            out += packed[begin : ends[nth]]
        else:
            known = chunk.known[nth]
            out.append(_SPARSE)
            out += np.packbits(known, bitorder="little").tobytes()
            out += _numbers(zigzag(_deltas(chunk.values[nth, known])))
        begin = ends[nth]
    return bytes((VERSION,)) + zlib.compress(bytes(out), _LEVEL)


def decode(blob: bytes, only: Iterable[str] | None = None) -> Chunk:
    """The samples of a blob; with `only`, just these columns. Raises CodecError."""
    if not blob or blob[0] != VERSION:
        raise CodecError("this is no blob of samples, or one of a later version")
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(blob[1:], MAX_BYTES)
    except zlib.error as error:
        raise CodecError(f"the blob is damaged: {error}") from None
    if not inflate.eof:
        raise CodecError("the blob is cut off or too large")
    try:
        return _read(_Reader(data), None if only is None else set(only))
    except (ValueError, OverflowError) as error:
        raise CodecError(f"the blob is damaged: {error}") from None


def _read(reader: _Reader, wanted: set[str] | None) -> Chunk:
    count, width = reader.take_one(), reader.take_one()
    if count > MAX_SAMPLES or width > MAX_COLUMNS or count * width > MAX_VALUES:
        raise CodecError("it claims more than it can hold")
    at_ms = np.cumsum(np.cumsum(unzigzag(reader.take(count))))
    names: list[str] = []
    raw = np.zeros((width, count), np.uint64)
    known = np.zeros((width, count), np.bool_)
    summed: list[int] = []
    sparse: dict[int, Ints] = {}
    for _ in range(width):
        name = reader.text()
        nth = len(names)
        if wanted is None or name in wanted:
            names.append(name)
        kind = reader.raw(1)[0]
        if kind == _CONSTANT:
            raw[nth] = reader.take_one()
            known[nth] = True
        elif kind == _DELTAS:
            raw[nth] = reader.take(count)
            known[nth] = True
            summed.append(nth)
        elif kind == _SPARSE:
            bits = _bits(reader.raw((count + 7) // 8), count)
            sparse[nth] = np.cumsum(unzigzag(reader.take(int(bits.sum()))))
            known[nth] = bits
        elif kind != _UNKNOWN:
            raise CodecError("a column is of no known kind")
        if len(names) == nth:
            # Nobody asked for it: the next column takes its place.
            known[nth] = False
            raw[nth] = 0
            sparse.pop(nth, None)
            if summed[-1:] == [nth]:
                summed.pop()
    if not reader.ended:
        raise CodecError("there is something after the last column")
    width = len(names)
    values = unzigzag(raw[:width])
    values[summed] = np.cumsum(values[summed], axis=1)
    for nth, column in sparse.items():
        values[nth, known[nth]] = column
    return Chunk(at_ms, tuple(names), values, known[:width])


class _Reader:
    """Walks over the inflated bytes; whatever is missing or wrong is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._numbers = Numbers(np.frombuffer(data, np.uint8))
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> Unsigned:
        """That many unsigned varints."""
        values, self._at = self._numbers.take(self._at, count)
        return values

    def take_one(self) -> int:
        value, self._at = self._numbers.take_one(self._at)
        return value

    def raw(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        if len(part) < length:
            raise CodecError("it ends too early")
        self._at += length
        return part

    def text(self) -> str:
        return self.raw(self.take_one()).decode("utf-8")


def _numbers(values: Unsigned) -> bytes:
    return pack(values, lengths_of(values))


def _bits(raw: bytes, count: int) -> Flags:
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=count, bitorder="little")
    return bits.astype(np.bool_)


def _deltas(values: Ints) -> Ints:
    """Along the last axis; the first is the value itself."""
    deltas = values.copy()
    deltas[..., 1:] -= values[..., :-1]
    return deltas
