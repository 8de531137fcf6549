"""What must never happen: a source lost, code of a folder run, a false file named, a hang."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from cohete.errors import CoheteError
from cohete.quantize import worker
from cohete.quantize.gguf import header_bytes, read_model
from cohete.quantize.manifest import manifest_path, read_manifest, verify
from cohete.quantize.measuring import measured_change, text_of
from cohete.quantize.mixture import Recipe, parse_rule
from cohete.quantize.places import files_of, sole_writer
from cohete.quantize.plan import plan_model
from cohete.quantize.pool import Pool
from cohete.quantize.run import Quantizer
from cohete.quantize.tools import quantize_with
from cohete.quantize.types import Level, TensorType
from tests.cli.test_commands import run
from tests.quantize.models import MODELS, pairs_of, stored, write


def source_of(tmp_path: Path) -> Path:
    return write(MODELS["tied-f16"], tmp_path / "model-f16.gguf")


@pytest.mark.parametrize("nth", range(4))
def test_a_source_is_never_written_over(tmp_path: Path, nth: int) -> None:
    target = tmp_path / "a.gguf"
    source = files_of(target)[nth]
    shutil.copy(source_of(tmp_path), source)
    before = source.read_bytes()
    with pytest.raises(CoheteError, match="that is the model itself"):
        Quantizer(plan_model(read_model(source), Recipe(Level.Q4_0)), target).run()
    with pytest.raises(CoheteError, match="that is the model itself"):
        quantize_with("/bin/false", read_model(source), "q4_k_m", target)
    with pytest.raises(CoheteError, match="that is the model itself"):
        quantize_with("/bin/false", read_model(source), "q4_k_m", source)
    assert source.read_bytes() == before


def test_nothing_in_the_current_folder_is_run(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    for name in ("blake3", "numpy", "cohete"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    program = str(Path(sys.executable).with_name("cohete"))
    argv = [program, "quantize", source.name, "--level", "q4_0", "--yes", "--workers", "2"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("at", [3, 100_000, 262_143])
def test_what_a_type_cannot_hold_is_refused_wherever_it_stands(
    tmp_path: Path, level: Level, at: int
) -> None:
    numbers = np.linspace(-1, 1, 1024 * 256, dtype=np.float32)
    numbers[at] = 3e7
    data = stored(numbers, TensorType.F32)
    header = header_bytes(
        pairs_of(MODELS["tied-f32"]), [("a.weight", (256, 1024), TensorType.F32, 0)]
    )
    path = tmp_path / "m.gguf"
    path.write_bytes(header + data)
    target = tmp_path / "out.gguf"
    for by_search in (False, True):
        plan = plan_model(read_model(path), Recipe(level), by_search=by_search)
        with pytest.raises(CoheteError, match=r"a.weight has numbers that are too large"):
            Quantizer(plan, target).run()
    assert list(tmp_path.glob("out*")) == []


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    plan = plan_model(read_model(source_of(tmp_path)), Recipe(Level.Q4_0))
    target = tmp_path / "out.gguf"
    with sole_writer(target):
        with pytest.raises(CoheteError, match="another run is making this file"):
            Quantizer(plan, target).run()
        Quantizer(plan, tmp_path / "other.gguf").run()
    Quantizer(plan, target).run()


def test_an_answer_that_is_none_is_an_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_model(read_model(source_of(tmp_path)), Recipe(Level.Q4_0))
    quantizer = Quantizer(plan, tmp_path / "out.gguf")
    quantizer._prepare()

    def torn(line: bytes) -> None:
        raise json.JSONDecodeError("torn", "", 0)

    monkeypatch.setattr(worker, "answer_of", torn)
    with Pool(2, threading.Event()) as workers, pytest.raises(ValueError, match="torn"):
        quantizer._make(workers)


def test_headers_that_lie_are_no_reason_to_lose_a_report(tmp_path: Path) -> None:
    from cohete.quantize.gguf import Pair, text_pair
    from tests.quantize.vocabulary import vocabulary_pairs

    text = tmp_path / "t.txt"
    text.write_text("t1 t2 t3 " * 400)
    good = pairs_of(MODELS["tied-f16"]) | vocabulary_pairs(320)
    lies = [
        {key: pair for key, pair in good.items() if key != "tokenizer.ggml.tokens"},
        good | {"tokenizer.ggml.bos_token_id": Pair(struct.pack("<II", 4, 9_999_999), 9_999_999)},
        good | {"tokenizer.ggml.tokens": Pair(struct.pack("<IIQ", 9, 0, 4) + b"abcd", None, 4)},
        good | {"tokenizer.ggml.model": text_pair("llama\x1b[2J")},
    ]
    for nth, pairs in enumerate(lies):
        path = write(MODELS["tied-f16"], tmp_path / f"{nth}.gguf", pairs)
        change = measured_change(path, path, text_of(text))
        assert change.how == "not measured", nth
        assert "\x1b" not in change.source


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    for level in ("q4_0", "q4_k_m"):
        code, out, err = run("quantize", str(source), "--level", level, "--dry-run", "--yes")
        assert code == 0, err
        assert "model-" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    code, _, err = run("quantize", str(source), "--level", "q4_k_m", "--pure", "--yes")
    assert (code, "a level and an imatrix only" in err) == (2, True)


@pytest.mark.parametrize(
    "argv",
    [
        ("fit", "llama-3.2-1b", "--memory", "nan"),
        ("fit", "0.5MB"),
        ("fit", "x" * 300),
        ("fit", "x" * 5000),
        ("quantize", "{source}", "--fit", "nan", "--yes"),
        ("quantize", "{source}", "--level", "q4_0", "--yes", "-o", "y" * 300),
        ("quantize", "{source}", "--level", "q4_0", "--tensor", "re:a{99999999999999}=q8_0"),
        ("quantize", "{source}", "--level", "q4_0", "--yes", "--text", "none.txt"),
        ("quantize", "{source}", "--level", "q4_k_m", "--yes", "--tool", "{source}"),
    ],
)
def test_arguments_that_cannot_be_are_errors_in_words(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    source = source_of(tmp_path)
    code, out, err = run(*(word.format(source=source) if "{s" in word else word for word in argv))
    assert code == 2, out
    assert "Traceback" not in err
    assert "this is a bug" not in err
    assert err.strip()
    # What takes long is not begun with a text that cannot be read.
    assert list(tmp_path.glob("*q4_0*")) == []


@pytest.mark.parametrize("how", [("--level", "q8_0"), ("--fit", "1"), ("--fit", "1", "--dry-run")])
def test_a_model_with_numbers_that_are_none_is_refused_in_words(
    tmp_path: Path, how: tuple[str, ...]
) -> None:
    source = source_of(tmp_path)
    bad = next(each for each in read_model(source).tensors if each.name == "blk.0.attn_q.weight")
    data = bytearray(source.read_bytes())
    data[bad.offset : bad.offset + 2] = b"\x00\x7e"
    source.write_bytes(data)
    code, _, err = run("quantize", str(source), *how, "--yes")
    assert (code, "Traceback" in err) == (2, False)
    assert "blk.0.attn_q.weight has numbers that are none" in err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    odd = source.rename(tmp_path / os.fsdecode(b"m\xff.gguf"))
    out = tmp_path / "out.gguf"
    code, _, err = run("quantize", str(odd), "--level", "q4_0", "-o", str(out), "--yes")
    assert code == 0, err
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.source == "m\\xff.gguf"
    code, _, err = run("quantize", str(out), "--level", "q4_0", "-o", str(odd) + "2", "--yes")
    assert code == 2
    assert "this name is no UTF-8 text" in err


def test_a_manifest_with_a_type_that_is_none(tmp_path: Path) -> None:
    source, out = source_of(tmp_path), tmp_path / "out.gguf"
    assert run("quantize", str(source), "--level", "q4_0", "-o", str(out), "--yes")[0] == 0
    text = manifest_path(out).read_text()
    manifest_path(out).write_text(text.replace('"type": "q4_0"', '"type": "q9_9"', 1))
    data = bytearray(out.read_bytes())
    data[-1] ^= 1
    out.write_bytes(data)
    with pytest.raises(CoheteError, match="it is damaged: its header speaks of another"):
        verify(out)


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": -1}, {"rms_error": float("nan")}, {"sha256": "x" * 64},
        {"pieces": [["", ""]]}, {"name": ""}, {"name": "n" * 300}, {"extra": 1}, {"type": 4},
    ],
)  # fmt: skip
def test_a_manifest_that_lies_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    source, out = source_of(tmp_path), tmp_path / "out.gguf"
    assert run("quantize", str(source), "--level", "q4_0", "-o", str(out), "--yes")[0] == 0
    document = json.loads(manifest_path(out).read_text())
    assert read_manifest(out) is not None
    document["tensors"][0] |= change
    manifest_path(out).write_text(json.dumps(document))
    assert read_manifest(out) is None


def test_a_pattern_that_is_none_is_told() -> None:
    for text in ("re:(=q8_0", "re:a{99999999999999}=q8_0"):
        with pytest.raises(CoheteError):
            parse_rule(text)


def test_a_tool_beside_the_model_is_the_one_that_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tmp_path)
    tool = tmp_path / "llama-quantize"
    tool.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    argv = ("quantize", source.name, "--level", "q4_k_m", "--yes", "--tool", "llama-quantize")
    code, _, err = run(*argv)
    assert code == 0, err
    assert os.path.exists("model-q4_k_m.gguf")


def patched(line: str, *argv: str) -> tuple[int, str, str]:
    """`cohete` with something of it replaced."""
    script = (
        "import os, signal, sys\nimport cohete.quantize.measuring as measuring\n"
        "import cohete.quantize.run as run\n"
        f"def interrupt(*_): os.kill(os.getpid(), signal.SIGINT)\n{line}\n"
        "from cohete.cli import main\nsys.argv[0] = 'cohete'\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_interrupted_at_its_end_it_is_made_and_says_so(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    argv = ("quantize", str(source), "--level", "q4_0", "--yes")
    code, out, err = patched("run.sync_folder = interrupt", *argv)
    assert (code, err) == (0, "")
    assert "model-q4_0.gguf" in out
    verify(tmp_path / "model-q4_0.gguf")
    # Pressed twice there, it is made all the same.
    (tmp_path / "model-q4_0.gguf").unlink()
    twice = "run.sync_folder = lambda _: (interrupt(), interrupt())"
    code, out, err = patched(twice, *argv)
    assert (code, err) == (0, "")
    verify(tmp_path / "model-q4_0.gguf")


def test_interrupted_while_it_is_measured_the_model_is_told_of(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    text = tmp_path / "text"
    text.write_text("words")
    argv = ("quantize", str(source), "--level", "q4_0", "--yes", "--text", str(text))
    code, out, _ = patched("measuring.measured_change = interrupt", *argv)
    assert code == 130
    assert "not measured (it was interrupted)" in out
    verify(tmp_path / "model-q4_0.gguf")


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "model-f16.gguf")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    argv = ("quantize", str(source), "--level", "q4_0", "--yes", "--replace", "-o", str(pipe))
    code, _, err = run(*argv)
    assert (code, "is there and is no regular file" in err) == (2, True)
    assert pipe.is_fifo()
    # A name may hold anything, and is told all the same.
    odd = source.rename(tmp_path / "esc\x1b[31m-f16.gguf")
    code, out, _ = run("quantize", str(odd), "--level", "q4_0", "--yes")
    assert (code, "\x1b" in out, "esc\u241b[31m-q4_0.gguf" in out) == (0, False, True)
    code, _, err = run("quantize", str(odd), "--level", "q4_0", "-o", str(odd), "--yes")
    assert (code, "\x1b" in err, "\u241b[31m" in err) == (2, False, True)
