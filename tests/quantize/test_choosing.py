"""Encoders that are tried out: on what a model writes by itself, within bounds, once."""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohete.errors import CoheteError
from cohete.quantize import choosing, trials
from cohete.quantize.forward import Forward, Past
from cohete.quantize.gguf import read_model
from cohete.quantize.lanes import NotFinite
from cohete.quantize.manifest import manifest_path, read_manifest
from cohete.quantize.measuring import why_not
from cohete.quantize.mixture import Recipe
from cohete.quantize.owntext import own_text
from cohete.quantize.perplexity import CONTEXT, divergence_of, measure
from cohete.quantize.plan import Plan, plan_model
from cohete.quantize.pool import Cancelled
from cohete.quantize.report import as_text, report_of
from cohete.quantize.run import Outcome, Quantizer
from cohete.quantize.types import Encoder, Level, TensorType
from cohete.quantize.weighing import weighed
from tests.cli.test_commands import run
from tests.quantize.models import MODELS, write
from tests.quantize.test_quality import MODEL, TEXT, TOKENS, pytestmark, tokens

__all__ = ["pytestmark"]


@pytest.mark.parametrize("level", [Level.Q4_0, Level.Q4_1, Level.Q5_0, Level.Q5_1])
def test_encoders_that_were_tried_out_predict_better(tmp_path: Path, level: Level) -> None:
    plan = weighed(plan_model(read_model(MODEL), Recipe(level), by_search=True))
    told: list[float] = []
    choice = choosing.choose(plan, 2, told.append)
    tensors = [each.name for each in plan.outputs if each.type is level.type]
    assert sorted(choice.encoders) == sorted(tensors)
    assert len(set(choice.encoders.values())) > 1
    assert choice.after < choice.before
    assert told == sorted(told)
    assert told[0] < 0.01
    assert told[-1] == pytest.approx(1)
    paths = [tmp_path / f"{nth}.gguf" for nth in range(3)]
    plain = plan_model(read_model(MODEL), Recipe(level))
    plans = (plain, plan, choosing.chosen(plan, choice.encoders))
    made = [Quantizer(each, path).run() for each, path in zip(plans, paths, strict=True)]
    reference, _, best = (measure(MODEL, path, tokens()).divergence for path in paths)
    assert best < reference
    # What was tried is what is made.
    one, other = Forward(MODEL), Forward(paths[2])
    written = own_text(one, trials.MOST_CHUNKS, CONTEXT)
    lost = sum(divergence_of(one.predictions(each), other.predictions(each)) for each in written)
    assert choice.tokens == written.size
    assert choice.after == pytest.approx(lost / written.size, rel=1e-4)
    encoders = [each.manifest.encoder for each in made]
    assert encoders[:2] == ["reference-2", "search-weighed-1"]
    assert encoders[2] == "chosen"
    noted = {each.name: each.encoder for each in made[2].manifest.tensors}
    assert noted[tensors[0]].startswith(choice.encoders[tensors[0]])


def test_the_choice_is_the_same_with_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "MOST_CHUNKS", 4)
    plan = plan_model(read_model(MODEL), Recipe(Level.Q5_0), by_search=True)
    assert choosing.choose(plan, 1) == choosing.choose(plan, 3)


def test_what_a_model_writes_is_what_it_expects() -> None:
    source = Forward(MODEL)
    written = own_text(source, 6, CONTEXT)
    assert written.shape == (6, CONTEXT)
    assert (written[:, 0] == source.model.number("tokenizer.ggml.bos_token_id")).all()
    assert (written == own_text(source, 6, CONTEXT)).all()
    places = np.arange(CONTEXT - 1)
    lost = [-source.predictions(each)[places, each[1:]].mean() for each in written]
    # Of 400 tokens: a text that it was not trained on has some 1.6.
    assert np.exp(np.mean(lost)) < 3


def test_a_model_may_go_on_from_where_it_was() -> None:
    source = Forward(MODEL)
    tokens = np.asarray(np.load(TOKENS), np.int64)[: 2 * CONTEXT].reshape(2, CONTEXT)
    past = Past(source.shape, 2, CONTEXT)
    parts = [source.log_probabilities(tokens[:, at : at + 64], past=past)
             for at in range(0, CONTEXT, 64)]  # fmt: skip
    whole = np.stack([source.log_probabilities(each) for each in tokens])
    assert np.concatenate(parts, axis=1) == pytest.approx(whole, abs=1e-3)


