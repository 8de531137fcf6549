"""What a report says of a file, and what it does not claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cohete.quantize.gguf import read_model, text_pair
from cohete.quantize.mixture import Recipe, parse_rule
from cohete.quantize.plan import Plan, plan_model
from cohete.quantize.quality import published
from cohete.quantize.report import PerplexityChange, report_of
from cohete.quantize.run import Quantizer
from cohete.quantize.types import Level
from tests.quantize.models import MODELS, Small, pairs_of, write


@pytest.mark.parametrize("name", ["Llama 3 8B", "Meta-Llama-3-8B", "Meta Llama 3.1 8B"])
def test_what_is_published_is_told_of_what_was_made_like_it_only(name: str, tmp_path: Path) -> None:
    def change(plan: Plan) -> PerplexityChange:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.gguf"
        return report_of(Quantizer(plan, path).run(), path).perplexity

    small = MODELS["tied-f16"]
    model = write(small, tmp_path / "m.gguf", pairs_of(small) | {"general.name": text_pair(name)})
    q4_0, q8_0 = Recipe(Level.Q4_0), Recipe(Level.Q8_0)
    found = change(plan_model(read_model(model), q8_0))
    assert (found.how, found.percent) == ("published", 0.04)
    Quantizer(plan_model(read_model(model), q4_0), tmp_path / "small.gguf").run()
    others = [
        change(plan_model(read_model(model), replace(q8_0, rules=(parse_rule("re:blk=q4_0"),)))),
        change(plan_model(read_model(model), replace(q4_0, pure=True))),
        change(plan_model(read_model(model), q4_0, by_search=True)),
        change(plan_model(read_model(tmp_path / "small.gguf"), q8_0, again=True)),
    ]
    assert {each.how for each in others} == {"not measured"}
    assert all("of the level's own mixture" in each.source for each in others)


def test_a_chat_model_is_not_the_one_figures_were_published_of() -> None:
    assert published("Meta Llama 3 8B Instruct", Level.Q4_0) is None
    assert published("Llama-2-7b-hf", Level.Q4_0) == published("llama 2 7b", Level.Q4_0)
    assert published("llama 2 7b", Level.Q4_0) is not None


def test_a_level_that_changes_nothing_is_told(tmp_path: Path) -> None:
    small = Small("odd", embedding=48, feed_forward=112, heads=3, kv_heads=1)
    plan = plan_model(read_model(write(small, tmp_path / "m.gguf")), Recipe(Level.Q4_0))
    report = report_of(Quantizer(plan, tmp_path / "o.gguf").run(), tmp_path / "o.gguf")
    assert report.warnings[0].startswith(
        "no tensor of it became smaller; rows that 32 does not divide"
    )
