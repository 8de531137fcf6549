"""GGUF files: their header read without their data, and written again.

Format: versions 2 and 3, little-endian. Key-value pairs are kept as the bytes they are, so that
what is not understood is copied unharmed. Nothing in a file is trusted: counts and lengths are
bounded by its size.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cohete.errors import CoheteError
from cohete.quantize.types import TensorType
from cohete.text import sanitise

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
MAX_NAME, MAX_DIMS, MAX_COUNT, MAX_LAYERS = 256, 4, 1 << 20, 1 << 12
MAX_TEXT, MAX_VALUE = 1 << 24, 1 << 28
"""Bytes of a string, and of any value: vocabularies have some ten million."""
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")

Scalar = int | float | bool | str
_SCALARS: Mapping[int, tuple[str, int]] = {
    0: ("<B", 1), 1: ("<b", 1), 2: ("<H", 2), 3: ("<h", 2), 4: ("<I", 4), 5: ("<i", 4),
    6: ("<f", 4), 7: ("<?", 1), 10: ("<Q", 8), 11: ("<q", 8), 12: ("<d", 8),
}  # fmt: skip
_FRACTIONS = frozenset({"<f", "<d"})
_STRING, _ARRAY, _U32 = 8, 9, 4


class GgufError(CoheteError):
    """A file that is no GGUF, or one that cannot be used."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`shape` innermost first, as in the file: rows have `shape[0]` numbers."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    path: Path
    offset: int
    """Of its data in its file, in bytes."""

    @property
    def numbers(self) -> int:
        """How many it has."""
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def rows(self) -> int:
        """Rows of `shape[0]` numbers."""
        return self.numbers // self.shape[0] if self.shape and self.shape[0] else 0

    @property
    def bytes(self) -> int:
        """Of its data."""
        return self.type.size(self.numbers)


@dataclass(frozen=True, slots=True)
class Pair:
    """A key's value as its bytes; `value` where it is a scalar or a string, `count` of an array."""

    raw: bytes
    value: Scalar | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """The header of a model, over all files it is split into."""

    paths: tuple[Path, ...]
    version: int
    pairs: Mapping[str, Pair] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)

    @property
    def architecture(self) -> str:
        """`general.architecture`, or nothing."""
        return self.text("general.architecture")

    @property
    def file_bytes(self) -> int:
        """All files together."""
        return sum(path.stat().st_size for path in self.paths)

    def text(self, key: str) -> str:
        """A string, safe to show; nothing where there is none."""
        pair = self.pairs.get(key)
        found = pair.value if pair is not None else None
        return sanitise(found, 120) if isinstance(found, str) else ""

    def number(self, key: str) -> int | None:
        """A whole number; None where there is none."""
        pair = self.pairs.get(key)
        found = pair.value if pair is not None else None
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def listed(self, key: str) -> tuple[int, ...]:
        """Whole numbers of an array, at most one a layer; nothing where it is none such."""
        pair = self.pairs.get(key)
        if pair is None or not 0 < pair.count <= MAX_LAYERS:
            return ()
        (item,) = struct.unpack_from("<I", pair.raw, 4)
        if item not in _SCALARS or _SCALARS[item][0] in _FRACTIONS:
            return ()
        form, size = _SCALARS[item]
        data = pair.raw[16 : 16 + size * pair.count]
        return tuple(int(value) for (value,) in struct.iter_unpack(form, data))


def read_model(path: Path) -> Model:
    """The header of a model; of a split one, given any of its files, all of them. Blocking.

    Raises GgufError with what is wrong and where.
    """
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        model = _read_file(path)
        count = model.number("split.count") or 1
        if count > 1:
            raise GgufError(
                f"it is one of the {count} files of a model that was split, and its name does not "
                "tell which",
                where=str(path),
                hint="Give them their names back, as in model-00001-of-00003.gguf.",
            )
        return _whole(model, path)
    count = int(match[3])
    paths = [
        path.with_name(f"{match[1]}-{nth:05}-of-{match[3]}.gguf") for nth in range(1, count + 1)
    ]
    missing = [each.name for each in paths if not each.exists()]
    if not 1 <= count <= MAX_COUNT or missing:
        raise GgufError(
            f"it is split, and {len(missing)} of its {count} files are missing: "
            f"{', '.join(missing[:3])}",
            where=str(path),
        )
    parts = [_read_file(each) for each in paths]
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise GgufError("its files name a tensor twice", where=str(path))
    wanted = parts[0].number("split.tensors.count")
    if wanted is not None and wanted != len(tensors):
        raise GgufError(f"{wanted} tensors were split, {len(tensors)} are there", where=str(path))
    return _whole(Model(tuple(paths), parts[0].version, parts[0].pairs, tensors), path)