def test_a_chosen_file_is_made_again_only_where_the_choice_changed(tmp_path: Path) -> None:
    plan = plan_model(read_model(MODEL), Recipe(Level.Q4_1), by_search=True)
    names = [each.name for each in plan.outputs if each.type is TensorType.Q4_1]
    path = tmp_path / "q.gguf"

    def make(encoders: dict[str, Encoder]) -> tuple[bytes, int]:
        outcome = Quantizer(choosing.chosen(plan, encoders), path).run()
        return path.read_bytes(), outcome.reused_bytes

    all_other = dict.fromkeys(names, Encoder.SEARCH)
    near, _ = make(all_other)
    again, reused = make(all_other)
    assert again == near
    assert reused == sum(each.bytes for each in plan.outputs)
    changed = plan.outputs[[each.name for each in plan.outputs].index(names[0])]
    mixed, reused = make({**all_other, names[0]: Encoder.REFERENCE})
    assert mixed != near
    assert reused == sum(each.bytes for each in plan.outputs) - changed.bytes


def test_what_was_tried_out_once_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MOST_CHUNKS", 4)
    source = Path(shutil.copy(MODEL, tmp_path / "m-f16.gguf"))
    source.chmod(0o600)
    path = tmp_path / "q.gguf"
    tried: list[Plan] = []
    choose = choosing.choose

    def counted(plan: Plan, *rest: Any) -> choosing.Choice:
        tried.append(plan)
        return choose(plan, *rest)

    monkeypatch.setattr(choosing, "choose", counted)

    def make(level: Level = Level.Q4_0) -> Outcome:
        plan = plan_model(read_model(source), Recipe(level), by_search=True)
        return Quantizer(choosing.try_out(plan, read_manifest(path)), path).run()

    first = make()
    again = make()
    assert len(tried) == 1
    assert (again.manifest.tensors, again.manifest.choice) == (
        first.manifest.tensors, first.manifest.choice
    )  # fmt: skip
    assert again.reused_bytes == sum(each.bytes for each in tried[0].outputs)
    assert "tokens that the model wrote by itself" in report_of(again, path).choice
    # Another level, another source, another search: it is decided anew.
    make(Level.Q5_0)
    make()
    assert len(tried) == 3
    with source.open("r+b") as file:
        file.seek(tried[0].outputs[0].source.offset)
        file.write(b"\0\0")
    make()
    assert len(tried) == 4
    monkeypatch.setattr(choosing, "USUAL_WORK", trials.USUAL_WORK / 2)
    make()
    assert len(tried) == 5


def test_why_nothing_is_tried_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_model(read_model(MODEL), Recipe(Level.Q4_0), by_search=True)
    for name, limit, why in (
        ("trials.MOST_WORK", 1e9, "to try each of its tensors would take too long"),
        ("trials.ROOM_BYTES", 1e5, "its predictions would take too much memory"),
        ("forward.MAX_NUMBERS", 1000, "it has more than"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"cohete.quantize.{name}", limit)
            found = choosing.try_out(plan)
        assert found.outputs == weighed(plan).outputs != plan.outputs
        assert found.choice_of == ""
        assert found.choice.startswith(choosing.WEIGHED_WORDS)
        assert f"; none tried out: {why}" in found.choice.replace("it cannot be worked out: ", "")


def test_the_command_says_how_it_chose_and_measures_on_the_text(tmp_path: Path) -> None:
    path = tmp_path / "q.gguf"
    code, out, err = run("quantize", str(MODEL), "--level", "q5_0", "--quality",
               "--text", str(TEXT), "-o", str(path), "-y")  # fmt: skip
    assert code == 0, err
    assert "measured (26035 tokens, context 256)" in out
    assert re.search(r"encoders: \d+ reference, .*chosen on 8192 tokens that the model wrote", out)


def test_where_there_is_no_choice_nothing_is_tried_out(tmp_path: Path) -> None:
    plan = plan_model(read_model(MODEL), Recipe(Level.Q8_0), by_search=True)
    assert choosing.try_out(plan) is plan
    first = tmp_path / "q.gguf"
    Quantizer(plan_model(read_model(MODEL), Recipe(Level.Q4_0)), first).run()
    again = plan_model(read_model(first), Recipe(Level.Q4_0), by_search=True, again=True)
    # What is only copied was made by no search.
    assert {each.encoder for each in again.outputs} == {Encoder.REFERENCE}
    assert choosing.try_out(again) is again


def test_what_a_model_would_take_bounds_what_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Forward(MODEL)
    cost = trials.cost_of(source)
    work = cost.work(0)
    assert cost.work(-1) == work > cost.work(1) > cost.head_work
    assert cost.chunks(work) == trials.MOST_CHUNKS
    assert cost.chunks(trials.MOST_WORK / trials.LEAST_CHUNKS) == trials.LEAST_CHUNKS
    assert cost.threads(trials.MOST_CHUNKS) > 4
    monkeypatch.setattr(trials, "ROOM_BYTES", cost.fixed_bytes + 2.5 * cost.thread_bytes)
    assert cost.threads(0) == 2
    assert cost.chunks(work) < trials.MOST_CHUNKS


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"heads": 1 << 20}, "too long|too much memory"),
        ({"layers": 1 << 30}, "too long|too much memory"),
        ({"key": 1 << 40}, "too long|too much memory"),
    ],
)
def test_a_header_that_lies_takes_neither_time_nor_memory(what: dict[str, int], why: str) -> None:
    source = Forward(MODEL)
    source.shape = replace(source.shape, **what)  # type: ignore[arg-type]
    plan = plan_model(read_model(MODEL), Recipe(Level.Q4_0), by_search=True)
    with pytest.raises(ValueError, match=why):
        trials.Trials(source, plan, lambda share: None)


