"""What the columns of a tensor count, and that a search that knows it keeps more of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cohete.cli.quantize import command
from cohete.quantize import choosing, weighing
from cohete.quantize.columns import coded, counts_of, plain_counts_of
from cohete.quantize.decode import decode
from cohete.quantize.forward import Forward
from cohete.quantize.gguf import GgufError, Pair, scalar_pair, text_pair
from cohete.quantize.gguf import read_model as read
from cohete.quantize.lanes import Floats, lanes_of
from cohete.quantize.manifest import manifest_path, read_manifest
from cohete.quantize.mixture import Recipe, parse_rule
from cohete.quantize.perplexity import divergence_of
from cohete.quantize.plan import Plan, plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.sizing import sized_for
from cohete.quantize.slabs import encoded
from cohete.quantize.types import SEARCHED, Encoder, Level, TensorType
from tests.quantize import models
from tests.quantize.models import MODELS, Small, write

SMALL = Small("small", embedding=64, feed_forward=160, vocabulary=96, layers=3, heads=4, kv_heads=2)


def ordinary(random: np.random.RandomState, rows: int, columns: int) -> Floats:
    """Like the weights of a trained model, a few columns of which carry most."""
    x = random.standard_normal((rows, columns)) * columns**-0.5
    return np.asarray(x, np.float32)


@pytest.fixture
def lopsided(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Writes models in which norms make some channels thirty times as large as others."""

    def made(small: Small = SMALL) -> Path:
        monkeypatch.setattr(models, "hard", ordinary)
        plain = models.tensors_of

        def uneven(small: Small) -> dict[str, tuple[tuple[int, ...], Floats]]:
            found = plain(small)
            random = np.random.RandomState(3)
            for name, (shape, numbers) in found.items():
                if name.endswith("norm.weight"):
                    numbers[:] = np.exp2(random.uniform(-2.5, 2.5, shape))
            return found

        with monkeypatch.context() as patch:
            patch.setattr(models, "tensors_of", uneven)
            return write(small, tmp_path / f"{small.name}.gguf")

    return made


def searched(path: Path, level: Level = Level.Q4_0, *, pure: bool = False) -> Plan:
    return plan_model(read(path), Recipe(level, pure=pure), by_search=True)


@given(st.lists(st.floats(0, 1e30, allow_subnormal=False), min_size=1, max_size=64))
def test_what_counts_more_has_no_lower_byte(energies: list[float]) -> None:
    found = coded(np.array(energies))
    if not any(energies):
        assert found == b""
        return
    assert len(found) == len(energies)
    order = np.argsort(energies, kind="stable")
    assert (np.diff(np.frombuffer(found, np.uint8)[order].astype(int)) >= 0).all()
    mean = np.mean(energies)
    for energy, byte in zip(energies, found, strict=True):
        if 2.0**-12 < energy / mean < 2.0**12:
            assert 2 ** ((byte - 64) / 4) == pytest.approx(energy / mean, rel=0.0906)
        else:
            assert byte in (16, 112)


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0], []])
def test_nothing_is_known_of_what_is_no_number(bad: list[float]) -> None:
    assert coded(np.array(bad)) == b""


