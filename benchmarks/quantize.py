"""Quantizing beside gguf.quants and, where it is installed or built, llama-quantize; same file.

`python -m benchmarks.quantize [LLAMA_QUANTIZE] [MB]`. The model is made of seeded numbers in shared
memory where there is some, so that no disk is measured. Prints wall MB/s of F16 input and ratios
against llama-quantize with as many cores, and peak memory.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cohete.quantize.gguf import header_bytes, read_model
from cohete.quantize.types import Level, TensorType
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.quantizing import QuantizeJob
from cohete_tui.wizard import Choice
from tests.quantize.models import Small, pairs_of
from tests.quantize.vocabulary import vocabulary_pairs

SHAPE = Small("speed", embedding=2048, feed_forward=5632, vocabulary=16_000, layers=8, heads=32,
              kv_heads=8)  # fmt: skip
TURNS = 2
ORACLE = """
import sys, gguf, numpy as np
reader = gguf.GGUFReader(sys.argv[1])
kind = gguf.GGMLQuantizationType[sys.argv[2].upper()]
with open(sys.argv[3], "wb") as out:
    for tensor in reader.tensors:
        data = tensor.data
        if data.ndim > 1:
            data = gguf.quants.quantize(data.astype(np.float32), kind)
        out.write(data.tobytes())
"""


def write_model(path: Path, megabytes: int) -> None:
    """A llama-shaped F16 model of about so many MB, piece by piece."""
    layers = max(1, round((megabytes - 131) / 90))
    small = replace(SHAPE, layers=layers)
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (small.embedding, small.vocabulary)),
        ("output.weight", (small.embedding, small.vocabulary)),
        ("output_norm.weight", (small.embedding,)),
    ]
    kv = small.embedding * small.kv_heads // small.heads
    e, ff = small.embedding, small.feed_forward
    parts: tuple[tuple[str, tuple[int, ...]], ...]
    for layer in range(layers):
        parts = (
            ("attn_q", (e, e)), ("attn_k", (e, kv)), ("attn_v", (e, kv)), ("attn_output", (e, e)),
            ("ffn_gate", (e, ff)), ("ffn_up", (e, ff)), ("ffn_down", (ff, e)),
            ("attn_norm", (e,)), ("ffn_norm", (e,)),
        )  # fmt: skip
        shapes += [(f"blk.{layer}.{name}.weight", shape) for name, shape in parts]
    listed, at = [], 0
    for name, shape in shapes:
        kind = TensorType.F16 if len(shape) > 1 else TensorType.F32
        listed.append((name, shape, kind, at))
        at += -(-kind.size(int(np.prod(shape))) // 32) * 32
    pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
    random = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(header_bytes(pairs, listed))
        for _, shape, kind, _ in listed:
            numbers = random.standard_normal(int(np.prod(shape)), np.float32) * np.float32(0.02)
            file.write(numbers.astype(np.float16 if kind is TensorType.F16 else np.float32).data)


def wall_s(argv: list[str | Path]) -> float:
    """The best of some runs, process start included."""
    best = float("inf")
    for _ in range(TURNS):
        begun = time.perf_counter()
        subprocess.run([*map(str, argv)], check=True, capture_output=True)
        best = min(best, time.perf_counter() - begun)
    return best


async def slowest_ms(model: Path, out: Path | None) -> float:
    """The longest the dashboard's loop was held up in ten seconds, beside a quantization or not."""
    job = None
    app = CoheteApp(Launch(demo=True))
    worst = 0.0
    async with app.run_test(size=(120, 40)):
        await asyncio.sleep(5)
        if out is not None:
            job = QuantizeJob(Choice(path=model, level="q4_0", output=out), out)
            job.start()
        end = time.perf_counter() + 10
        while time.perf_counter() < end:
            at = time.perf_counter()
            await asyncio.sleep(0.005)
            worst = max(worst, time.perf_counter() - at - 0.005)
        if job is not None:
            await job.stop()
    return worst * 1000


def main() -> None:
    tool = sys.argv[1] if len(sys.argv) > 1 else shutil.which("llama-quantize")
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 850
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        model, out = Path(folder) / "model.gguf", Path(folder) / "out.gguf"
        write_model(model, megabytes)
        size = sum(tensor.bytes for tensor in read_model(model).tensors) / 1e6
        print(f"{size:.0f} MB of F16; baseline: {'llama-quantize' if tool else 'gguf.quants'}")
        for level in (each for each in Level if each is not Level.F16):
            slow = wall_s([sys.executable, "-c", ORACLE, model, level, out])
            print(f"{level}: gguf.quants {size / slow:.0f} MB/s")
            for workers in (1, 2):
                if tool:
                    base = wall_s([tool, model, out, level, str(workers)])
                    print(f"{level} {workers}: llama-quantize {size / base:.0f} MB/s")
                else:
                    base = slow
                for how in ([], ["--quality"]):
                    argv: list[str | Path] = [
                        sys.executable, "-m", "cohete", "quantize", model, "--level", level.value,
                        "-o", out, "--yes", "--replace", "--workers", str(workers), *how,
                    ]  # fmt: skip
                    took = wall_s_fresh(argv, out)
                    name = "cohete --quality" if how else "cohete"
                    print(f"{level} {workers}: {name} {size / took:.0f} MB/s, "
                          f"{base / took:.2f} times the baseline")  # fmt: skip
        for path in (None, out):
            held = asyncio.run(slowest_ms(model, path))
            beside = "beside it" if path is not None else "alone"
            print(f"the dashboard {beside}: its loop held up {held:.0f} ms at most (limit 100)")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"largest process of all (gguf.quants among them): {peak:.0f} MiB")


def wall_s_fresh(argv: list[str | Path], out: Path) -> float:
    """The same where nothing may be taken from a file made before."""
    best = float("inf")
    for _ in range(TURNS):
        for path in out.parent.glob(f"{out.name}*"):
            path.unlink()
        begun = time.perf_counter()
        subprocess.run([*map(str, argv)], check=True, capture_output=True)
        best = min(best, time.perf_counter() - begun)
    return best


if __name__ == "__main__":
    main()
