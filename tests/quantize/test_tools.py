"""llama.cpp's own tools: run, watched, checked; never believed by their exit status alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from cohete.errors import CoheteError
from cohete.quantize.gguf import read_model
from cohete.quantize.manifest import verify
from cohete.quantize.pool import Cancelled
from cohete.quantize.run import Progress
from cohete.quantize.tools import find_tool, quantize_with
from tests.cli.test_commands import run
from tests.quantize.models import MODELS, write

GOOD = """#!/bin/sh
echo "llama_model_quantize: 1 tensors"
echo "[   1/   2] blk.0.attn_q.weight"
echo "[   2/   2] blk.0.attn_k.weight"
[ "$1" != --imatrix ] || shift 2
cp "$1" "$2"
"""


def tool(folder: Path, text: str, name: str = "llama-quantize") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_level_of_the_tool_is_made_checked_and_told(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "m-f16.gguf")
    told: list[Progress] = []
    target = tmp_path / "m-q4_k_m.gguf"
    outcome = quantize_with(
        str(tool(tmp_path, GOOD)), read_model(source), "q4_k_m", target, progress=told.append
    )
    assert [each.done_bytes / each.total_bytes for each in told] == [0.5, 1.0]
    assert outcome.manifest.encoder == "llama-quantize"
    assert verify(target).level == "q4_k_m"
    assert [path.name for path in tmp_path.glob("*.part")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\necho 'failed: no such type'; exit 3\n", "exit status 3: failed: no such type"),
        ('#!/bin/sh\necho fine > "$2"\n', "too short to be a GGUF file"),
        ('#!/bin/sh\nhead -c 100000 "$1" > "$2"\n', "it ends before the data"),
        ("#!/bin/sh\nexit 0\n", "cannot be read"),
    ],
)
def test_what_a_tool_does_wrong_is_found(tmp_path: Path, text: str, words: str) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "m-f16.gguf")
    target = tmp_path / "out.gguf"
    with pytest.raises(CoheteError, match=words):
        quantize_with(str(tool(tmp_path, text)), read_model(source), "q4_k_m", target)
    assert list(tmp_path.glob("out*")) == []


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "m-f16.gguf")
    cancel = threading.Event()
    cancel.set()
    slow = tool(tmp_path, "#!/bin/sh\necho '[ 1/ 9]'; exec sleep 60\n")
    with pytest.raises(Cancelled):
        quantize_with(str(slow), read_model(source), "q6_k", tmp_path / "out.gguf", cancel=cancel)
    assert list(tmp_path.glob("out*")) == []


def test_the_command_uses_them(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "m-f16.gguf")
    given = str(tool(tmp_path, GOOD))
    argv = ("quantize", str(source), "--level", "q4_k_m", "--yes", "--json")
    code, out, err = run(*argv, "--tool", given)
    assert code == 0, err
    assert json.loads(out)["encoder"] == "llama-quantize"
    matrix = tmp_path / "m.imatrix"
    matrix.write_bytes(b"x")
    argv = ("quantize", str(source), "--level", "q4_0", "--yes", "--json")
    code, out, err = run(*argv, "--imatrix", str(matrix), "--tool", given)
    assert code == 0, err
    assert json.loads(out)["encoder"] == "llama-quantize"
    code, _, err = run(*argv, "--imatrix", str(matrix), "--tool", str(tmp_path / "none"))
    assert (code, "there is no such tool" in err) == (2, True)


def test_safetensors_go_through_the_converter_a_person_has(tmp_path: Path) -> None:
    whole = write(MODELS["tied-f16"], tmp_path / "whole.gguf")
    folder = tmp_path / "hf"
    folder.mkdir()
    code, _, err = run("quantize", str(folder), "--level", "q4_0", "--yes")
    assert (code, "no safetensors in it" in err) == (2, True)
    (folder / "model.safetensors").write_bytes(b"x")
    code, _, err = run("quantize", str(folder), "--level", "q4_0", "--yes")
    assert code == 2
    assert "safetensors are read through llama.cpp's converter" in err
    converter = tool(
        tmp_path,
        "import shutil, sys\nassert sys.argv[4:] == ['--outtype', 'f16']\n"
        f"shutil.copy({str(whole)!r}, sys.argv[3])\n",
        "convert_hf_to_gguf.py",
    )
    argv = ("quantize", str(folder), "--level", "q4_0", "--yes", "--tool", str(converter))
    code, out, err = run(*argv)
    assert code == 0, err
    assert (folder / "hf-q4_0.gguf").exists()
    assert "hf-q4_0.gguf" in out


def test_safetensors_are_converted_again_when_they_changed(tmp_path: Path) -> None:
    whole = write(MODELS["tied-f16"], tmp_path / "whole.gguf")
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    ran = tmp_path / "ran"
    converter = tool(
        tmp_path,
        f"import shutil, sys\nopen({str(ran)!r}, 'a').write('x')\n"
        f"shutil.copy({str(whole)!r}, sys.argv[3])\n",
        "convert_hf_to_gguf.py",
    )
    argv = ("quantize", str(folder), "--level", "q4_0", "--yes", "--tool", str(converter))
    assert run(*argv)[0] == 0
    code, _, err = run(*argv)
    assert (code, "converted from these files before" in err) == (0, True)
    assert ran.read_text() == "x"
    # Notes beside it are not what it was converted from.
    (folder / "report.json").write_text("{}")
    code, _, err = run(*argv, "--json")
    assert (code, "converted from" in err) == (0, False)
    assert ran.read_text() == "x"
    (folder / "model.safetensors").write_bytes(b"yy")
    write(MODELS["untied-f16"], whole)
    assert run(*argv)[0] == 0
    assert ran.read_text() == "xx"
    assert len(read_model(folder / "hf-q4_0.gguf").tensors) == len(read_model(whole).tensors)
    # One that somebody else put there is neither taken nor overwritten.
    made, note = folder / "hf-f16.gguf", folder / "hf-f16.gguf.sources.json"
    kept = note.read_bytes()
    write(MODELS["untied-bf16"], made)
    for noted in (kept, b"[]", b"{", b""):
        note.write_bytes(noted)
        code, _, err = run(*argv)
        assert (code, "not known to be of these safetensors" in err) == (2, True)
    note.unlink()
    code, _, err = run(*argv)
    assert (code, "not known to be of these safetensors" in err) == (2, True)
    assert len(read_model(made).tensors) > 0
    assert made.read_bytes() != whole.read_bytes()


def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CoheteError, match="llama-quantize is not installed"):
        find_tool("llama-quantize")
