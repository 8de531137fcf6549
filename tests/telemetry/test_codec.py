"""Blobs of samples: what goes in comes out, and a damaged one is refused, never believed."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohete.telemetry.chunk import Chunk
from cohete.telemetry.codec import VERSION, CodecError, decode, encode

INTS = st.integers(-(2**40), 2**40)


@st.composite
def samples(draw: st.DrawFn) -> tuple[list[int], dict[str, list[int | None]]]:
    times = draw(st.lists(INTS, max_size=70))
    names = draw(st.lists(st.text(max_size=12), max_size=6, unique=True))
    kinds = st.sampled_from([st.none() | INTS, INTS, st.just(7), st.none()])
    return times, {
        name: draw(st.lists(draw(kinds), min_size=len(times), max_size=len(times)))
        for name in names
    }


@given(samples())
def test_the_round_trip_is_exact(given_: tuple[list[int], dict[str, list[int | None]]]) -> None:
    times, columns = given_
    chunk = decode(encode(Chunk.of(times, columns)))
    assert chunk.times_ms == times
    assert chunk.columns == columns


@given(samples())
def test_some_columns_alone(given_: tuple[list[int], dict[str, list[int | None]]]) -> None:
    times, columns = given_
    wanted = sorted(columns)[:2]
    chunk = decode(encode(Chunk.of(times, columns)), wanted)
    assert chunk.columns == {name: columns[name] for name in columns if name in wanted}


@given(samples(), st.data())
@settings(max_examples=200)
def test_a_damaged_blob_never_raises_anything_else(
    given_: tuple[list[int], dict[str, list[int | None]]], data: st.DataObject
) -> None:
    raw = bytearray(zlib.decompress(encode(Chunk.of(*given_))[1:]))
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    blob = bytes((VERSION,)) + zlib.compress(bytes(raw[:cut]))
    try:
        chunk = decode(blob)
    except CodecError:
        return
    assert all(len(values) == len(chunk.times_ms) for values in chunk.columns.values())


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x00",
        b"\x02abc",
        b"\x01",
        b"\x01garbage",
        encode(Chunk.of([1, 2], {"a": [1, 2]}))[:-3],
    ],
)
def test_what_is_no_blob(blob: bytes) -> None:
    with pytest.raises(CodecError):
        decode(blob)


def test_a_bomb_is_cut_off() -> None:
    with pytest.raises(CodecError, match="too large"):
        decode(bytes((VERSION,)) + zlib.compress(bytes(80 * 1024 * 1024)))


def test_columns_have_the_length_of_the_times() -> None:
    with pytest.raises(ValueError, match="as many values"):
        Chunk.of([1, 2], {"a": [1]})