def test_tensors_that_disagree_are_not_tried() -> None:
    source = Forward(MODEL)
    source.weights["output.weight"] = np.zeros((20_000, 64), np.float32)
    with pytest.raises(ValueError, match="disagree on how many tokens"):
        trials.cost_of(source)


def test_a_manifest_says_nothing_to_a_terminal(tmp_path: Path) -> None:
    path, plan = tmp_path / "q.gguf", plan_of(tmp_path)
    Quantizer(choosing.try_out(plan), path).run()
    made = manifest_path(path)
    text = made.read_text()
    made.write_text(
        re.sub(r'"choice": "[^"]*"', '"choice": "\\\\u001b[2Jchosen\\\\nblake3 0"', text)
    )
    before = read_manifest(path)
    assert before is not None
    assert before.choice.startswith("\x1b[2J")
    again = choosing.try_out(plan, before)
    assert again.choice.isprintable()
    outcome = Quantizer(again, path).run()
    assert "\x1b" not in as_text(report_of(outcome, path))
    assert (
        sum(line.startswith("blake3") for line in as_text(report_of(outcome, path)).splitlines())
        == 1
    )


def test_a_manifest_that_lacks_something_is_not_gone_by(tmp_path: Path) -> None:
    path, plan = tmp_path / "q.gguf", plan_of(tmp_path)
    first = choosing.try_out(plan)
    Quantizer(first, path).run()
    before = read_manifest(path)
    assert before is not None
    odd = replace(before, tensors=before.tensors[:-1], encoder="from-elsewhere")
    again = choosing.try_out(plan, odd)
    assert [each.encoder for each in again.outputs] == [each.encoder for each in first.outputs]
    assert "that the model wrote by itself" in again.choice


def test_where_nothing_can_be_written_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tried: list[Plan] = []

    def refine(plan: Plan) -> Plan:
        tried.append(plan)
        return plan

    plan = plan_of(tmp_path)
    with pytest.raises(CoheteError):
        Quantizer(plan, tmp_path / "file" / "q.gguf", refine=refine).run()
    assert not tried
    Quantizer(plan, tmp_path / "q.gguf", refine=refine).run()
    assert tried == [plan]


@pytest.mark.parametrize("step", ["weighed", "choose"])
def test_it_is_given_up_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    if step == "choose":
        monkeypatch.setattr(choosing, "weighed", lambda plan, *_: plan)
    cancel = threading.Event()
    heard: list[float] = []

    def tell(share: float) -> None:
        heard.append(share)
        raise Cancelled

    plan, path = plan_of(tmp_path), tmp_path / "q.gguf"
    work = Quantizer(
        plan, path, cancel=cancel, refine=lambda plan: choosing.try_out(plan, None, 1, tell)
    )
    with pytest.raises(Cancelled):
        work.run()
    assert len(heard) == 1
    assert heard[0] < 0.1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["tied-f16.gguf"]


def test_weights_that_are_no_numbers_are_told_in_words(tmp_path: Path) -> None:
    assert why_not(NotFinite()) == "it cannot be worked out: its weights are no numbers"
    assert why_not(MemoryError()) == "it cannot be worked out: MemoryError"
    plan = plan_of(tmp_path)
    source = next(each.source for each in plan.outputs if each.has_choice)
    with source.path.open("r+b") as file:
        file.seek(source.offset)
        file.write(b"\xff\x7f")
    assert "numbers" in choosing.try_out(plan).choice


def plan_of(folder: Path) -> Plan:
    """A small model that is nothing but noise."""
    path = write(MODELS["tied-f16"], folder / "tied-f16.gguf")
    return plan_model(read_model(path), Recipe(Level.Q4_0), by_search=True)
