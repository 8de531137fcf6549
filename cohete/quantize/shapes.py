"""Shapes of models: from a GGUF header, and of the models people put on Jetsons, by name. Pure.

The table was entered from the models' public configurations; its sizes agree with llama.cpp's own
figures and published files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from cohete.memory.footprint import ModelShape
from cohete.quantize.gguf import GgufError, Model
from cohete.quantize.mixture import EMBEDDING, About, Recipe, type_of
from cohete.quantize.types import Level, TensorType

FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "exaone4": 4}
"""Architectures in which all layers but each n-th attend to a window only."""
NOT_GATED = frozenset(
    {"gptneox", "gpt2", "falcon", "mpt", "bloom", "starcoder", "phi2", "stablelm"}
)

Listed = tuple[str, tuple[int, ...], TensorType]
"""Name, shape (innermost first) and type of a tensor."""


def shape_of(model: Model) -> ModelShape:
    """The shape in a model's header. Raises GgufError where it does not tell."""
    arch = model.architecture

    def number(key: str, otherwise: int | None = None) -> int:
        found = model.number(f"{arch}.{key}")
        if found is None:
            # Layers that differ have one each: the most of them bounds what is needed.
            found = max(model.listed(f"{arch}.{key}"), default=otherwise)
        if found is None or not 0 < found < 1 << 31:
            raise GgufError(f"its header does not tell {arch or 'its architecture'}.{key}",
                            where=str(model.paths[0]))  # fmt: skip
        return found

    tensors = {tensor.name: tensor for tensor in model.tensors}
    layers, embedding = number("block_count"), number("embedding_length")
    heads = number("attention.head_count")
    head = embedding // heads
    window = model.number(f"{arch}.attention.sliding_window") or 0
    every = FULL_EVERY.get(arch, 0)
    windowed = layers - layers // every if window and every else 0
    state_bytes, uneven = 0, model.listed(f"{arch}.attention.head_count_kv")
    if uneven and (len(uneven) != layers or min(uneven) < 0):
        raise GgufError(f"its header has {arch}.attention.head_count_kv of {len(uneven)} layers, "
                        f"and {layers} layers", where=str(model.paths[0]))  # fmt: skip
    if state := _state_numbers(model, embedding):
        # In some models every layer has a state and attention too.
        state_bytes = 4 * state * (uneven.count(0) or layers)
    elif 0 in uneven:
        # What such a layer keeps instead is not known: as much as the others have.
        uneven = ()
    experts, feed_forward = _forward_of(model, number)
    listed = model.pairs.get("tokenizer.ggml.tokens")
    rows = tensors[EMBEDDING].rows if EMBEDDING in tensors else 0
    return ModelShape(
        model.text("general.name") or model.paths[0].stem,
        layers, embedding, heads,
        number("attention.head_count_kv", heads),
        number("attention.key_length", head),
        number("attention.value_length", head),
        feed_forward,
        rows or (listed.count if listed is not None else 0),
        is_tied="output.weight" not in tensors,
        window=window if windowed else 0,
        window_layers=windowed,
        is_gated=arch not in NOT_GATED,
        experts=experts,
        uneven_kv_heads=uneven,
        state_bytes=state_bytes,
    )  # fmt: skip


def _state_numbers(model: Model, embedding: int) -> int:
    """What a recurrent layer keeps for a slot, as llama.cpp has it (Mamba, short convolutions)."""
    convolution, inner, state, groups, short = (
        max(0, model.number(f"{model.architecture}.{key}") or 0)
        for key in ("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.group_count",
                    "shortconv.l_cache")
    )  # fmt: skip
    if short:
        return embedding * (short - 1)
    return max(0, convolution - 1) * (inner + 2 * groups * state) + state * inner


def _forward_of(model: Model, number: Callable[[str, int | None], int]) -> tuple[int, int]:
    """Experts that are used for a token, and the width of all that is worked out for it."""
    plain = number("feed_forward_length", 4 * number("embedding_length", None))
    experts = model.number(f"{model.architecture}.expert_count") or 0
    if experts <= 1:
        return 0, plain
    # Where it does not say how many are used: as if all were.
    used = min(number("expert_used_count", experts), experts)
    each = number("expert_feed_forward_length", plain)
    shared = model.number(f"{model.architecture}.expert_shared_feed_forward_length")
    if shared is None:
        shared = each * (model.number(f"{model.architecture}.expert_shared_count") or 0)
    return used, max(plain, used * each + shared)


def tensors_of(shape: ModelShape) -> list[Listed]:
    """The tensors of a model of this shape, as F16 with F32 norms."""
    f16, f32 = TensorType.F16, TensorType.F32
    e, ff = shape.embedding, shape.feed_forward
    q, k, v = shape.heads * shape.key, shape.kv_heads * shape.key, shape.kv_heads * shape.value
    found: list[Listed] = [
        (EMBEDDING, (e, shape.vocabulary), f16), ("output_norm.weight", (e,), f32),
    ]  # fmt: skip
    if not shape.is_tied:
        found.append(("output.weight", (e, shape.vocabulary), f16))
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        parts: list[Listed] = [
            ("attn_norm.weight", (e,), f32), ("ffn_norm.weight", (e,), f32),
            ("attn_q.weight", (e, q), f16), ("attn_k.weight", (e, k), f16),
            ("attn_v.weight", (e, v), f16),
            ("attn_output.weight", (shape.heads * shape.value, e), f16),
            ("ffn_up.weight", (e, ff), f16), ("ffn_down.weight", (ff, e), f16),
        ]  # fmt: skip
        if shape.is_gated:
            parts.append(("ffn_gate.weight", (e, ff), f16))
        parts += _extras(shape, q, k, v)
        found += [(block + name, size, kind) for name, size, kind in parts]
    return found


