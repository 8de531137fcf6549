"""What is lost, measured: perplexity of a small trained model at every level; reports."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cohete.errors import CoheteError
from cohete.quantize.forward import Forward, shape_here
from cohete.quantize.gguf import GgufError, read_model, scalar_pair
from cohete.quantize.measuring import measured_change, text_of
from cohete.quantize.mixture import EMBEDDING, Recipe
from cohete.quantize.perplexity import CONTEXT, Measured, measure
from cohete.quantize.plan import plan_model
from cohete.quantize.quality import published
from cohete.quantize.report import as_json, as_text, read_report, report_of
from cohete.quantize.run import Quantizer
from cohete.quantize.sizing import header_bytes_of, sized_for
from cohete.quantize.tokens import tokenizer_of
from cohete.quantize.types import Level, TensorType
from tests.cli.test_commands import run
from tests.conftest import CORPUS
from tests.quantize.models import MODELS, write

MODEL = CORPUS.parent / "models" / "tiny-llama-f16.gguf"
TEXT = MODEL.with_name("tiny-llama-heldout.txt")
TOKENS = MODEL.with_name("tiny-llama-heldout-tokens.npy")
pytestmark = pytest.mark.skipif(
    not MODEL.exists(),
    reason="the small trained model is not beside this project (../shared/models)",
)
SCORED = 40 * CONTEXT


def tokens() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.asarray(np.load(TOKENS)[:SCORED], np.int64)


def measured(folder: Path, level: Level, *, by_search: bool = False) -> Measured:
    path = folder / f"{level}.gguf"
    Quantizer(plan_model(read_model(MODEL), Recipe(level), by_search=by_search), path).run()
    return measure(MODEL, path, tokens())


def test_perplexity_is_what_llama_cpp_says(tmp_path: Path) -> None:
    path = tmp_path / "q4_0.gguf"
    Quantizer(plan_model(read_model(MODEL), Recipe(Level.Q4_0)), path).run()
    found = measure(MODEL, path, np.asarray(np.load(TOKENS), np.int64))
    assert found.base == pytest.approx(1.565, abs=0.001)
    assert found.percent == pytest.approx(0.33, abs=0.03)
    assert found.divergence == pytest.approx(0.00277, abs=0.0001)


@pytest.mark.claim("MQ-02")
def test_levels_lose_in_order_and_within_their_limits(tmp_path: Path) -> None:
    found = {level: measured(tmp_path, level) for level in Level}
    order = (Level.F16, Level.Q8_0, Level.Q5_1, Level.Q5_0, Level.Q4_1, Level.Q4_0)
    lost = [found[level].divergence for level in order]
    assert lost == sorted(lost)
    assert found[Level.Q4_0].percent < 5
    assert abs(found[Level.Q8_0].percent) < 1
    assert found[Level.F16].percent == pytest.approx(0, abs=1e-6)


@pytest.mark.claim("MQ-02")
def test_a_search_predicts_more_like_the_source(tmp_path: Path) -> None:
    for level in (Level.Q4_1, Level.Q5_0):
        plain = measured(tmp_path, level)
        assert measured(tmp_path, level, by_search=True).divergence < plain.divergence


def test_tokens_are_the_reference_s() -> None:
    tokenizer = tokenizer_of(read_model(MODEL))
    wanted = np.load(TOKENS).tolist()
    assert tokenizer.encode(TEXT.read_text()) == wanted
    # What is in no piece becomes its bytes.
    letters = tokenizer.encode("ß")
    assert len(letters) == 4
    assert letters[0] == 1
    assert tokenizer.encode("") == [1]


@pytest.mark.claim("MQ-08")
def test_a_report_has_what_was_measured(tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    argv = ["quantize", str(MODEL), "--level", "q4_0", "-o", str(target), "--yes", "--json"]
    code, out, err = run(*argv, "--text", str(TEXT))
    assert code == 0, err
    report = json.loads(out)
    assert report["perplexity"]["how"] == "measured"
    assert report["perplexity"]["percent"] == pytest.approx(0.33, abs=0.03)
    assert report["bytes"] == target.stat().st_size
    assert report["ratio"] == pytest.approx(MODEL.stat().st_size / report["bytes"])
    worst = [each["relative_error"] for each in report["worst"]]
    assert worst == sorted(worst, reverse=True)
    assert 0.05 < worst[0] < 0.15
    assert report["warnings"] == []
    assert [json.loads(line)["step"] for line in err.splitlines()][-1] == "checking"
    page, kept = tmp_path / "report.txt", tmp_path / "report.json"
    for file in (page, kept):
        assert run(*argv, "--report", str(file))[0] == 0
    assert "lost most, of their own size:" in page.read_text()
    assert json.loads(kept.read_text())["bytes"] == report["bytes"]
    code, _, err = run(*argv, "--report", str(tmp_path / "none" / "x.txt"))
    assert (code, "its report cannot be written" in err) == (2, True)
    # Nothing was published of this model: then nothing is said of it.
    report = json.loads(run(*argv, "--replace")[1])
    assert report["perplexity"]["how"] == "not measured"
    assert report["perplexity"]["percent"] is None
    assert report["reused_bytes"] > 0


@pytest.mark.claim("MQ-08")
def test_figures_have_their_source_and_are_no_measurement() -> None:
    found = published("Llama-3.1-8B", Level.Q4_0)
    assert found is not None
    assert (found.percent, found.model, found.is_measured) == (7.5, "Llama-3 8B", False)
    assert published("Llama-3.1-8B", Level.F16) is None
    assert published("somebody's model", Level.Q4_0) is None
    guess = published("somebody's model", Level.Q4_0, guess=True)
    assert guess is not None
    assert "published for Llama-3 8B" in guess.words


def test_what_cannot_be_measured_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(MODELS["tied-f16"], tmp_path / "m.gguf")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    change = measured_change(path, path, text_of(TEXT))
    assert change.how == "not measured"
    assert "its tokenizer (none) needs rules" in change.source
    assert "llama-perplexity is not installed" in change.source
    short = tmp_path / "short.txt"
    short.write_text("in the evening")
    assert "at least 256 tokens" in measured_change(MODEL, MODEL, text_of(short)).source
    with pytest.raises(CoheteError, match="cannot be read as text"):
        measured_change(MODEL, MODEL, text_of(tmp_path / "none.txt"))
    monkeypatch.setattr("cohete.quantize.forward.MAX_NUMBERS", 1000)
    with pytest.raises(GgufError, match="more than"):
        Forward(MODEL)


def test_an_installed_tool_is_asked_where_numpy_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(MODELS["tied-f16"], tmp_path / "m.gguf")
    tool = tmp_path / "llama-perplexity"
    tool.write_text(
        '#!/bin/sh\ncase "$2" in *m.gguf) echo "Final estimate: PPL = 6.0000 +/- 0.03";;\n'
        '*) echo "Final estimate: PPL = 6.3000 +/- 0.03" >&2;; esac\n'
    )
    tool.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(tool))
    change = measured_change(path, tmp_path / "q.gguf", text_of(TEXT))
    assert (change.how, change.source) == ("measured", "llama-perplexity")
    assert change.percent == pytest.approx(5.0)
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert "gave no estimate" in measured_change(path, path, text_of(TEXT)).source


@pytest.mark.parametrize("share", [0.33, 0.36, 0.40, 0.55, 1.1])
def test_a_size_is_kept_and_used(share: float, tmp_path: Path) -> None:
    model = read_model(MODEL)
    budget = int(MODEL.stat().st_size * share)
    sized = sized_for(model, budget - header_bytes_of(model), by_search=True)
    plan = plan_model(model, Recipe(sized.level), by_search=True, chosen=sized.types)
    path = tmp_path / "out.gguf"
    Quantizer(plan, path).run()
    assert path.stat().st_size <= budget
    if share < 1:
        assert path.stat().st_size > 0.9 * budget


def test_a_mix_loses_less_than_a_mixture_of_the_same_size(tmp_path: Path) -> None:
    model = read_model(MODEL)
    for level in (Level.Q4_0, Level.Q4_1):
        plan = plan_model(model, Recipe(level))
        sized = sized_for(model, sum(each.bytes for each in plan.outputs), by_search=True)
        mixed = plan_model(model, Recipe(sized.level), by_search=True, chosen=sized.types)
        assert mixed.file_bytes <= plan.file_bytes
        path = tmp_path / "mixed.gguf"
        Quantizer(mixed, path).run()
        found = measure(MODEL, path, tokens())
        assert found.divergence < measured(tmp_path, level).divergence


def test_an_embedding_that_decides_is_not_put_below_its_floor() -> None:
    model = read_model(MODEL)
    least = sum(tensor.numbers for tensor in model.tensors) * 0.65
    sized = sized_for(model, int(least), by_search=True)
    assert sized.types[EMBEDDING].bits >= TensorType.Q5_0.bits
    with pytest.raises(CoheteError, match="it needs at least"):
        sized_for(model, 1000)
    code, _, err = run("quantize", str(MODEL), "--fit", "0.01", "--yes")
    assert code == 2
    assert "it needs at least" in err


def test_a_divergence_that_is_no_number_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a token that is never used has a prediction beyond all numbers."""
    odd = Measured(base=2.0, found=2.1, divergence=float("nan"), tokens=300)
    monkeypatch.setattr("cohete.quantize.perplexity.measure", lambda *_: odd)
    change = measured_change(MODEL, MODEL, text_of(TEXT))
    assert (change.how, change.divergence) == ("measured", None)
    outcome = Quantizer(
        plan_model(read_model(MODEL), Recipe(Level.Q8_0)), tmp_path / "o.gguf"
    ).run()
    report = report_of(outcome, tmp_path / "o.gguf", change)
    assert json.loads(as_json(report))["perplexity"]["divergence"] is None
    assert read_report(json.loads(as_json(report))) == report


