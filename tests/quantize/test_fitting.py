"""What a model needs, and which level fits."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.memory.budget import PRESETS, MemoryBudget
from cohete.memory.footprint import KvType, Serving, footprint
from cohete.quantize.fitting import (
    Candidate,
    as_it_is,
    candidate_of_model,
    candidate_of_shape,
    candidate_of_size,
    fit,
    need,
    select_for_budget,
)
from cohete.quantize.gguf import GgufError, Pair, read_model, scalar_pair
from cohete.quantize.mixture import Recipe
from cohete.quantize.plan import plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.shapes import TABLE, named, shape_of, weights
from cohete.quantize.types import BEST_FIRST, Level
from tests.cli.test_commands import run
from tests.conftest import CORPUS
from tests.quantize.models import MODELS, Small, pairs_of, write
from tests.quantize.vocabulary import vocabulary_pairs

BUFFERS = CORPUS.parent / "models" / "llama-server-buffers.json"


@pytest.mark.claim("MM-03")
def test_never_below_what_llama_server_takes_and_hardly_above() -> None:
    if not BUFFERS.exists():
        pytest.skip("llama-server's figures are not beside this project (../shared/models)")
    rows = json.loads(BUFFERS.read_text())
    assert len(rows) >= 54
    for row in rows:
        extra = dict(zip(row["extra_args"][::2], row["extra_args"][1::2], strict=True))
        shape = named(row["model_name"])
        assert shape is not None, row
        serving = Serving(
            row["n_ctx"], int(extra.get("-np", 4)), False, int(extra.get("-ub", 512)),
            extra.get("-fa", "on") == "on", KvType(extra.get("-ctk", "f16")), gpu=False,
        )  # fmt: skip
        found = footprint(shape, serving, *weights(shape, Level.Q4_0), overhead_mib=0)
        assert found.weights_mib == pytest.approx(row["weights_mib"], abs=0.01), row
        assert found.kv_mib == pytest.approx(row["kv_mib"], abs=0.01), row
        assert found.output_mib == pytest.approx(row["output_mib"], abs=0.01), row
        assert found.compute_mib >= row["compute_mib"] - 0.01, row
        real = sum(row[key] for key in ("weights_mib", "kv_mib", "compute_mib", "output_mib"))
        assert real * 0.9999 <= found.total_mib <= real * 1.05, row
        # Nobody said how slots share their cache: never below either way.
        either = footprint(
            shape, replace(serving, split=None), *weights(shape, Level.Q4_0), overhead_mib=0
        )
        assert either.total_mib >= real * 0.9999


def test_published_sizes_of_whole_models() -> None:
    """Llama-3-8B in GiB as llama.cpp's README lists it, and the table of the levels in MiB."""
    shape = TABLE["llama-3.1-8b"]
    listed = {Level.Q4_0: 4.34, Level.Q4_1: 4.78, Level.Q5_0: 5.21, Level.Q5_1: 5.65,
              Level.Q8_0: 7.96}  # fmt: skip
    for level, gib in listed.items():
        assert weights(shape, level)[0] / 2**30 == pytest.approx(gib, abs=0.02)
    assert round(weights(TABLE["gemma-3-1b"], Level.Q4_0)[0] / 2**20) == 681
    assert round(weights(TABLE["qwen2.5-7b"], Level.F16)[0] / 2**20) == 14526


def test_a_tied_embedding_is_there_twice_on_a_gpu() -> None:
    shape = TABLE["qwen3-0.6b"]
    found = footprint(shape, Serving(4096), *weights(shape, Level.Q8_0))
    assert found.tied_copy_mib == pytest.approx(157.65, abs=0.01)
    assert (
        footprint(shape, Serving(4096, gpu=False), *weights(shape, Level.Q8_0)).tied_copy_mib == 0
    )
    assert (
        need(candidate_of_shape(TABLE["mistral-7b-v0.3"]), Level.Q4_0, Serving()).tied_copy_mib == 0
    )


def test_split_slots_have_windows_of_their_own() -> None:
    shape = TABLE["gemma-3-1b"]
    shared = footprint(shape, Serving(4096, 2, split=False), 0, 0)
    split = footprint(shape, Serving(4096, 2, split=True), 0, 0)
    assert split.kv_mib > shared.kv_mib
    either = footprint(shape, Serving(4096, 2), 0, 0)
    assert either.total_mib == max(shared.total_mib, split.total_mib)


@pytest.mark.claim("MQ-04", "MM-04")
def test_the_documented_example_for_the_right_reason() -> None:
    budget = MemoryBudget.preset("orin-nano-8gb")
    assert select_for_budget(14_000, budget) is Level.Q4_0
    found = fit(candidate_of_size(14_000), Serving(2048), budget.available_mb)
    totals = {row.level: row.need.total_mib for row in found.rows}
    assert totals[Level.Q4_0] < 5_559 < totals[Level.Q4_1]
    assert totals[Level.Q4_0] == pytest.approx(5_376, abs=2)
    assert totals[Level.Q4_1] == pytest.approx(5_785, abs=6)
    # Part of it is taken: then nothing fits, and it says so instead of taking the smallest.
    with budget.allocate(1_000, "another"):
        assert select_for_budget(14_000, budget) is None
    assert select_for_budget(26_000, budget) is None
    assert select_for_budget(14_000, MemoryBudget.preset("agx-orin-64gb")) is Level.F16