@given(st.integers(1, 6), st.integers(0, 40), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_each_number_counts_as_its_column(blocks: int, first: int, count: int, seed: int) -> None:
    random = np.random.RandomState(seed)
    columns = random.randint(16, 113, 32 * blocks).astype(np.uint8)
    at = (32 * first + np.arange(32 * count)) % columns.size
    plain = np.exp2((columns[at] - 64.0) / 4).astype(np.float32)
    wanted = lanes_of(plain.view(np.uint8), TensorType.F32).x
    assert np.array_equal(counts_of(columns.tobytes(), 32 * first, 32 * count), wanted)


@pytest.mark.parametrize("kind", sorted(SEARCHED))
def test_pieces_of_a_tensor_are_the_whole(kind: TensorType) -> None:
    random = np.random.RandomState(2)
    columns = random.randint(16, 113, 96).astype(np.uint8).tobytes()
    x = random.standard_normal(96 * 50).astype(np.float32)
    raw = x.view(np.uint8)
    whole = encoded(raw.copy(), TensorType.F32, kind, Encoder.WEIGHED, columns)
    parts = [
        encoded(raw[4 * at : 4 * at + 4 * 160].copy(), TensorType.F32, kind, Encoder.WEIGHED,
                columns, at)
        for at in range(0, x.size, 160)
    ]  # fmt: skip
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", sorted(SEARCHED))
def test_what_goes_through_loses_much_less(kind: TensorType) -> None:
    """Of rows times inputs some of which are large: the sum over the row is what counts."""
    random = np.random.RandomState(4)
    size = np.exp2(random.uniform(-3, 3, 256))
    x = (random.standard_normal((64, 256)) / 16).astype(np.float32)
    inputs = random.standard_normal((500, 256)) * size
    columns = coded(size**2)
    lost = {
        encoder: float(np.square(inputs @ (back(x, kind, encoder, columns) - x).T).mean())
        for encoder in Encoder
    }
    assert lost[Encoder.WEIGHED] < 0.8 * min(lost[Encoder.REFERENCE], lost[Encoder.SEARCH])


def back(x: Floats, kind: TensorType, encoder: Encoder, columns: bytes) -> Floats:
    raw = x.reshape(-1).view(np.uint8).copy()
    found = encoded(raw, TensorType.F32, kind, encoder, columns)
    return decode(found, kind).reshape(x.shape)


def test_it_is_what_goes_into_each_matrix(
    monkeypatch: pytest.MonkeyPatch, lopsided: Callable[..., Path]
) -> None:
    path = lopsided()
    model = read(path)
    source = Forward(path)
    seen: dict[str, Floats] = {}
    plain = Forward.times

    def times(self: Forward, x: Floats, name: str) -> Floats:
        seen[name] = x.reshape(-1, x.shape[-1])
        return plain(self, x, name)

    monkeypatch.setattr(Forward, "times", times)
    tokens = weighing.Streamed(model, map, lambda share: None).tokens()
    x = source.through(source.enter(tokens))
    seen["output.weight"] = source.norm(x, "output_norm").reshape(-1, x.shape[-1])
    found = weighing.columns_of(model)
    assert sorted(found) == sorted(seen)
    assert "blk.2.ffn_down.weight" in found
    for name, inputs in seen.items():
        squares = inputs.astype(np.float64) ** 2
        energies = (squares / squares.mean(axis=1, keepdims=True)).mean(axis=0)
        # On the border of two bytes either will do.
        wanted, got = (np.frombuffer(each, np.uint8).astype(int) for each in (
            coded(energies), found[name]))  # fmt: skip
        assert np.abs(wanted - got).max() <= 1
        assert (wanted == got).mean() > 0.9


@pytest.mark.parametrize("kind", [TensorType.F16, TensorType.BF16, TensorType.F32])
def test_it_is_the_same_with_any_number_of_threads_and_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch, lopsided: Callable[..., Path], kind: TensorType
) -> None:
    model = read(lopsided(replace(SMALL, type=kind)))
    told: list[float] = []
    once = weighing.columns_of(model, 1, told.append)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1
    assert weighing.columns_of(model, 3) == once
    monkeypatch.setattr(weighing, "PIECE", 640)
    small = weighing.columns_of(model, 2)
    away = [abs(a - b) for name in once for a, b in zip(once[name], small[name], strict=True)]
    assert max(away) <= 1


@pytest.mark.parametrize("level", [Level.Q4_0, Level.Q4_1, Level.Q5_0, Level.Q5_1])
@pytest.mark.parametrize("tied", [False, True])
def test_a_model_that_is_too_large_to_be_tried_predicts_better(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lopsided: Callable[..., Path], level: Level,
    *, tied: bool,
) -> None:  # fmt: skip
    path = lopsided(replace(SMALL, tied=tied))
    random = np.random.default_rng(5)
    source = Forward(path)
    tokens = random.integers(0, SMALL.vocabulary, (16, 64), np.int64)
    wanted = source.log_probabilities(tokens)
    lost = {}
    monkeypatch.setattr("cohete.quantize.forward.MAX_NUMBERS", 1000)
    plain = plan_model(read(path), Recipe(level, pure=True))
    tried = choosing.try_out(searched(path, level, pure=True), None, 1)
    assert "none tried out: it has more than" in tried.choice
    known = {each.name for each in tried.outputs if each.encoder is Encoder.WEIGHED}
    lookups = set() if tied else {"token_embd.weight"}
    assert known == {each.name for each in tried.outputs if each.has_choice} - lookups
    monkeypatch.undo()
    for name, plan in (("reference", plain), ("weighed", tried)):
        out = tmp_path / f"{name}-out.gguf"
        Quantizer(plan, out).run()
        lost[name] = divergence_of(wanted, Forward(out).log_probabilities(tokens))
    assert lost["weighed"] < 0.95 * lost["reference"]