def test_what_was_looked_at_first_is_told_beside_the_speed(tmp_path: Path) -> None:
    plan = plan_model(read_model(MODEL), Recipe(Level.Q8_0))
    outcome = Quantizer(plan, tmp_path / "o.gguf", refine=lambda plan: plan).run()
    assert outcome.choosing_s > 0
    found = report_of(
        replace(outcome, choosing_s=12.34, reused_bytes=2_000_000, resumed_bytes=1_234),
        tmp_path / "o.gguf",
    )
    text = as_text(found)
    assert "12.3 s before it" in text
    assert "2.0 MB (" in text
    assert "1.2 kB were there from a run that was killed" in text
    assert read_report(json.loads(as_json(found))) == found
    assert "before it" not in as_text(replace(found, choosing_s=0.0))


def test_what_fit_needs_is_what_it_takes(tmp_path: Path) -> None:
    argv = ("quantize", str(MODEL), "-o", str(tmp_path / "o.gguf"), "--yes", "--fit")
    code, _, err = run(*argv, "0.1")
    assert code == 2
    assert "0.10 MB are given" in err
    match = re.search(r"needs at least ([0-9.]+) MB", err)
    assert match is not None
    assert run(*argv, match[1])[0] == 0
    assert (tmp_path / "o.gguf").stat().st_size <= float(match[1]) * 1e6


def test_a_header_that_lies_about_heads_is_not_worked_out() -> None:
    model = read_model(MODEL)
    pairs = {**model.pairs, "llama.attention.key_length": scalar_pair(1 << 30)}
    with pytest.raises(GgufError, match="attn_q is not of the shape"):
        shape_here(replace(model, pairs=pairs))
