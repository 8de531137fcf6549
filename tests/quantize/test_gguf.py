"""Headers: read whole, and nothing in them believed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.quantize.gguf import GgufError, header_bytes, read_model, scalar_pair, text_pair
from cohete.quantize.types import TensorType
from tests.quantize.models import MODELS, write

ARRAY = struct.pack("<IIQ", 9, 8, 2) + struct.pack("<Q", 3) + b"abc" + struct.pack("<Q", 0)


def test_a_header_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write(MODELS["tied-f16"], tmp_path / "m.gguf")
    model = read_model(path)
    assert model.architecture == "llama"
    assert model.text("general.name") == "tied-f16"
    assert model.number("llama.block_count") == 2
    assert model.number("general.name") is None
    tensor = next(each for each in model.tensors if each.name == "blk.1.ffn_down.weight")
    assert (tensor.shape, tensor.rows, tensor.type) == ((512, 256), 256, TensorType.F16)
    assert tensor.bytes == 2 * 512 * 256


@given(st.binary(max_size=300))
def test_no_bytes_are_worth_anything_but_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + data)
    with pytest.raises(GgufError):
        read_model(path)


@given(st.data())
def test_a_damaged_header_is_an_error_or_another_header(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = write(MODELS["rows-of-48"], tmp_path / "m.gguf").read_bytes()
    bad = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, 1500))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.gguf"
    path.write_bytes(bad)
    try:
        model = read_model(path)
    except GgufError:
        return
    assert all(each.offset + each.bytes <= len(bad) for each in model.tensors)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "too short"),
        (b"\0" * 4096, "never finished"),
        (b"PK\3\4" + b"\0" * 60, "no GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 60, "big-endian"),
        (b"GGUF" + struct.pack("<I", 9) + b"\0" * 60, "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0) + b"\0" * 60, "cannot be"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 5) + b"\xff" * 60, "cannot be"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(GgufError, match=words):
        read_model(path)


def test_a_file_that_ends_too_early_is_found_before_its_data_is_read(tmp_path: Path) -> None:
    path = write(MODELS["tied-f16"], tmp_path / "m.gguf")
    data = path.read_bytes()
    for size in (len(data) - 4000, 5000, 900, 100):
        path.write_bytes(data[:size])
        with pytest.raises(GgufError, match=r"it ends"):
            read_model(path)


def test_names_are_safe_to_show(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    pairs = {"general.architecture": text_pair("lla\x1b[31mma"), "n": scalar_pair(4)}
    for name in ("a\x1b]0;x\x07b.weight", ""):
        header = header_bytes(pairs, [(name, (32, 1), TensorType.F32, 0)])
        path.write_bytes(header + b"\0" * 128)
        with pytest.raises(GgufError, match="is no name of a tensor"):
            read_model(path)
    path.write_bytes(header_bytes(pairs, [("a", (32, 1), TensorType.F32, 0)]) + b"\0" * 128)
    assert "\x1b" not in read_model(path).architecture


def test_a_string_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    data = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 1) + b"k"
    data += struct.pack("<IQ", 8, 1 << 40)
    with path.open("wb") as file:
        file.write(data)
        file.truncate(2 << 40)
    with pytest.raises(GgufError, match="bytes cannot be"):
        read_model(path)


def test_arrays_are_kept_as_they_are(tmp_path: Path) -> None:
    from cohete.quantize.gguf import Pair

    pairs = {"words": Pair(ARRAY, None, 2), "general.alignment": scalar_pair(64)}
    path = tmp_path / "x.gguf"
    header = header_bytes(pairs, [("a.weight", (32, 1), TensorType.F32, 0)])
    assert len(header) % 64 == 0
    path.write_bytes(header + b"\0" * 128)
    model = read_model(path)
    assert model.pairs["words"].raw == ARRAY
    assert model.pairs["words"].count == 2
    assert model.tensors[0].offset == len(header)


@pytest.mark.parametrize("offset", [0, 64, 33])
def test_data_that_overlaps_or_leaves_a_gap_is_refused(tmp_path: Path, offset: int) -> None:
    f32 = TensorType.F32
    path = tmp_path / "m.gguf"
    path.write_bytes(
        header_bytes({}, [("a", (8,), f32, 0), ("b", (8,), f32, offset)]) + b"\0" * 200
    )
    with pytest.raises(
        GgufError, match=f"the data of b is said to begin at {offset}, .* ends at 32"
    ):
        read_model(path)


def test_a_part_of_a_split_model_under_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    pairs = {"split.count": scalar_pair(3)}
    path.write_bytes(header_bytes(pairs, [("a", (8,), TensorType.F32, 0)]) + b"\0" * 64)
    with pytest.raises(GgufError, match="one of the 3 files of a model that was split"):
        read_model(path)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(header_bytes({"general.name": text_pair("a vocabulary")}, []) + b"\0" * 64)
    with pytest.raises(GgufError, match="it has no tensors"):
        read_model(path)