def test_a_second_run_reuses_what_was_weighed_in_the_same_way(
    tmp_path: Path, lopsided: Callable[..., Path]
) -> None:
    path, out = lopsided(replace(SMALL, tied=True)), tmp_path / "out.gguf"
    plan = weighing.weighed(searched(path))
    whole = sum(each.bytes for each in plan.outputs)
    first = Quantizer(plan, out).run()
    assert first.manifest.encoder == "search-weighed-1"
    bytes_then = out.read_bytes()
    again = Quantizer(weighing.weighed(searched(path)), out).run(2)
    assert (again.reused_bytes, out.read_bytes()) == (whole, bytes_then)
    at = next(nth for nth, each in enumerate(plan.outputs) if each.columns)
    other = replace(plan.outputs[at], columns=plan.outputs[at].columns[::-1])
    outputs = (*plan.outputs[:at], other, *plan.outputs[at + 1 :])
    changed = Quantizer(replace(plan, outputs=outputs), out).run()
    assert changed.reused_bytes == whole - other.bytes
    assert out.read_bytes() != bytes_then
    noted = {each.name: each.columns for each in changed.manifest.tensors}
    assert noted[other.name] != {each.name: each.columns for each in first.manifest.tensors}[
        other.name]  # fmt: skip
    manifest = json.loads(manifest_path(out).read_text())
    manifest["tensors"][at]["columns"] = "no digest"
    manifest_path(out).write_text(json.dumps(manifest))
    assert read_manifest(out) is None


def test_a_run_that_was_killed_goes_on_only_with_the_same_columns(
    tmp_path: Path, lopsided: Callable[..., Path]
) -> None:
    plan = weighing.weighed(searched(lopsided()))
    at = next(nth for nth, each in enumerate(plan.outputs) if each.columns)
    turned = replace(plan.outputs[at], columns=plan.outputs[at].columns[::-1])
    other = replace(plan, outputs=(*plan.outputs[:at], turned, *plan.outputs[at + 1 :]))
    keys = {Quantizer(each, tmp_path / "out.gguf")._key() for each in (plan, other, plan)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ({"general.architecture": text_pair("olmoe")}, "olmoe is not among"),
        ({"llama.attention.head_count": scalar_pair(3)}, "attn_q is not of the shape"),
        ({"llama.block_count": scalar_pair(9)}, "cannot be worked out"),
        ({"llama.rope.dimension_count": scalar_pair(20_000_000)}, "more of a head than there is"),
        ({"llama.rope.dimension_count": scalar_pair(5)}, "more of a head than there is"),
    ],
)
def test_what_is_not_known_is_searched_without_weighing(
    tmp_path: Path, pairs: dict[str, Pair], why: str
) -> None:
    path = write(SMALL, tmp_path / "odd.gguf", models.pairs_of(SMALL) | pairs)
    plan = searched(path)
    found = choosing.try_out(plan)
    assert found.outputs == plan.outputs
    assert found.choice.startswith("searched for each tensor, columns not weighed: ")
    assert why in found.choice
    Quantizer(found, tmp_path / "out.gguf").run()


def test_it_takes_little_memory_whatever_the_file_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = read(write(SMALL, tmp_path / "small.gguf"))
    for bytes_ in (100, 4 * 64 * 11, 4 * 64 * 150, 4 * 64 * 4 * (3 * 16 + 96) - 1):
        monkeypatch.setattr(weighing, "MOST_BYTES", bytes_)
        with pytest.raises(ValueError, match="would take too much memory"):
            weighing.columns_of(model)