@pytest.mark.claim("MQ-04")
@given(st.sampled_from(sorted(TABLE)), st.floats(300, 60_000), st.integers(512, 32_768))
def test_the_best_that_fits_and_no_better_one_passed_over(
    name: str, available: float, context: int
) -> None:
    candidate = candidate_of_shape(TABLE[name])
    level = select_for_budget(candidate, available, context=context)
    totals = [need(candidate, each, Serving(context)).total_mib for each in BEST_FIRST]
    assert totals == sorted(totals, reverse=True)
    fitting = [each for each, total in zip(BEST_FIRST, totals, strict=True) if total <= available]
    assert level == (fitting[0] if fitting else None)


@pytest.mark.claim("MQ-04", "MM-04")
def test_what_would_help_does_help() -> None:
    candidate = candidate_of_shape(TABLE["llama-2-7b"])
    found = fit(candidate, Serving(4096, slots=1), 5_559)
    assert found.best is None
    assert found.advice[0].startswith("a packed cache")
    packed = fit(candidate, Serving(4096, kv_type=KvType.Q8_0), 5_559)
    assert packed.best is not None
    longest = next(text for text in found.advice if text.startswith("a context of at most"))
    tokens = int(longest.rsplit(" ", 1)[1])
    assert fit(candidate, Serving(tokens), 5_559).best is not None
    assert fit(candidate, Serving(tokens + 256), 5_559).best is None
    hopeless = fit(candidate, Serving(4096), 500)
    assert "MiB more" in hopeless.advice[0]
    assert all(row.longest is None for row in hopeless.rows)


def test_a_cache_that_llama_cpp_refuses_is_refused() -> None:
    shape = replace(TABLE["llama-3.2-1b"], key=80, value=80)
    found = fit(candidate_of_shape(shape), Serving(kv_type=KvType.Q8_0), 1e6)
    assert found.best is None
    assert "32 divides" in found.advice[0]
    off = Serving(kv_type=KvType.Q8_0, flash_attention=False)
    assert "flash attention" in fit(candidate_of_shape(TABLE["llama-3.2-1b"]), off, 1e6).advice[0]


def test_sizes_only_are_taken_for_the_neediest_of_their_kind() -> None:
    seven = candidate_of_size(14_000)
    assert seven.shape.name == "llama-2-7b"
    assert seven.parameters == pytest.approx(7.0e9, rel=0.001)
    for bad in (0, -1, 1e9):
        with pytest.raises(ValueError, match="cannot be"):
            candidate_of_size(bad)


@pytest.mark.claim("MQ-03", "MM-03")
@pytest.mark.parametrize("name", ["untied-f16", "tied-f16", "rows-of-96"])
def test_a_header_is_enough(name: str, tmp_path: Path) -> None:
    small = MODELS[name]
    pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
    path = write(small, tmp_path / "m.gguf", pairs)
    model = read_model(path)
    candidate = candidate_of_model(model)
    assert candidate.shape == shape_of(model)
    assert (candidate.shape.vocabulary, candidate.shape.is_tied) == (small.vocabulary, small.tied)
    for level in Level:
        plan = plan_model(model, Recipe(level))
        Quantizer(plan, tmp_path / "out.gguf").run()
        made = as_it_is(fit(candidate_of_model(read_model(tmp_path / "out.gguf")), Serving(), 1e6))
        wanted = need(candidate, level, Serving())
        assert made.need == wanted
    assert not candidate_of_model(read_model(tmp_path / "out.gguf")).is_plain or level is Level.F16


def array_pair(*values: int) -> Pair:
    return Pair(struct.pack(f"<IIQ{len(values)}I", 9, 4, len(values), *values), count=len(values))


