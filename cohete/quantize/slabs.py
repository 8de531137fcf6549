"""One piece of one tensor: read, encoded, written. What a worker does, and nothing it remembers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xxhash import xxh3_128_hexdigest

from cohete.quantize import encode, search
from cohete.quantize.columns import counts_of, plain_counts_of
from cohete.quantize.decode import decode
from cohete.quantize.lanes import Bytes, Floats, NotFinite, columns_of, is_finite, lanes_of, rows_of
from cohete.quantize.q6k import SUPER, q6_k
from cohete.quantize.types import PLAIN, SEARCHED, Encoder, TensorType

SLAB = 1 << 21
"""Numbers of a piece: 4 MiB of F16."""
_CHUNK, _SUPER_CHUNK = 1 << 19, 1 << 18
"""Numbers that are encoded at a time, in Q6_K too: few enough for a cache, many for each call of
numpy."""
_MEASURED = 1 << 15
"""Numbers of a piece that are read back to measure what was lost."""
DIGEST = "xxh3-128"
"""How pieces are told apart. A digest that nobody can forge takes an eighth of all the time, and is
taken of the tensors and the file that come of them."""
_ARRAYS_BYTES = 1 << 24
"""More than half of what the arrays of a chunk take together."""


class TooLarge(ValueError):
    """A number that the wanted type cannot hold, in the tensor of this number."""


_SCALES = {
    TensorType.Q4_0: (0,), TensorType.Q4_1: (0, 1), TensorType.Q5_0: (0,),
    TensorType.Q5_1: (0, 1), TensorType.Q8_0: (0,), TensorType.Q6_K: (104,),
}  # fmt: skip
"""Which words of a block are its scales, as F16: from too large a number they become infinite."""


@dataclass(frozen=True, slots=True)
class Slab:
    """`path`, `offset`, `numbers`, `kind`: what is read. `out`, `out_offset`, `out_kind`: what is
    written. `columns`, in hexadecimal: how much each counts (`cohete.quantize.columns`). `old` is a
    file made before, in which the piece may be found as it will be: at `old_offset`, if its source
    and itself have these digests.
    """

    tensor: int
    nth: int
    path: str
    offset: int
    numbers: int
    kind: TensorType
    out: str
    out_offset: int
    out_kind: TensorType
    encoder: Encoder = Encoder.REFERENCE
    columns: str = ""
    old: str = ""
    old_offset: int = 0
    old_source: str = ""
    old_digest: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a piece: digests of what was read and written, the squared error and the squares
    over the `measured` numbers of it as their columns count, seconds of reading and writing, and of
    everything."""

    tensor: int
    nth: int
    source: str
    digest: str
    error: float
    squares: float
    measured: int
    reused: bool
    io_s: float
    all_s: float


def digest(data: bytes | memoryview) -> str:
    """What tells a piece from others."""
    return xxh3_128_hexdigest(data)


def make(slab: Slab) -> Made:
    """Read it, encode it, write it. Raises NotFinite, TooLarge, OSError."""
    begun = time.perf_counter()
    raw = read_into(space(slab.kind.size(slab.numbers)), slab.path, slab.offset)
    io_s = time.perf_counter() - begun
    source = digest(raw.data)
    found = _old(slab, source)
    error, squares, measured, reused = 0.0, 0.0, 0, found is not None
    if found is None:
        found, error, squares, measured = _encoded(slab, raw)
    written = digest(found.data)
    at = time.perf_counter()
    _write(slab.out, slab.out_offset, found)
    done = time.perf_counter()
    return Made(
        slab.tensor, slab.nth, source, written, error, squares, measured, reused,
        io_s + done - at, done - begun,
    )  # fmt: skip


def _old(slab: Slab, source: str) -> Bytes | None:
    """The piece from a file made before, if it is still what it was."""
    if not slab.old or source != slab.old_source:
        return None
    try:
        size = slab.out_kind.size(slab.numbers)
        found = read_into(np.empty(size, np.uint8), slab.old, slab.old_offset)
    except OSError:
        return None
    return found if digest(found.data) == slab.old_digest else None


