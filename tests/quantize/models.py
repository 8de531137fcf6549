"""Small models made of seeded numbers, in several shapes and types, with what breaks encoders."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cohete.quantize.gguf import Pair, header_bytes, scalar_pair, text_pair
from cohete.quantize.types import TensorType

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Small:
    """A llama-shaped model; rows have `embedding` or `feed_forward` numbers."""

    name: str
    embedding: int = 256
    feed_forward: int = 512
    vocabulary: int = 320
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    tied: bool = False
    type: TensorType = TensorType.F16
    seed: int = 1


MODELS = {
    each.name: each
    for each in (
        Small("untied-f16"),
        Small("tied-f16", tied=True, seed=2),
        Small("untied-bf16", type=TensorType.BF16, seed=3),
        Small("tied-f32", tied=True, type=TensorType.F32, seed=4),
        # Rows that 256 does not divide, and that 32 does not.
        Small("rows-of-96", embedding=96, feed_forward=160, heads=3, kv_heads=1, seed=5),
        Small("rows-of-48", embedding=48, feed_forward=112, vocabulary=300, heads=3, kv_heads=1,
              tied=True, seed=6),
    )
}  # fmt: skip


def hard(random: np.random.RandomState, rows: int, columns: int) -> Floats:
    """Numbers like weights, and among them zeros of both signs, ties, the tiny and the huge."""
    x: Floats = (random.standard_normal((rows, columns)) * 0.02).astype(np.float32)
    x[0], x[1] = 0, -0.0
    x[2] *= 1e-5
    x[3] = np.sign(x[3]) * np.float32(0.5)
    x[4] = np.abs(x[4])
    x[4, ::5] = -0.0
    x[5, ::3] = 0
    x[6] *= 1e4
    x[7, :16] = 0
    x[8] = np.where(random.random_sample(columns) < 0.98, x[8] * 1e-4, x[8] * 100)
    return x


def stored(x: Floats, kind: TensorType) -> bytes:
    """As a file has them."""
    if kind is TensorType.F32:
        return x.astype("<f4").tobytes()
    if kind is TensorType.BF16:
        return (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    return x.astype("<f2").tobytes()


def pairs_of(small: Small) -> dict[str, Pair]:
    """A header's keys: what llama.cpp asks of a model, and one it does not know."""
    arch = "llama"
    numbers = {
        "block_count": small.layers, "context_length": 512, "embedding_length": small.embedding,
        "feed_forward_length": small.feed_forward, "attention.head_count": small.heads,
        "attention.head_count_kv": small.kv_heads,
        "rope.dimension_count": small.embedding // small.heads,
    }  # fmt: skip
    return {
        "general.architecture": text_pair(arch),
        "general.name": text_pair(small.name),
        **{f"{arch}.{key}": scalar_pair(value) for key, value in numbers.items()},
        f"{arch}.attention.layer_norm_rms_epsilon": Pair(struct.pack("<If", 6, 2.0**-17), 2.0**-17),
        "general.file_type": scalar_pair(1),
        "cohete.unknown": text_pair("kept as it is"),
    }


def tensors_of(small: Small) -> dict[str, tuple[tuple[int, ...], Floats]]:
    """By name: shape (innermost first) and numbers."""
    random = np.random.RandomState(small.seed)
    e, ff = small.embedding, small.feed_forward
    kv = e * small.kv_heads // small.heads
    found: dict[str, tuple[tuple[int, ...], Floats]] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        found[name] = ((columns, rows), hard(random, rows, columns))

    matrix("token_embd.weight", small.vocabulary, e)
    found["output_norm.weight"] = ((e,), np.ones(e, np.float32))
    if not small.tied:
        matrix("output.weight", small.vocabulary, e)
    for layer in range(small.layers):
        block = f"blk.{layer}."
        for name, rows, columns in (
            ("attn_q", e, e), ("attn_k", kv, e), ("attn_v", kv, e), ("attn_output", e, e),
            ("ffn_gate", ff, e), ("ffn_up", ff, e), ("ffn_down", e, ff),
        ):  # fmt: skip
            matrix(f"{block}{name}.weight", rows, columns)
        found[f"{block}attn_norm.weight"] = ((e,), np.ones(e, np.float32))
        found[f"{block}ffn_norm.weight"] = ((e,), np.ones(e, np.float32))
    return found


def write(small: Small, path: Path, pairs: dict[str, Pair] | None = None) -> Path:
    """The model as a GGUF file."""
    return write_tensors(path, pairs or pairs_of(small), tensors_of(small), small.type)


def write_tensors(
    path: Path, pairs: dict[str, Pair], tensors: dict[str, tuple[tuple[int, ...], Floats]],
    matrices: TensorType,
) -> Path:  # fmt: skip
    """A GGUF file with its matrices in a type, and all else as F32."""
    listed, data, at = [], b"", 0
    for name, (shape, numbers) in tensors.items():
        kind = matrices if len(shape) > 1 else TensorType.F32
        part = stored(numbers, kind)
        part = part.ljust(-(-len(part) // 32) * 32, b"\0")
        listed.append((name, shape, kind, at))
        data += part
        at += len(part)
    path.write_bytes(header_bytes(pairs, listed) + data)
    return path