def test_a_file_that_ends_too_early_is_told(tmp_path: Path) -> None:
    path = write(MODELS["untied-f16"], tmp_path / "m.gguf")
    model = read(path)
    with path.open("r+b") as file:
        file.truncate(model.tensors[-20].offset)
    with pytest.raises(GgufError, match="it cannot be read"):
        weighing.columns_of(model)


def test_types_are_chosen_by_what_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lopsided: Callable[..., Path]
) -> None:
    path = lopsided(replace(SMALL, tied=True))
    model = read(path)
    source = Forward(path)
    tokens = np.random.default_rng(5).integers(0, SMALL.vocabulary, (16, 64), np.int64)
    wanted = source.log_probabilities(tokens)
    assert weighing.columns_for_types(model) == {}
    monkeypatch.setattr(weighing, "MAX_NUMBERS", 1000)
    columns = weighing.columns_for_types(model)
    assert columns == weighing.columns_of(model)
    plain = plan_model(model, Recipe(Level.Q4_1))
    room = sum(each.bytes for each in plain.outputs)
    lost = []
    for known in ({}, columns):
        sized = sized_for(model, room, by_search=True, columns=known)
        assert sized.bytes <= room
        plan = plan_model(model, Recipe(sized.level), by_search=True, chosen=sized.types)
        out = tmp_path / "out.gguf"
        Quantizer(weighing.with_columns(plan, columns), out).run()
        lost.append(divergence_of(wanted, Forward(out).log_probabilities(tokens)))
    assert lost[1] < lost[0]
    odd = write(SMALL, tmp_path / "odd.gguf", models.pairs_of(SMALL) | {
        "general.architecture": text_pair("olmoe")})  # fmt: skip
    with pytest.raises(GgufError, match="olmoe is not among"):
        weighing.columns_for_types(read(odd))


@given(st.integers(1, 4), st.integers(0, 300), st.integers(1, 200))
def test_counts_in_plain_order_are_the_same(blocks: int, first: int, numbers: int) -> None:
    columns = bytes(range(30, 30 + 16 * blocks))
    found = plain_counts_of(columns, first, numbers)
    wanted = [2 ** ((columns[(first + at) % len(columns)] - 64) / 4) for at in range(numbers)]
    assert found == pytest.approx(wanted, rel=1e-6)
    assert (plain_counts_of(b"", first, numbers) == 1).all()


def test_the_command_weighs_columns_of_a_large_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lopsided: Callable[..., Path]
) -> None:
    for module in ("weighing", "forward"):
        monkeypatch.setattr(f"cohete.quantize.{module}.MAX_NUMBERS", 1000)
    path = lopsided()
    for nth, how in enumerate((("--level", "q4_0", "--quality"), ("--fit", "0.12"))):
        out = tmp_path / f"out-{nth}.gguf"
        done = CliRunner().invoke(command, [str(path), *how, "-o", str(out), "-y"])
        assert done.exit_code == 0, done.output
        told = f"encoders: {choosing.WEIGHED_WORDS}; none tried out: it has more than"
        assert told in done.output
        assert "lost most, of their own size, as their columns count:" in done.output
        manifest = read_manifest(out)
        assert manifest is not None
        assert sum(each.columns != "" for each in manifest.tensors) >= 10


def test_an_output_of_another_width_is_not_weighed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = models.tensors_of

    def odd(small: Small) -> dict[str, tuple[tuple[int, ...], Floats]]:
        found = plain(small)
        found["output.weight"] = ((96, 64), np.ones((64, 96), np.float32))
        return found

    monkeypatch.setattr(models, "tensors_of", odd)
    path = write(SMALL, tmp_path / "odd.gguf")
    found = choosing.try_out(searched(path, pure=True))
    assert "the rows of output.weight are not as wide as what goes into them" in found.choice
    Quantizer(found, tmp_path / "out.gguf").run()
    wrong = weighing.with_columns(searched(path, pure=True), {"output.weight": bytes(64)})
    assert not any(each.columns for each in wrong.outputs)
    some = sized_for(read(path), 10**6, by_search=True, columns={"output.weight": bytes(64)})
    assert some.bytes <= 10**6


