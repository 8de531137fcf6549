"""The layers of each architecture that is known here do what llama.cpp's do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cohete.quantize import choosing
from cohete.quantize.forward import FAMILIES, Forward, Past
from cohete.quantize.gguf import read_model
from cohete.quantize.mixture import Recipe
from cohete.quantize.perplexity import CONTEXT, divergence_of, measure
from cohete.quantize.plan import plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.types import Encoder, Level
from tests.quantize.families import write
from tests.quantize.test_quality import MODEL, TOKENS, pytestmark

__all__ = ["pytestmark"]

FOUND = [
    ("llama", True, 6723.97), ("qwen2", True, 6119.44), ("qwen3", True, 8062.13),
    ("phi3", True, 8337.44), ("gemma2", True, 11742.10), ("gemma3", True, 527810471.0),
    ("gptneox", True, 12271.43), ("gptneox", False, 11970.83),
]  # fmt: skip
"""What llama-perplexity says of the same models over 12 chunks of 256 tokens of the text."""


def test_all_that_are_known_are_here() -> None:
    assert {arch for arch, *_ in FOUND} == FAMILIES


@pytest.mark.parametrize(("arch", "is_parallel", "found"), FOUND)
def test_perplexity_of_each_family_is_what_llama_cpp_says(
    tmp_path: Path, arch: str, found: float, *, is_parallel: bool
) -> None:
    path = write(arch, tmp_path / "m.gguf", MODEL, is_parallel=is_parallel)
    tokens = np.asarray(np.load(TOKENS), np.int64)[: 12 * CONTEXT]
    assert measure(path, path, tokens).base == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("arch", ["gemma2", "gemma3", "gptneox", "phi3"])
def test_each_family_goes_on_from_where_it_was(tmp_path: Path, arch: str) -> None:
    source = Forward(write(arch, tmp_path / "m.gguf", MODEL))
    tokens = np.asarray(np.load(TOKENS), np.int64)[: 2 * 192].reshape(2, 192)
    past = Past(source.shape, 2, 192)
    parts = [source.log_probabilities(tokens[:, at : at + 48], past=past)
             for at in range(0, 192, 48)]  # fmt: skip
    whole = np.stack([source.log_probabilities(each) for each in tokens])
    assert np.concatenate(parts, axis=1) == pytest.approx(whole, abs=5e-3)


@pytest.mark.parametrize("arch", sorted(FAMILIES))
def test_the_columns_of_each_family_are_weighed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arch: str
) -> None:
    path = write(arch, tmp_path / "m.gguf", MODEL)
    tokens = np.asarray(np.load(TOKENS), np.int64)[: 8 * 128].reshape(8, 128)
    wanted = Forward(path).log_probabilities(tokens)
    with monkeypatch.context() as patch:
        patch.setattr("cohete.quantize.forward.MAX_NUMBERS", 1000)
        weighed = choosing.try_out(
            plan_model(read_model(path), Recipe(Level.Q4_1, pure=True), by_search=True)
        )
    lookups = {"token_embd.weight"} if "gemma" not in arch else set()
    open_ = {each.name for each in weighed.outputs if each.has_choice}
    assert {each.name for each in weighed.outputs if each.encoder is Encoder.WEIGHED} == (
        open_ - lookups
    )
    lost = []
    for plan in (plan_model(read_model(path), Recipe(Level.Q4_1, pure=True)), weighed):
        out = tmp_path / "out.gguf"
        Quantizer(plan, out).run()
        lost.append(divergence_of(wanted, Forward(out).log_probabilities(tokens)))
    assert lost[1] < lost[0]