@pytest.mark.parametrize(
    ("keys", "compute_mib", "kv_mib"),
    [
        # With flash attention; but for the shared experts and the uneven caches as llama.cpp's own
        # log has them for these shapes, plus 64 KiB.
        ({"feed_forward_length": 1536, "expert_count": 4, "expert_used_count": 2}, 24.06, 4.0),
        ({"feed_forward_length": 512, "expert_count": 8, "expert_used_count": 4}, 18.06, 4.0),
        ({"feed_forward_length": 128, "expert_count": 8, "expert_used_count": 4}, 10.06, 4.0),
        ({"feed_forward_length": 64, "expert_count": 8, "expert_used_count": 8,
          "expert_feed_forward_length": 256, "expert_shared_count": 2}, 21.06, 4.0),
        ({"feed_forward_length": [2048, 8192, 2048, 64]}, 54.06, 4.0),
        ({"feed_forward_length": 8192, "attention.head_count_kv": [8, 2, 1, 1]}, 54.06, 6.0),
        # Recurrent layers keep a state for each slot: (4 - 1) * (1024 + 2 * 1 * 128) + 128 * 1024
        # numbers; of one whose state is not known it is as much as another layer has.
        ({"feed_forward_length": 8192, "attention.head_count_kv": [2, 2, 0, 0],
          "ssm.conv_kernel": 4, "ssm.inner_size": 1024, "ssm.state_size": 128,
          "ssm.group_count": 1}, 54.06, 2 + 2 * 4 * 134_912 / 2**20),
        ({"feed_forward_length": 8192, "attention.head_count_kv": [2, 2, 2, 0],
          "shortconv.l_cache": 3}, 54.06, 3 + 4 * 2 * 512 / 2**20),
        ({"feed_forward_length": 8192, "attention.head_count_kv": [2, 2, 0, 0]}, 54.06, 4.0),
        # One expert is none; where nothing says how many are used it may be all.
        ({"feed_forward_length": 8192, "expert_count": 1}, 54.06, 4.0),
        ({"feed_forward_length": 1536, "expert_count": 2}, 24.06, 4.0),
    ],
)  # fmt: skip
def test_experts_and_layers_that_differ(
    keys: dict[str, int | list[int]], compute_mib: float, kv_mib: float, tmp_path: Path
) -> None:
    small = Small("odd", embedding=512, vocabulary=512, layers=4, heads=8, kv_heads=2)
    odd = {
        f"llama.{key}": scalar_pair(value) if isinstance(value, int) else array_pair(*value)
        for key, value in keys.items()
    }
    model = read_model(write(small, tmp_path / "m.gguf", pairs_of(small) | odd))
    serving = Serving(2048, gpu=False)
    found = need(candidate_of_model(model), Level.F16, serving)
    assert found.compute_mib == pytest.approx(compute_mib, abs=0.01)
    assert found.kv_mib == kv_mib
    on_gpu = need(candidate_of_model(model), Level.F16, replace(serving, gpu=True))
    # Masks of 6 bytes a token, and what goes in: 512 of each at once.
    assert on_gpu.compute_mib - found.compute_mib == (6 * 2048 + 4 * 512) * 512 / 2**20


def test_layers_that_do_not_add_up_are_said(tmp_path: Path) -> None:
    small = MODELS["tied-f16"]
    pairs = pairs_of(small) | {"llama.attention.head_count_kv": array_pair(2, 2, 2)}
    with pytest.raises(GgufError, match="of 3 layers, and 2 layers"):
        candidate_of_model(read_model(write(small, tmp_path / "m.gguf", pairs)))


def test_a_header_without_a_shape_is_said(tmp_path: Path) -> None:
    small = MODELS["tied-f16"]
    pairs = pairs_of(small)
    del pairs["llama.attention.head_count"]
    with pytest.raises(GgufError, match=r"does not tell llama.attention.head_count"):
        candidate_of_model(read_model(write(small, tmp_path / "m.gguf", pairs)))


@pytest.mark.parametrize(
    "text",
    ["llama-3.2-1b", "Llama 3.2 1B Instruct", "qwen3:0.6b", "Qwen2.5-7B-Instruct", "phi 4 mini"],
)
def test_names_as_people_write_them(text: str) -> None:
    assert named(text) is not None


def test_the_command(tmp_path: Path) -> None:
    code, out, err = run("fit", "14000MB", "--preset", "orin-nano-8gb")
    assert (code, err) == (0, "")
    assert "q4_0 fits" in out
    found = json.loads(run("fit", "llama-3.2-1b", "--memory", "2000", "--json")[1])
    assert found["level"] == found["best"] == "q5_1"
    parts = ("weights_mib", "kv_mib", "compute_mib", "output_mib", "tied_copy_mib", "overhead_mib")
    assert sum(found[part] for part in parts) == pytest.approx(found["total_mib"], abs=0.01)
    assert (found["available_mib"], found["fits"]) == (2000, True)
    assert [row["level"] for row in found["levels"]] == [level.value for level in BEST_FIRST]
    code, out, _ = run("fit", "llama-2-7b", "--memory", "500")
    assert code == 1
    assert "What would help" in out
    small = MODELS["tied-f16"]
    pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
    path = write(small, tmp_path / "m.gguf", pairs)
    found = json.loads(run("fit", str(path), "--json")[1])
    assert (found["level"], found["fits"]) == ("as it is", None)
    for argv, words in (
        (["nothing"], "no file, no model"),
        (["llama-3.2-1b", "--level", "q3"], "no level"),
        (["llama-3.2-1b", "--preset", "x"], "no module"),
    ):
        code, _, err = run("fit", *argv)
        assert code == 2
        assert words in err


def test_every_preset_fits_something() -> None:
    one = candidate_of_shape(TABLE["llama-3.2-1b"])
    for name in PRESETS:
        assert select_for_budget(one, MemoryBudget.preset(name)) is not None
    assert isinstance(one, Candidate)