def _extras(shape: ModelShape, q: int, k: int, v: int) -> list[Listed]:
    """What single families have besides: norms and biases."""
    names: list[tuple[str, int]] = []
    if shape.name.startswith("gemma"):
        names += [("post_attention_norm.weight", shape.embedding),
                  ("post_ffw_norm.weight", shape.embedding)]  # fmt: skip
    if shape.name.startswith(("gemma-3", "qwen3")):
        names += [("attn_q_norm.weight", shape.key), ("attn_k_norm.weight", shape.key)]
    if shape.name.startswith(("qwen2.5", "r1-distill-qwen")):
        names += [("attn_q.bias", q), ("attn_k.bias", k), ("attn_v.bias", v)]
    return [(name, (size,), TensorType.F32) for name, size in names]


def sizes(tensors: Iterable[Listed], recipe: Recipe | None, about: About) -> tuple[int, int]:
    """Bytes of all tensors and of the token embedding by a recipe; None: as they are."""
    total = embedding = 0
    for name, shape, now in tensors:
        kind = now if recipe is None else type_of(name, shape, now, recipe, about)
        count = kind.size(math.prod(shape))
        total += count
        if name == EMBEDDING:
            embedding = count
    return total, embedding


def parameters(tensors: Iterable[Listed]) -> int:
    """Numbers of all tensors."""
    return sum(math.prod(shape) for _, shape, _ in tensors)


def listed_of(model: Model) -> list[Listed]:
    """A model's tensors."""
    return [(tensor.name, tensor.shape, tensor.type) for tensor in model.tensors]


def _row(text: str) -> ModelShape:
    """`name layers/embedding/heads/kv heads/head/feed forward vocabulary [T] [window/every]`."""
    name, numbers, vocabulary, *rest = text.split()
    layers, embedding, heads, kv_heads, head, feed_forward = map(int, numbers.split("/"))
    window, every = map(int, next((word for word in rest if "/" in word), "0/0").split("/"))
    return ModelShape(
        name, layers, embedding, heads, kv_heads, head, head, feed_forward, int(vocabulary),
        is_tied="T" in rest, window=window,
        window_layers=layers - layers // every if every else 0,
    )  # fmt: skip


TABLE = {
    shape.name: shape
    for shape in map(_row, """
llama-3.2-1b 16/2048/32/8/64/8192 128256 T
llama-3.2-3b 28/3072/24/8/128/8192 128256 T
llama-3.1-8b 32/4096/32/8/128/14336 128256
r1-distill-llama-8b 32/4096/32/8/128/14336 128256
llama-2-7b 32/4096/32/32/128/11008 32000
llama-2-13b 40/5120/40/40/128/13824 32000
mistral-7b-v0.3 32/4096/32/8/128/14336 32768
tinyllama-1.1b 22/2048/32/4/64/5632 32000
smollm2-135m 30/576/9/3/64/1536 49152 T
smollm2-360m 32/960/15/5/64/2560 49152 T
smollm2-1.7b 24/2048/32/32/64/8192 49152 T
qwen2.5-0.5b 24/896/14/2/64/4864 151936 T
qwen2.5-1.5b 28/1536/12/2/128/8960 151936 T
r1-distill-qwen-1.5b 28/1536/12/2/128/8960 151936
qwen2.5-3b 36/2048/16/2/128/11008 151936 T
qwen2.5-7b 28/3584/28/4/128/18944 152064
r1-distill-qwen-7b 28/3584/28/4/128/18944 152064
qwen2.5-14b 48/5120/40/8/128/13824 152064
qwen3-0.6b 28/1024/16/8/128/3072 151936 T
qwen3-1.7b 28/2048/16/8/128/6144 151936 T
qwen3-4b 36/2560/32/8/128/9728 151936 T
qwen3-8b 36/4096/32/8/128/12288 151936
gemma-2-2b 26/2304/8/4/256/9216 256000 T 4096/2
gemma-3-1b 26/1152/4/1/256/6912 262144 T 512/6
gemma-3-4b 34/2560/8/4/256/10240 262144 T 1024/6
phi-3-mini-4k 32/3072/32/32/96/8192 32064
phi-4-mini 32/3072/24/8/128/8192 200064 T
""".strip().splitlines())
}  # fmt: skip


def named(text: str) -> ModelShape | None:
    """A model of the table by a name as people write it: `Llama 3.2 1B`, `qwen3:0.6b`."""
    wanted = re.sub(r"[^a-z0-9.]+", "-", text.casefold()).strip("-")
    for suffix in ("", "-instruct", "-chat", "-it"):
        if wanted.removesuffix(suffix) in TABLE:
            return TABLE[wanted.removesuffix(suffix)]
    return None


def weights(shape: ModelShape, level: Level) -> tuple[int, int]:
    """Bytes of a table's model at a level, and of its token embedding."""
    about = About(experts=0, is_tied=shape.is_tied)
    return sizes(tensors_of(shape), Recipe(level), about)
