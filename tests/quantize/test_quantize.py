"""Whole files: tensors as llama-quantize makes them, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import gguf
import pytest

from cohete.errors import CoheteError
from cohete.quantize.gguf import GgufError, Pair, read_model, scalar_pair
from cohete.quantize.manifest import hashes_path, manifest_path, read_manifest, verify
from cohete.quantize.mixture import About, Recipe, parse_rule, type_of
from cohete.quantize.plan import plan_model
from cohete.quantize.pool import Cancelled, Pool
from cohete.quantize.run import Outcome, Progress, Quantizer
from cohete.quantize.types import Level, TensorType
from tests.cli.test_commands import run
from tests.quantize.models import MODELS, Small, pairs_of, write

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def made(
    source: Path, target: Path, recipe: Recipe, workers: int = 1, *, by_search: bool = False
) -> Outcome:
    plan = plan_model(read_model(source), recipe, by_search=by_search)
    return Quantizer(plan, target).run(workers)


def hashes(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    return {
        tensor.name: f"{tensor.type.label} "
        + hashlib.sha256(data[tensor.offset : tensor.offset + tensor.bytes]).hexdigest()[:32]
        for tensor in read_model(path).tensors
    }


@pytest.mark.claim("MQ-01", "MQ-10")
@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_llama_quantize_s(name: str, tmp_path: Path) -> None:
    source = write(MODELS[name], tmp_path / "model.gguf")
    for variant, wanted in GOLDEN[name].items():
        level, _, pure = variant.partition(" ")
        target = tmp_path / f"{level}{pure}.gguf"
        made(source, target, Recipe(Level(level), pure=bool(pure)))
        assert hashes(target) == wanted, variant


@pytest.mark.claim("MQ-01")
def test_another_reader_reads_it(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    made(source, target, Recipe(Level.Q5_1))
    reader = gguf.GGUFReader(target)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.ffn_down.weight"] == "Q5_1"
    assert kinds["token_embd.weight"] == "Q6_K"
    assert kinds["output_norm.weight"] == "F32"
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.file_type"] == 9
    assert fields["general.quantization_version"] == 2
    assert fields["cohete.unknown"] == "kept as it is"


@pytest.mark.claim("MQ-10")
def test_the_same_bytes_with_any_workers_and_again(tmp_path: Path) -> None:
    small = Small("wide", embedding=512, feed_forward=2048, vocabulary=5000, heads=8, kv_heads=8)
    source = write(small, tmp_path / "model.gguf")
    found = set()
    for workers in (1, 2, 3):
        target = tmp_path / f"{workers}.gguf"
        outcome = made(source, target, Recipe(Level.Q4_1), workers)
        found.add(outcome.manifest.blake3)
        assert outcome.manifest.blake3 == gguf_blake3(target)
    assert len(found) == 1


def gguf_blake3(path: Path) -> str:
    from blake3 import blake3

    return str(blake3(path.read_bytes()).hexdigest())


@pytest.mark.claim("MQ-03")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("level", Level)
def test_the_size_is_known_before(name: str, level: Level, tmp_path: Path) -> None:
    source = write(MODELS[name], tmp_path / "model.gguf")
    plan = plan_model(read_model(source), Recipe(level))
    outcome = Quantizer(plan, tmp_path / "out.gguf").run()
    assert (tmp_path / "out.gguf").stat().st_size == plan.file_bytes == outcome.manifest.bytes


@pytest.mark.claim("MQ-07")
def test_single_tensors_keep_what_a_rule_says(tmp_path: Path) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    rules = ("token_embd.weight=q8_0", "blk.0.*=keep", "re:ffn_(up|gate)=q5_0")
    recipe = Recipe(Level.Q4_0, rules=tuple(map(parse_rule, rules)), leave_output=True)
    target = tmp_path / "out.gguf"
    outcome = made(source, target, recipe)
    kinds = {tensor.name: tensor.type for tensor in read_model(target).tensors}
    assert kinds["token_embd.weight"] is TensorType.Q8_0
    assert kinds["output.weight"] is TensorType.F16
    assert kinds["blk.0.ffn_up.weight"] is TensorType.F16
    assert kinds["blk.1.ffn_up.weight"] is TensorType.Q5_0
    assert kinds["blk.1.attn_q.weight"] is TensorType.Q4_0
    # A norm is no weight matrix: no pattern makes it one.
    assert kinds["blk.1.attn_norm.weight"] is TensorType.F32
    lost = {each.name: each.relative_error for each in outcome.manifest.tensors}
    assert lost["blk.0.ffn_up.weight"] is None
    assert (lost["blk.1.attn_q.weight"] or 0) > (lost["blk.1.ffn_up.weight"] or 0) > 0


@pytest.mark.claim("MQ-07")
def test_a_rule_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    model = read_model(write(MODELS["untied-f16"], tmp_path / "model.gguf"))
    for text in ("atn_q=q8_0", "blk.*_norm.weight=q8_0", "re:blk[.]9=f16"):
        with pytest.raises(CoheteError, match="matches no tensor"):
            plan_model(model, Recipe(Level.Q4_0, rules=(parse_rule(text),)))
    for text in ("q8_0", "x=q3", "re:(=q8_0", "=q8_0"):
        with pytest.raises(CoheteError):
            parse_rule(text)


def test_what_cannot_be_quantized_says_so(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "q.gguf"
    made(source, target, Recipe(Level.Q8_0))
    with pytest.raises(GgufError, match="quantized already"):
        plan_model(read_model(target), Recipe(Level.Q4_0))
    again = plan_model(read_model(target), Recipe(Level.Q4_0), again=True)
    Quantizer(again, tmp_path / "again.gguf").run()
    kinds = {tensor.type for tensor in read_model(tmp_path / "again.gguf").tensors}
    assert TensorType.Q4_0 in kinds
    with pytest.raises(CoheteError, match="that is the model itself"):
        made(source, source, Recipe(Level.Q4_0))
    data = bytearray(source.read_bytes())
    tensor = next(each for each in read_model(source).tensors if each.name == "blk.1.attn_k.weight")
    data[tensor.offset + 100 : tensor.offset + 102] = b"\x00\x7e"
    source.write_bytes(data)
    with pytest.raises(CoheteError, match=r"blk.1.attn_k.weight has numbers that are none"):
        made(source, tmp_path / "nan.gguf", Recipe(Level.Q4_0))
    assert sorted(path.name for path in tmp_path.glob("nan*")) == []


def test_the_tensor_that_is_no_good_is_named_whoever_finds_it(tmp_path: Path) -> None:
    source = write(MODELS["rows-of-96"], tmp_path / "model.gguf")
    data = bytearray(source.read_bytes())
    bad = read_model(source).tensors[-1]
    data[bad.offset : bad.offset + 4] = b"\xff\xff\xff\xff"
    source.write_bytes(data)
    plan = plan_model(read_model(source), Recipe(Level.Q4_0))
    with pytest.raises(CoheteError, match=f": {bad.name} has numbers that are none"):
        Quantizer(plan, tmp_path / "nan.gguf").run(2)


@pytest.mark.claim("MQ-06")
def test_one_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    source = write(MODELS["rows-of-96"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    made(source, target, Recipe(Level.Q4_0))
    assert verify(target).level == "q4_0"
    good = target.read_bytes()
    dice = random.Random(4)
    places = [0, 5, 30, len(good) - 1, *(dice.randrange(len(good)) for _ in range(60))]
    for at in places:
        bad = bytearray(good)
        bad[at] ^= 1 << dice.randrange(8)
        target.write_bytes(bad)
        with pytest.raises(CoheteError, match="it is damaged"):
            verify(target)
    for size in (0, 10, len(good) // 2, len(good) - 1):
        target.write_bytes(good[:size])
        with pytest.raises(CoheteError, match="and should have"):
            verify(target)
    target.write_bytes(good)
    tensor = read_model(target).tensors[3]
    bad = bytearray(good)
    bad[tensor.offset + 7] ^= 4
    target.write_bytes(bad)
    with pytest.raises(CoheteError, match=f"the tensor {tensor.name}"):
        verify(target)
    manifest_path(target).unlink()
    with pytest.raises(CoheteError, match="no manifest"):
        verify(target)


def test_the_list_for_upstream_s_tool(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    made(source, target, Recipe(Level.Q5_0))
    data = target.read_bytes()
    lines = hashes_path(target).read_text().splitlines()
    tensors = read_model(target).tensors
    assert len(lines) == len(tensors)
    for line, tensor in zip(lines, tensors, strict=True):
        wanted = hashlib.sha256(data[tensor.offset : tensor.offset + tensor.bytes]).hexdigest()
        assert line == f"sha256  {wanted}  out.gguf:{tensor.name}"


@pytest.mark.claim("MQ-09")
def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    first = made(source, target, Recipe(Level.Q4_0))
    assert first.reused_bytes == 0
    sizes = {each.name: each.type.size(each.numbers) for each in read_model(target).tensors}
    again = made(source, target, Recipe(Level.Q4_0))
    assert again.reused_bytes == sum(sizes.values())
    assert again.manifest == first.manifest
    # One tensor of the source is another: it is made again, and nothing else.
    data = bytearray(source.read_bytes())
    tensor = next(each for each in read_model(source).tensors if each.name == "blk.0.ffn_up.weight")
    data[tensor.offset : tensor.offset + 4] = b"\x11\x22\x33\x24"
    source.write_bytes(data)
    third = made(source, target, Recipe(Level.Q4_0))
    assert third.reused_bytes == sum(sizes.values()) - sizes["blk.0.ffn_up.weight"]
    fresh = made(source, tmp_path / "fresh.gguf", Recipe(Level.Q4_0))
    assert fresh.manifest.blake3 == third.manifest.blake3
    # Another level, another encoder, or a damaged file: nothing of that is taken.
    quantized = sum(size for name, size in sizes.items() if "norm" not in name)
    other = made(source, target, Recipe(Level.Q4_1))
    alike = sum(sizes.values()) - quantized + sizes["output.weight"]
    assert other.reused_bytes == alike
    searched = made(source, target, Recipe(Level.Q4_1), by_search=True)
    assert searched.reused_bytes == alike
    place = next(each for each in read_model(target).tensors if each.name == "blk.1.ffn_up.weight")
    bad = bytearray(target.read_bytes())
    bad[place.offset] ^= 1
    target.write_bytes(bad)
    mended = made(source, target, Recipe(Level.Q4_1), by_search=True)
    assert mended.manifest.blake3 == searched.manifest.blake3
    verify(target)


@pytest.mark.claim("MQ-05")
def test_it_tells_how_far_it_is_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    plan = plan_model(read_model(source), Recipe(Level.Q4_0))
    told: list[Progress] = []
    Quantizer(plan, tmp_path / "out.gguf", progress=told.append).run()
    assert told[0].step == "quantizing"
    assert told[-1].step == "checking"
    assert all(0 <= each.done_bytes <= each.total_bytes for each in told)
    assert told[-1].done_bytes == told[-1].total_bytes
    target = tmp_path / "cancelled.gguf"
    quantizer = Quantizer(plan, target, progress=lambda _: quantizer.cancel())
    with pytest.raises(Cancelled):
        quantizer.run()
    assert list(tmp_path.glob("cancelled*")) == []


def test_a_split_model_is_one(tmp_path: Path) -> None:
    whole = write(MODELS["untied-f16"], tmp_path / "whole.gguf")
    model = read_model(whole)
    half = len(model.tensors) // 2
    for nth, part in enumerate((model.tensors[:half], model.tensors[half:]), 1):
        pairs = dict(model.pairs) if nth == 1 else {}
        pairs |= {"split.no": scalar_pair(nth - 1), "split.count": scalar_pair(2),
                  "split.tensors.count": scalar_pair(len(model.tensors))}  # fmt: skip
        write_part(tmp_path / f"split-{nth:05}-of-00002.gguf", pairs, part, whole)
    found = made(tmp_path / "split-00002-of-00002.gguf", tmp_path / "a.gguf", Recipe(Level.Q4_0))
    wanted = made(whole, tmp_path / "b.gguf", Recipe(Level.Q4_0))
    assert found.manifest.blake3 == wanted.manifest.blake3
    (tmp_path / "split-00001-of-00002.gguf").unlink()
    with pytest.raises(GgufError, match=r"1 of its 2 files are missing: split-00001-of"):
        read_model(tmp_path / "split-00002-of-00002.gguf")


def write_part(path: Path, pairs: dict[str, Pair], tensors: object, whole: Path) -> None:
    from cohete.quantize.gguf import Tensor, header_bytes

    assert isinstance(tensors, tuple)
    data, listed, out = whole.read_bytes(), [], b""
    for tensor in tensors:
        assert isinstance(tensor, Tensor)
        listed.append((tensor.name, tensor.shape, tensor.type, len(out)))
        part = data[tensor.offset : tensor.offset + tensor.bytes]
        out += part.ljust(-(-len(part) // 32) * 32, b"\0")
    path.write_bytes(header_bytes(pairs, listed) + out)


KILLED = """
import sys
from pathlib import Path
from cohete.quantize.gguf import read_model
from cohete.quantize.mixture import Recipe
from cohete.quantize.plan import plan_model
from cohete.quantize.run import Quantizer
from cohete.quantize.types import Level
plan = plan_model(read_model(Path(sys.argv[1])), Recipe(Level.Q4_0))
told = lambda progress: print(progress.step, progress.done_bytes, flush=True)
quantizer = Quantizer(plan, Path(sys.argv[2]), progress=told)
import cohete.quantize.run as run
run._TOLD_EVERY_S = 0.0
quantizer.run(int(sys.argv[3]))
"""


def test_killed_anywhere_it_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    wanted = made(source, tmp_path / "wanted.gguf", Recipe(Level.Q4_0)).manifest.blake3
    resumed = 0
    dice = random.Random(9)
    for nth in range(12):
        target = tmp_path / f"{nth}.gguf"
        argv = [sys.executable, "-c", KILLED, str(source), str(target), "1"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(dice.randrange(1, 38)):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        if target.exists():
            # It was faster; then it is whole.
            verify(target)
            continue
        outcome = made(source, target, Recipe(Level.Q4_0))
        resumed += outcome.resumed_bytes
        assert outcome.manifest.blake3 == wanted
        verify(target)
        assert list(tmp_path.glob(f"{nth}.gguf.part*")) == []
    assert resumed > 0


def test_what_a_killed_run_left_is_not_trusted(tmp_path: Path) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    wanted = made(source, tmp_path / "wanted.gguf", Recipe(Level.Q4_0)).manifest.blake3
    plan = plan_model(read_model(source), Recipe(Level.Q4_0))
    quantizer = Quantizer(plan, target)
    quantizer._prepare()
    with Pool(1, threading.Event()) as pool:
        quantizer._make(pool)
    part = target.with_name("out.gguf.part")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0x10
    part.write_bytes(data)
    with pytest.raises(CoheteError, match="read back otherwise than it was written"):
        made(source, target, Recipe(Level.Q4_0))
    assert not target.exists()
    outcome = made(source, target, Recipe(Level.Q4_0))
    assert outcome.manifest.blake3 == wanted


def test_a_full_disk_is_said_and_leaves_nothing_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(MODELS["untied-f16"], tmp_path / "model.gguf")
    target = tmp_path / "out.gguf"
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(CoheteError, match=r"it needs 0.9 MB|it needs 1 MB"):
            made(source, target, Recipe(Level.Q4_0))
    assert not target.exists()

    for number, words in (
        (28, "The disk is full"), (30, "mounted read-only"), (13, "You may not write there"),
    ):  # fmt: skip

        def fails(*_: object, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", fails)
            with pytest.raises(CoheteError, match=words):
                made(source, target, Recipe(Level.Q4_0))
        assert not target.exists()
    verify_after = made(source, target, Recipe(Level.Q4_0))
    assert verify(target) == verify_after.manifest


def test_a_worker_that_is_killed_is_said(tmp_path: Path) -> None:
    small = Small("wide", embedding=512, feed_forward=2048, vocabulary=9000, heads=8, kv_heads=8)
    plan = plan_model(read_model(write(small, tmp_path / "m.gguf")), Recipe(Level.Q4_0))
    with Pool(2, threading.Event()) as pool:
        for process in pool._processes:
            process.kill()
            process.wait()
        quantizer = Quantizer(plan, tmp_path / "out.gguf")
        quantizer._prepare()
        with pytest.raises(OSError, match=r"Broken pipe|ended by itself"):
            quantizer._make(pool)


def test_a_manifest_that_is_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    for text in ("", "{}", "[1]", '{"format": 1', "\xff"):
        manifest_path(path).write_text(text, encoding="latin-1")
        assert read_manifest(path) is None


@pytest.mark.parametrize(
    ("name", "shape", "about", "wanted"),
    [
        ("output.weight", (256, 9), About("falcon"), TensorType.Q8_0),
        ("output.weight", (96, 9), About("llama"), TensorType.Q8_0),
        ("output.weight", (48, 9), About("llama"), TensorType.F16),
        ("blk.0.attn_v.weight", (256, 9), About("llama", 8), TensorType.Q8_0),
        ("blk.0.attn_v.weight", (256, 9), About("llama", 4), TensorType.Q4_0),
        ("blk.0.ffn_gate_inp.weight", (256, 8), About("llama", 8), TensorType.F16),
        ("blk.0.ffn_gate_exps.weight", (256, 9, 8), About("llama", 8), TensorType.Q4_0),
        ("blk.0.attn_q_norm.weight", (256, 2), About("llama"), TensorType.F16),
        ("per_layer_token_embd.weight", (256, 2), About("gemma3n", 0, True), TensorType.Q6_K),
        ("blk.0.time_mix_w1.weight", (256, 2), About("rwkv7"), TensorType.F16),
        ("blk.0.ssm_conv1d.weight", (32, 2), About("mamba"), TensorType.F16),
    ],
)
def test_the_mixture(name: str, shape: tuple[int, ...], about: About, wanted: TensorType) -> None:
    assert type_of(name, shape, TensorType.F16, Recipe(Level.Q4_0), about) is wanted
    if wanted is TensorType.F16 and shape[0] % 32 == 0:
        pure = Recipe(Level.Q4_0, pure=True)
        assert type_of(name, shape, TensorType.F16, pure, about) is wanted


@pytest.mark.claim("MM-07")
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    import tracemalloc

    small = Small("large", embedding=1024, feed_forward=4096, vocabulary=24_000, layers=1, heads=8)
    plan = plan_model(read_model(write(small, tmp_path / "m.gguf")), Recipe(Level.Q8_0))
    assert plan.input_bytes > 64e6
    tracemalloc.start()
    try:
        Quantizer(plan, tmp_path / "out.gguf").run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40e6


def test_pairs_are_kept(tmp_path: Path) -> None:
    path = write(MODELS["tied-f16"], tmp_path / "model.gguf")
    assert dict(read_model(path).pairs) == pairs_of(MODELS["tied-f16"])


def test_the_command_never_replaces_what_somebody_else_made(tmp_path: Path) -> None:
    source = write(MODELS["tied-f16"], tmp_path / "model-f16.gguf")
    precious = tmp_path / "model-q4_0.gguf"
    precious.write_bytes(b"precious")
    argv = ("quantize", str(source), "--level", "q4_0")
    code, _, err = run(*argv, "--yes")
    assert code == 2
    assert "was not made by" in err
    assert precious.read_bytes() == b"precious"
    damaged = manifest_path(precious)
    damaged.write_text("{")
    code, _, err = run(*argv, "--yes")
    assert (code, "its manifest is damaged" in err) == (2, True)
    code, _, err = run("quantize", "--verify", str(precious))
    assert (code, f"its manifest {damaged.name} is damaged" in err) == (2, True)
    damaged.unlink()
    code, _, err = run(*argv)
    assert (code, "--replace" in err) == (2, True)
    assert run(*argv, "--yes", "--replace")[0] == 0
    # What it made itself is made anew, from what has not changed.
    code, out, _ = run(*argv, "--yes", "--json")
    assert json.loads(out)["reused_bytes"] > 0
    code, out, _ = run(*argv, "--dry-run", "--json")
    assert json.loads(out)["bytes"] == precious.stat().st_size
    code, out, _ = run("quantize", "--verify", str(precious), "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    # Without a terminal nobody can be asked.
    code, _, err = run(*argv, "--output", str(tmp_path / "other.gguf"))
    assert "nobody can be asked" in err
    for wrong in (
        (),
        (str(source),),
        (*argv[1:], "--fit", "1"),
        (str(source), "--fit", "1", "--pure"),
    ):
        assert run("quantize", *wrong)[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_with_workers_nothing_is_shouted_and_nothing_stays_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    small = Small("wide", embedding=512, feed_forward=2048, vocabulary=90_000, heads=8, kv_heads=8)
    source = write(small, tmp_path / "m.gguf")
    target = tmp_path / "out.gguf"
    argv = [sys.executable, "-m", "cohete", "quantize", str(source), "--level", "q4_0", "--yes",
            "-o", str(target), "--workers", "2", "--json"]  # fmt: skip
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        os.killpg(process.pid, number)
        # Workers hold its stderr too: it ends when the last of them has.
        said = process.stderr.read().decode()
    assert "Traceback" not in said
    assert "Error" not in said
    assert process.returncode != 0
    assert not target.exists()
    if number != signal.SIGKILL:
        assert "cancelled: nothing was kept" in said
        assert list(tmp_path.glob("out*")) == []