def test_what_is_lost_is_told_as_it_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Large numbers in columns that count for nothing are let go, and that destroys nothing."""

    def lopsided(random: np.random.RandomState, rows: int, columns: int) -> Floats:
        x = (random.standard_normal((rows, columns)) * 0.03).astype(np.float32)
        x[:, ::32] = np.sign(x[:, ::32])
        return x

    monkeypatch.setattr(models, "hard", lopsided)
    monkeypatch.setattr("cohete.quantize.run.ERROR_BOUND", 0.2)
    plan = searched(write(SMALL, tmp_path / "m.gguf"), Level.Q5_0)
    columns = bytes(16 if nth % 32 == 0 else 66 for nth in range(160))
    known = {each.name: columns[: each.source.shape[0]] for each in plan.outputs}
    weighed = weighing.with_columns(plan, known)
    out = tmp_path / "out.gguf"
    notes = {each.name: each for each in Quantizer(weighed, out).run().manifest.tensors}
    name = "blk.0.ffn_gate.weight"
    before = Forward(weighed.model.paths[0]).weights[name]
    away = (Forward(out).weights[name] - before).astype(np.float64)
    assert np.square(away).sum() > 0.2**2 * np.square(before).sum()
    counts = 2.0 ** ((np.frombuffer(known[name], np.uint8) - 64.0) / 4)
    wanted = np.sqrt((counts * away**2).sum() / (counts * before.astype(np.float64) ** 2).sum())
    assert notes[name].relative_error == pytest.approx(wanted, rel=1e-3)


def test_weights_that_are_no_numbers_are_told_before_anything_is_chosen(tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "m.gguf")
    plan = searched(path)
    source = next(each.source for each in plan.outputs if each.name == "blk.1.ffn_up.weight")
    with path.open("r+b") as file:
        file.seek(source.offset)
        file.write(b"\xff\x7f")
    found = choosing.try_out(plan)
    assert "columns not weighed: it cannot be worked out: its weights are no numbers" in (
        found.choice
    )


def test_where_no_tensor_has_columns_nothing_is_said_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("cohete.quantize.forward.MAX_NUMBERS", 1000)
    path = write(MODELS["untied-f16"], tmp_path / "m.gguf")
    recipe = Recipe(Level.Q8_0, rules=(parse_rule("token_embd.weight=q4_0"),))
    told: list[float] = []
    found = choosing.try_out(
        plan_model(read(path), recipe, by_search=True), None, 1, told.append, told.append
    )
    assert found.choice.startswith("searched for each tensor; none tried out: it has more than")
    assert not told


def test_a_failure_is_found_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(SMALL, tmp_path / "odd.gguf", models.pairs_of(SMALL) | {
        "general.architecture": text_pair("olmoe"),
        "olmoe.block_count": scalar_pair(3)})  # fmt: skip
    calls: list[int] = []

    def failing(*_: object) -> dict[str, bytes]:
        calls.append(1)
        raise ValueError("for want of luck")

    monkeypatch.setattr(weighing, "MAX_NUMBERS", 1000)
    monkeypatch.setattr(weighing, "columns_of", failing)
    out = tmp_path / "out.gguf"
    done = CliRunner().invoke(command, [str(path), "--fit", "0.12", "-o", str(out), "-y"])
    assert done.exit_code == 0, done.output
    assert "columns not weighed: it cannot be worked out: for want of luck" in done.output
    assert len(calls) == 1


def test_a_quantized_source_is_tried_out_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lopsided: Callable[..., Path]
) -> None:
    monkeypatch.setattr("cohete.quantize.trials.MOST_CHUNKS", 4)
    first = tmp_path / "q8.gguf"
    Quantizer(plan_model(read(lopsided()), Recipe(Level.Q8_0)), first).run()
    plan = plan_model(read(first), Recipe(Level.Q4_0), by_search=True, again=True)
    assert any(each.has_choice for each in plan.outputs)
    assert "that the model wrote by itself" in choosing.try_out(plan).choice