def _whole(model: Model, path: Path) -> Model:
    if not model.tensors:
        raise GgufError("it has no tensors", where=str(path),
                        hint="It may be a vocabulary only.")  # fmt: skip
    return model


def _read_file(path: Path) -> Model:
    try:
        with path.open("rb") as file:
            if path.stat().st_size < 24:
                raise GgufError("it is too short to be a GGUF file", where=str(path))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).model()
    except OSError as error:
        raise GgufError(f"it cannot be read: {error.strerror or error}", where=str(path)) from None


class _Reader:
    """Walks a header; every step is checked against the end of the file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._at = 0
        self._size = len(data)

    def model(self) -> Model:
        self._magic()
        version = self._u32()
        if version not in (2, 3):
            if version & 0xFFFF == 0:
                raise self._error("it is big-endian", "Convert it on the machine it is from.")
            raise self._error(f"GGUF version {version} is not known: 2 and 3 are")
        tensor_count, pair_count = self._u64(), self._u64()
        if tensor_count > MAX_COUNT or pair_count > MAX_COUNT:
            raise self._error(f"{tensor_count} tensors and {pair_count} keys cannot be")
        pairs: dict[str, Pair] = {}
        for _ in range(pair_count):
            key = self._string(MAX_NAME).decode("utf-8", "replace")
            pairs[key] = self._pair()
        infos = [self._info() for _ in range(tensor_count)]
        found = pairs.get("general.alignment")
        alignment = found.value if found is not None else DEFAULT_ALIGNMENT
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._error(f"an alignment of {alignment!r} cannot be")
        begin = aligned(self._at, alignment)
        tensors: dict[str, Tensor] = {}
        expected = 0
        for name, shape, kind, offset in infos:
            tensor = Tensor(name, shape, kind, self._path, begin + offset)
            if tensor.numbers % kind.block or shape[0] % kind.block:
                raise self._error(f"rows of {shape[0]} are no whole blocks of {kind.label}: {name}")
            if tensor.offset + tensor.bytes > self._size:
                raise self._error(f"it ends before the data of {name}", "Copy it again.")
            if name in tensors:
                raise self._error(f"it names {name} twice")
            # llama.cpp loads no other order, and what overlaps is damaged.
            if offset != expected:
                raise self._error(f"the data of {name} is said to begin at {offset}, and what is "
                                  f"before it ends at {expected}", "Copy it again.")  # fmt: skip
            expected = aligned(offset + tensor.bytes, alignment)
            tensors[name] = tensor
        return Model((self._path,), version, pairs, tuple(tensors.values()))

    def _magic(self) -> None:
        if self._data[:4] != MAGIC:
            if self._data[:4] == b"\0\0\0\0":
                words = "it was never finished: its beginning is empty"
                raise self._error(words, "Whatever wrote it was interrupted. Make it again.")
            raise self._error("it is no GGUF file", "Convert the model to GGUF first.")
        self._at = 4

    def _pair(self) -> Pair:
        begin = self._at
        kind = self._u32()
        value, count = self._value(kind, 0)
        if self._at - begin > MAX_VALUE:
            raise self._error(f"a value of {self._at - begin} bytes cannot be")
        return Pair(self._data[begin : self._at], value, count)

    def _value(self, kind: int, depth: int) -> tuple[Scalar | None, int]:
        if kind in _SCALARS:
            form, size = _SCALARS[kind]
            self._need(size)
            (value,) = struct.unpack_from(form, self._data, self._at)
            self._at += size
            return value, 0
        if kind == _STRING:
            return self._string(MAX_TEXT).decode("utf-8", "replace"), 0
        if kind != _ARRAY or depth > 2:
            raise self._error(f"a value of type {kind} is not known")
        item, count = self._u32(), self._u64()
        if item in _SCALARS:
            self._need(_SCALARS[item][1] * count)
            self._at += _SCALARS[item][1] * count
        elif item == _STRING:
            self._skip_strings(count)
        else:
            # Each item takes bytes, so that a count that lies ends at the end of the file.
            for _ in range(count):
                self._value(item, depth + 1)
        return None, count

    def _skip_strings(self, count: int) -> None:
        """A vocabulary has hundreds of thousands: one loop without calls of ours."""
        length_at, data, at, size = (
            struct.Struct("<Q").unpack_from,
            self._data,
            self._at,
            self._size,
        )
        for _ in range(count):
            if at + 8 > size:
                break
            at += 8 + length_at(data, at)[0]
        self._need(at - self._at)
        self._at = at

    def _info(self) -> tuple[str, tuple[int, ...], TensorType, int]:
        name = self._string(MAX_NAME).decode("utf-8", "replace")
        dims = self._u32()
        if not 1 <= dims <= MAX_DIMS:
            raise self._error(f"a tensor of {dims} dimensions cannot be")
        shape = tuple(self._u64() for _ in range(dims))
        kind, offset = self._u32(), self._u64()
        if not all(0 < size < 1 << 40 for size in shape):
            raise self._error(f"a shape of {shape} cannot be")
        if not name or sanitise(name, MAX_NAME) != name:
            raise self._error(f"`{sanitise(name, 64)}` is no name of a tensor")
        try:
            return name, shape, TensorType(kind), offset
        except ValueError:
            raise self._error(f"{sanitise(name, 64)} has type {kind}, which is not known") from None

    def _string(self, limit: int) -> bytes:
        length = self._u64()
        if length > limit:
            raise self._error(f"a name of {length} bytes cannot be")
        self._need(length)
        self._at += length
        return self._data[self._at - length : self._at]

    def _u32(self) -> int:
        self._need(4)
        (value,) = struct.unpack_from("<I", self._data, self._at)
        self._at += 4
        return int(value)

    def _u64(self) -> int:
        self._need(8)
        (value,) = struct.unpack_from("<Q", self._data, self._at)
        self._at += 8
        return int(value)

    def _need(self, count: int) -> None:
        if count > self._size - self._at:
            raise self._error("it ends in the middle of its header", "Copy it again.")

    def _error(self, what: str, hint: str = "") -> GgufError:
        return GgufError(what, where=str(self._path), hint=hint)


def aligned(offset: int, alignment: int) -> int:
    """The next offset that is a multiple of it."""
    return -(-offset // alignment) * alignment


def scalar_pair(value: int) -> Pair:
    """A number as GGUF keeps small ones (uint32)."""
    return Pair(struct.pack("<II", _U32, value), value)


def text_pair(value: str) -> Pair:
    """A string."""
    data = value.encode()
    return Pair(struct.pack("<IQ", _STRING, len(data)) + data, value)


def header_bytes(
    pairs: Mapping[str, Pair], tensors: Iterable[tuple[str, tuple[int, ...], TensorType, int]]
) -> bytes:
    """A header of version 3: tensors by name, shape, type and offset from the begin of the data.

    Padded to the alignment that the pairs name.
    """
    listed = list(tensors)
    out = [MAGIC, struct.pack("<IQQ", 3, len(listed), len(pairs))]
    for key, pair in pairs.items():
        name = key.encode()
        out += [struct.pack("<Q", len(name)), name, pair.raw]
    for name_, shape, kind, offset in listed:
        name = name_.encode()
        out += [struct.pack("<Q", len(name)), name, struct.pack("<I", len(shape))]
        out += [struct.pack(f"<{len(shape)}Q", *shape), struct.pack("<IQ", kind, offset)]
    data = b"".join(out)
    return data.ljust(aligned(len(data), alignment_of(pairs)), b"\0")


def alignment_of(pairs: Mapping[str, Pair]) -> int:
    """Of the data, in bytes."""
    found = pairs.get("general.alignment")
    value = found.value if found is not None else None
    return value if isinstance(value, int) else DEFAULT_ALIGNMENT
