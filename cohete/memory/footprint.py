"""What a served model needs, part by part, from its shape alone. Pure.

For llama.cpp's server. Weights, KV cache and output buffer are exact; the compute buffer is an
upper bound, fitted on llama-server's own figures for 24 shapes and held against 14 others and
against public logs. All sizes are MiB unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

MIB = 1024 * 1024
OVERHEAD_MIB = 450.0
"""What CUDA, the process and its small buffers take on a Jetson, until it was measured there."""
_PAD = 256
_SLACK_BYTES = 64 * 1024
_WIDTHS = 9
"""Rows of the attention's width that are alive at once without flash attention."""


class KvType(StrEnum):
    """How the KV cache is stored."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q5_1 = "q5_1"
    Q5_0 = "q5_0"
    Q4_1 = "q4_1"
    Q4_0 = "q4_0"

    @property
    def bytes(self) -> float:
        """Of one number."""
        return _KV_BYTES[self]

    @property
    def is_quantized(self) -> bool:
        """Quantized caches need rows that 32 divides, and flash attention."""
        return self is not KvType.F16


_KV_BYTES = {
    KvType.F16: 2.0, KvType.Q8_0: 34 / 32, KvType.Q5_1: 24 / 32, KvType.Q5_0: 22 / 32,
    KvType.Q4_1: 20 / 32, KvType.Q4_0: 18 / 32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides the buffers. `window` of 0: no layer attends to a window only."""

    name: str
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    key: int
    """Numbers of a head's key; `value` of its value."""
    value: int
    feed_forward: int
    vocabulary: int
    is_tied: bool = False
    window: int = 0
    window_layers: int = 0
    is_gated: bool = True
    """Whether the feed-forward part has a gate: nearly all have."""
    experts: int = 0
    """That are used for one token; `feed_forward` is then of all these together."""
    uneven_kv_heads: tuple[int, ...] = ()
    """Of each layer, where layers differ; `kv_heads` is the most."""
    state_bytes: int = 0
    """What recurrent layers keep for each slot, however long its context."""

    @property
    def width(self) -> int:
        """Of the widest row of the attention."""
        return max(self.embedding, self.heads * self.key)

    def kv_bytes_per_token(self, kind: KvType = KvType.F16) -> float:
        """Of one token in the cache, where every layer keeps it."""
        heads = sum(self.uneven_kv_heads) or self.layers * self.kv_heads
        return heads * (self.key + self.value) * kind.bytes


@dataclass(frozen=True, slots=True)
class Serving:
    """How it is served. Slots share one cache (as llama-server does by itself) or have one each
    (`split`, as it does when it is told how many); None takes what needs more of both.
    """

    context: int = 2048
    slots: int = 1
    split: bool | None = None
    ubatch: int = 512
    flash_attention: bool = True
    kv_type: KvType = KvType.F16
    gpu: bool = True
    """Offloaded: a tied embedding is then there twice, and there are buffers on both sides."""

    @property
    def cache(self) -> tuple[int, int]:
        """Streams, and tokens of each."""
        if not self.split:
            return 1, _padded(self.context)
        return self.slots, _padded(-(-self.context // self.slots))


@dataclass(frozen=True, slots=True)
class Footprint:
    """MiB, each part on its own."""

    weights_mib: float
    kv_mib: float
    compute_mib: float
    output_mib: float
    tied_copy_mib: float
    overhead_mib: float

    @property
    def total_mib(self) -> float:
        """Everything together."""
        return (self.weights_mib + self.kv_mib + self.compute_mib + self.output_mib
                + self.tied_copy_mib + self.overhead_mib)  # fmt: skip


def footprint(
    shape: ModelShape,
    serving: Serving,
    weights_bytes: int,
    embedding_bytes: int,
    overhead_mib: float = OVERHEAD_MIB,
) -> Footprint:
    """What it needs. `embedding_bytes`: of the token embedding as it is stored."""
    if serving.split is None:
        each, shared = replace(serving, split=True), replace(serving, split=False)
        if serving.slots == 1:
            return footprint(shape, shared, weights_bytes, embedding_bytes, overhead_mib)
        return max(
            (footprint(shape, way, weights_bytes, embedding_bytes, overhead_mib)
             for way in (each, shared)),
            key=lambda found: found.total_mib,
        )  # fmt: skip
    tied = embedding_bytes if shape.is_tied and serving.gpu else 0
    return Footprint(
        weights_bytes / MIB,
        _kv_bytes(shape, serving) / MIB,
        (_compute_bytes(shape, serving) + _host_bytes(shape, serving)) / MIB,
        4 * shape.vocabulary * serving.slots / MIB,
        tied / MIB,
        overhead_mib,
    )


def refusal(shape: ModelShape, serving: Serving) -> str:
    """Why it cannot be served like this at all; empty where it can."""
    if not serving.kv_type.is_quantized:
        return ""
    if not serving.flash_attention:
        return f"a cache of {serving.kv_type} needs flash attention"
    if shape.key % 32 or shape.value % 32:
        return f"a cache of {serving.kv_type} needs heads that 32 divides, not {shape.key}"
    return ""


def _padded(tokens: int) -> int:
    return -(-tokens // _PAD) * _PAD


def _window_tokens(shape: ModelShape, serving: Serving) -> int:
    """Tokens a layer with a window keeps, in each stream."""
    tokens = serving.cache[1]
    if not shape.window:
        return tokens
    sharers = 1 if serving.split else serving.slots
    return min(tokens, _padded(shape.window * sharers + serving.ubatch))


def _kv_bytes(shape: ModelShape, serving: Serving) -> float:
    streams, tokens = serving.cache
    states = serving.slots * shape.state_bytes
    if not shape.window_layers:
        return states + streams * tokens * shape.kv_bytes_per_token(serving.kv_type)
    row = shape.kv_heads * (shape.key + shape.value) * serving.kv_type.bytes
    full = shape.layers - shape.window_layers
    kept = full * tokens + shape.window_layers * _window_tokens(shape, serving)
    return states + streams * row * kept


def _host_bytes(shape: ModelShape, serving: Serving) -> int:
    """What stays with the processor where the GPU computes: masks, and what goes in.

    On a Jetson both are the same memory.
    """
    if not serving.gpu:
        return 0
    masks = (6 if serving.flash_attention else 4) * _padded(serving.context)
    return serving.ubatch * (masks + 4 * shape.embedding)


def _compute_bytes(shape: ModelShape, serving: Serving) -> float:
    batch, embedding = serving.ubatch, shape.embedding
    tokens = _padded(serving.context)
    masks = tokens + (_window_tokens(shape, serving) if shape.window else 0)
    logits = 4 * serving.slots * (shape.vocabulary + embedding) + 4 * batch * embedding
    wide = (3 if shape.is_gated else 2) * shape.feed_forward
    # What each expert gives out is there until it is added up.
    wide = max(wide, shape.experts * embedding)
    forward = 4 * batch * (wide + 3 * embedding + shape.width)
    if serving.flash_attention:
        needed = max(forward, logits) + 2 * batch * masks
        needed += 4 * batch * embedding if serving.kv_type.is_quantized else 0
        return needed + _SLACK_BYTES
    seen = serving.cache[1] if serving.split else tokens
    attention = 4 * batch * (
        shape.heads * seen + _WIDTHS * shape.width + 2 * shape.kv_heads * shape.key
    )  # fmt: skip
    return max(forward, logits, attention) + 4 * batch * masks + _SLACK_BYTES