def _encoded(slab: Slab, raw: Bytes) -> tuple[Bytes, float, float, int]:
    kind = slab.kind
    if kind not in PLAIN and kind is not slab.out_kind:
        raw, kind = decode(raw, kind).view(np.uint8), TensorType.F32
    # The encoders of blocks find what is no number by themselves, at less than a look of its own.
    is_checked = slab.out_kind in encode.ENCODERS and slab.encoder is Encoder.REFERENCE
    if kind in PLAIN and not is_checked and not is_finite(raw, kind):
        raise NotFinite(slab.tensor)
    if slab.kind is slab.out_kind:
        return raw, 0.0, 0.0, 0
    out = np.empty(slab.out_kind.size(slab.numbers), np.uint8)
    at = 0
    columns, first = bytes.fromhex(slab.columns), slab.nth * SLAB
    at_once = _SUPER_CHUNK if slab.out_kind is TensorType.Q6_K else _CHUNK
    for chunk in _chunks(raw, kind, at_once):
        size = slab.out_kind.size(chunk.size // kind.size(1))
        try:
            _encode(chunk, kind, slab.out_kind, out[at : at + size], slab.encoder, columns, first)
        except NotFinite:
            raise NotFinite(slab.tensor) from None
        at += size
        first += at_once
    if not _holds(out, slab.out_kind):
        raise TooLarge(slab.tensor)
    measured = min(_MEASURED, slab.numbers) // slab.out_kind.block * slab.out_kind.block
    numbers = rows_of(raw[: kind.size(measured)], kind)
    lost = decode(out[: slab.out_kind.size(measured)], slab.out_kind) - numbers
    counts = plain_counts_of(columns, slab.nth * SLAB, measured)
    counts /= counts.mean()
    error, squares = (float(np.dot(each, counts * each)) for each in (lost, numbers))
    return out, error, squares, measured


def _holds(out: Bytes, kind: TensorType) -> bool:
    """Whether everything that was made is a number."""
    if kind in PLAIN:
        return is_finite(out, kind)
    words = out.view(np.uint16).reshape(-1, kind.block_bytes // 2)
    # One column after the other: numpy is slow with two words of each.
    return all(
        is_finite(words[:, nth].copy().view(np.uint8), TensorType.F16) for nth in _SCALES[kind]
    )


def encoded(
    raw: Bytes, kind: TensorType, wanted: TensorType, encoder: Encoder, columns: bytes = b"",
    first: int = 0,
) -> Bytes:  # fmt: skip
    """Plain numbers as `wanted`, flat. Whole blocks only; `columns` for a search that weighs them,
    and the place of the first number in its tensor.

    Raises NotFinite for blocks of what is no number; with search they may be made all the same.
    """
    out = np.empty(wanted.size(raw.size // kind.size(1)), np.uint8)
    _encode(raw, kind, wanted, out, encoder, columns, first)
    return out


def _encode(
    raw: Bytes, kind: TensorType, wanted: TensorType, out: Bytes, encoder: Encoder,
    columns: bytes = b"", first: int = 0,
) -> None:  # fmt: skip
    if wanted is TensorType.F16:
        out[:] = encode.f16(raw, kind)
    elif wanted is TensorType.F32:
        out[:] = encode.f32(raw, kind)
    elif wanted is TensorType.Q6_K:
        out[:] = q6_k(columns_of(raw, kind, SUPER)).reshape(-1)
    elif encoder is Encoder.REFERENCE or wanted not in SEARCHED:
        encode.join(encode.ENCODERS[wanted](lanes_of(raw, kind)), out)
    else:
        known = None
        if encoder is Encoder.WEIGHED and columns:
            known = counts_of(columns, first, raw.size // kind.size(1))
        encode.join(search.parts_of(lanes_of(raw, kind), wanted, known), out)


def lossy(
    raw: Bytes, kind: TensorType, wanted: TensorType, encoder: Encoder, columns: bytes = b"",
    first: int = 0,
) -> Floats:  # fmt: skip
    """Numbers as they come back out of `wanted`, flat. Raises NotFinite."""
    if kind not in PLAIN:
        raw, kind = decode(raw, kind).view(np.uint8), TensorType.F32
    if not is_finite(raw, kind):
        raise NotFinite
    parts = [
        decode(encoded(chunk, kind, wanted, encoder, columns, first + nth * _SUPER_CHUNK), wanted)
        for nth, chunk in enumerate(_chunks(raw, kind, _SUPER_CHUNK))
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _chunks(raw: Bytes, kind: TensorType, numbers: int) -> Iterator[Bytes]:
    step = kind.size(numbers)
    for at in range(0, raw.size, step):
        yield raw[at : at + step]


_own = threading.local()


def space(count: int) -> Bytes:
    """Bytes in which a thread reads one piece after the other: new memory would cost more than
    reading."""
    kept = getattr(_own, "room", None)
    if not isinstance(kept, np.ndarray) or kept.size < count:
        # glibc gives back to the system what is freed at the end of its heap, and would for every
        # chunk; once it has seen a block this large go, it keeps twice as much.
        _ = np.empty(_ARRAYS_BYTES, np.uint8)
        kept = _own.room = np.empty(count, np.uint8)
    found: Bytes = kept[:count]
    return found


def read_into(found: Bytes, path: str, offset: int) -> Bytes:
    """Exactly as many bytes as there is room. Raises OSError where there are fewer."""
    view, count = found.data, found.size
    descriptor = os.open(path, os.O_RDONLY)
    try:
        at = 0
        while at < count:
            got = os.preadv(descriptor, [view[at:]], offset + at)
            if not got:
                raise OSError(0, f"it ended {count - at} bytes too early", path)
            at += got
    finally:
        os.close(descriptor)
    return found


def _write(path: str, offset: int, data: Bytes) -> None:
    view = np.ascontiguousarray(data).reshape(-1).data
    descriptor = os.open(path, os.O_WRONLY)
    try:
        at = 0
        while at < len(view):
            at += os.pwrite(descriptor, view[at:], offset + at)
    finally:
        os.close(descriptor)
