"""Samples of one device as a small blob: columns of integers, deltas as varints, deflated. Pure.

A blob holds times in milliseconds and named columns of the same length; None is unknown. Its
first byte is the version of the format, the rest is deflated:

    count, number of columns, then the times and each column as
    (name), kind, and by kind: one value; all deltas; or a bitmap of what is known and its deltas

Integers are LEB128 varints, signed ones zigzag. Times are deltas of deltas.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

VERSION = 1
MAX_SAMPLES = 100_000
MAX_COLUMNS = 512
MAX_BYTES = 64 * 1024 * 1024
_CONSTANT, _DELTAS, _SPARSE, _UNKNOWN = range(4)
_LEVEL = 6

Column = Sequence[int | None]


class CodecError(ValueError):
    """A blob that was not made by `encode`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples in the order of time: `times_ms` and, for each name, a value for every time."""

    times_ms: list[int]
    columns: dict[str, list[int | None]]


def encode(times_ms: Sequence[int], columns: Mapping[str, Column]) -> bytes:
    """A blob of these samples. Raises ValueError where lengths differ."""
    count = len(times_ms)
    if any(len(values) != count for values in columns.values()):
        raise ValueError("every column has as many values as there are times")
    out = bytearray()
    _put(out, (count, len(columns)))
    _put(out, map(_zigzag, _deltas(_deltas(times_ms))))
    for name, values in columns.items():
        raw = name.encode("utf-8")
        _put(out, (len(raw),))
        out += raw
        known = [value for value in values if value is not None]
        if not known:
            out.append(_UNKNOWN)
        elif len(known) == count and min(known) == max(known):
            out.append(_CONSTANT)
            _put(out, (_zigzag(known[0]),))
        elif len(known) == count:
            out.append(_DELTAS)
            _put(out, map(_zigzag, _deltas(known)))
        else:
            out.append(_SPARSE)
            bits = sum(1 << nth for nth, value in enumerate(values) if value is not None)
            out += bits.to_bytes((count + 7) // 8, "little")
            _put(out, map(_zigzag, _deltas(known)))
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
    reader = _Reader(data)
    wanted = None if only is None else set(only)
    count, width = reader.take(2)
    if count > MAX_SAMPLES or width > MAX_COLUMNS:
        raise CodecError("the blob claims more than it can hold")
    times = _sums(_sums(reader.signed(count)))
    columns: dict[str, list[int | None]] = {}
    for _ in range(width):
        name = reader.text()
        values = reader.column(count)
        if wanted is None or name in wanted:
            columns[name] = values
    if not reader.ended:
        raise CodecError("there is something after the last column")
    return Chunk(times, columns)


class _Reader:
    """Walks over the inflated bytes; whatever is missing or wrong is a CodecError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> list[int]:
        """That many unsigned varints."""
        data, at = self._data, self._at
        values: list[int] = []
        try:
            for _ in range(count):
                value = data[at]
                at += 1
                if value > 0x7F:
                    value &= 0x7F
                    shift = 7
                    while True:
                        byte = data[at]
                        at += 1
                        value |= (byte & 0x7F) << shift
                        if byte < 0x80:
                            break
                        shift += 7
                        if shift > 70:
                            raise CodecError("a number is too long")
                values.append(value)
        except IndexError:
            raise CodecError("the blob ends too early") from None
        self._at = at
        return values

    def signed(self, count: int) -> list[int]:
        return [value >> 1 ^ -(value & 1) for value in self.take(count)]

    def raw(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        if len(part) < length:
            raise CodecError("the blob ends too early")
        self._at += length
        return part

    def text(self) -> str:
        try:
            return self.raw(self.take(1)[0]).decode("utf-8")
        except UnicodeDecodeError:
            raise CodecError("a column's name is no text") from None

    def column(self, count: int) -> list[int | None]:
        kind = self.raw(1)[0]
        if kind == _UNKNOWN:
            return [None] * count
        if kind == _CONSTANT:
            return [*self.signed(1)] * count
        if kind == _DELTAS:
            return [*_sums(self.signed(count))]
        if kind != _SPARSE:
            raise CodecError("a column is of no known kind")
        bits = int.from_bytes(self.raw((count + 7) // 8), "little")
        known = iter(_sums(self.signed((bits & (1 << count) - 1).bit_count())))
        return [next(known) if bits >> nth & 1 else None for nth in range(count)]


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _put(out: bytearray, values: Iterable[int]) -> None:
    for value in values:
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)


def _deltas(values: Sequence[int]) -> list[int]:
    return [b - a for a, b in zip([0, *values[:-1]], values, strict=True)] if values else []


def _sums(values: Iterable[int]) -> list[int]:
    total = 0
    sums: list[int] = []
    for value in values:
        total += value
        sums.append(total)
    return sums
