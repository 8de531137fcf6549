"""Small models of seeded numbers with the layers of each architecture that is known here."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from cohete.quantize.gguf import Pair, read_model, scalar_pair, text_pair
from cohete.quantize.types import TensorType
from tests.quantize.models import Floats, write_tensors

EMBEDDING, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 128, 192, 7, 4, 2
Listed = dict[str, tuple[tuple[int, ...], Floats]]


def real(value: float) -> Pair:
    return Pair(struct.pack("<If", 6, value), value)


def flag(value: bool) -> Pair:
    return Pair(struct.pack("<I?", 7, value), value)


def head_of(arch: str) -> int:
    return 64 if arch.startswith("gemma") else 32


def pairs_of(arch: str, *, is_parallel: bool = True) -> dict[str, Pair]:
    """A header; windows are shorter than the texts that are measured."""
    numbers = {
        "block_count": LAYERS, "context_length": 512, "embedding_length": EMBEDDING,
        "feed_forward_length": FEED_FORWARD, "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS if arch == "gptneox" else KV_HEADS,
        "rope.dimension_count": 8 if arch == "gptneox" else head_of(arch),
    }  # fmt: skip
    others: dict[str, Pair] = {}
    if arch.startswith("gemma"):
        numbers |= {"attention.key_length": 64, "attention.value_length": 64,
                    "attention.sliding_window": 64}  # fmt: skip
    if arch == "gptneox":
        others = {"attention.layer_norm_epsilon": real(1e-5),
                  "use_parallel_residual": flag(is_parallel)}  # fmt: skip
    else:
        others["attention.layer_norm_rms_epsilon"] = real(1e-6)
    if arch == "gemma2":
        others |= {"attn_logit_softcapping": real(5.0), "final_logit_softcapping": real(8.0)}
    if arch == "gemma3":
        others["rope.freq_base"] = real(1e6)
    named = {key: scalar_pair(value) for key, value in numbers.items()} | others
    return {"general.architecture": text_pair(arch), "general.file_type": scalar_pair(1),
            **{f"{arch}.{key}": pair for key, pair in named.items()}}  # fmt: skip


def tensors_of(arch: str, vocabulary: int) -> Listed:
    """By name: shape (innermost first) and numbers."""
    random = np.random.RandomState(7)
    found: Listed = {}
    is_centred, is_gemma = arch == "gptneox", arch.startswith("gemma")
    q = HEADS * head_of(arch)
    k = q if is_centred else KV_HEADS * head_of(arch)

    def matrix(name: str, rows: int, columns: int, size: float = 1.0) -> None:
        numbers = random.standard_normal((rows, columns)) * size / columns**0.5
        found[f"{name}.weight"] = ((columns, rows), np.asarray(numbers, np.float32))
        if is_centred and name.startswith("blk."):
            vector(f"{name}.bias", rows, 0)

    def vector(name: str, count: int, mean: float = 1) -> None:
        numbers = mean + random.standard_normal(count) * 0.3
        found[name] = ((count,), np.asarray(numbers, np.float32))

    def norm(name: str, count: int = EMBEDDING) -> None:
        vector(f"{name}.weight", count)
        if is_centred:
            vector(f"{name}.bias", count, 0)

    matrix("token_embd", vocabulary, EMBEDDING, 3)
    norm("output_norm")
    if not is_gemma:
        matrix("output", vocabulary, EMBEDDING, 2.5)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        norm(f"{block}attn_norm")
        norm(f"{block}ffn_norm")
        if arch in ("phi3", "gptneox"):
            matrix(f"{block}attn_qkv", q + 2 * k, EMBEDDING, 2)
        else:
            matrix(f"{block}attn_q", q, EMBEDDING, 2)
            matrix(f"{block}attn_k", k, EMBEDDING, 2)
            matrix(f"{block}attn_v", k, EMBEDDING)
        if arch == "qwen2":
            for name, count in (("q", q), ("k", k), ("v", k)):
                vector(f"{block}attn_{name}.bias", count, 0)
        if arch in ("gemma3", "qwen3"):
            norm(f"{block}attn_q_norm", head_of(arch))
            norm(f"{block}attn_k_norm", head_of(arch))
        matrix(f"{block}attn_output", EMBEDDING, q)
        if arch == "phi3":
            matrix(f"{block}ffn_up", 2 * FEED_FORWARD, EMBEDDING)
        else:
            matrix(f"{block}ffn_up", FEED_FORWARD, EMBEDDING)
        if arch not in ("phi3", "gptneox"):
            matrix(f"{block}ffn_gate", FEED_FORWARD, EMBEDDING)
        matrix(f"{block}ffn_down", EMBEDDING, FEED_FORWARD)
        if is_gemma:
            norm(f"{block}post_attention_norm")
            norm(f"{block}post_ffw_norm")
    return found


def write(arch: str, path: Path, tokenizer: Path, *, is_parallel: bool = True) -> Path:
    """A model as a GGUF file, with the tokenizer of another."""
    other = read_model(tokenizer).pairs
    pairs = {key: pair for key, pair in other.items() if key.startswith("tokenizer.")}
    vocabulary = pairs["tokenizer.ggml.tokens"].count
    own = pairs_of(arch, is_parallel=is_parallel)
    return write_tensors(path, own | pairs, tensors_of(arch, vocabulary), TensorType.F16)
