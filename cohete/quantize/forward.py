"""The forward pass of models people put on boards, with numpy alone.

Positions are turned as for short texts: what a header says of longer ones is not gone by.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cohete.memory.footprint import ModelShape
from cohete.quantize.decode import DECODED, decode
from cohete.quantize.gguf import GgufError, Model, read_model
from cohete.quantize.lanes import Floats
from cohete.quantize.shapes import FULL_EVERY, shape_of

MAX_NUMBERS = 60_000_000
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Family:
    """What an architecture has in its layers.

    `is_interleaved`: pairs that are turned lie side by side, and not half a head apart. `is_gelu`:
    instead of SiLU. `is_centred`: norms take the mean away. `is_gemma`: the embedding is scaled by
    the root of its width. `score_cap`, `logit_cap`: what scores and logits are kept below, where
    the header does not say.
    """

    is_interleaved: bool = False
    is_gelu: bool = False
    is_centred: bool = False
    is_gemma: bool = False
    score_cap: float = 0.0
    logit_cap: float = 0.0


_FAMILIES = {
    "llama": Family(is_interleaved=True),
    "qwen2": Family(),
    "qwen3": Family(),
    "phi3": Family(),
    "gemma2": Family(is_gelu=True, is_gemma=True, score_cap=50.0, logit_cap=30.0),
    "gemma3": Family(is_gelu=True, is_gemma=True),
    "gptneox": Family(is_gelu=True, is_centred=True),
}
FAMILIES = frozenset(_FAMILIES)
_WIDE_GEMMA = {("gemma2", 46), ("gemma3", 62)}
"""Those of 27 billion numbers: their scores are scaled by the width of the model by its heads."""


def shape_here(model: Model) -> ModelShape:
    """The shape of a model that can be worked out here, held in memory as a whole.

    Raises GgufError where it is too large for that, and as `shape_known` does.
    """
    if sum(tensor.numbers for tensor in model.tensors) > MAX_NUMBERS:
        raise GgufError(f"it has more than {MAX_NUMBERS // 1_000_000} million numbers",
                        where=str(model.paths[0]))  # fmt: skip
    return shape_known(model)


def shape_known(model: Model) -> ModelShape:
    """The shape of a model whose layers are known here.

    Raises GgufError where it is none of FAMILIES, or not of the shape its header tells.
    """
    where = str(model.paths[0])
    rows = {tensor.name: tensor.shape[-1] for tensor in model.tensors if tensor.shape}
    if model.architecture not in FAMILIES or "blk.0.ffn_gate_inp.weight" in rows:
        raise GgufError(f"{model.architecture or 'its architecture'} is not among "
                        f"{', '.join(sorted(FAMILIES))}", where=where)  # fmt: skip
    shape = shape_of(model)
    wanted = {"attn_q": shape.heads * shape.key, "attn_k": shape.kv_heads * shape.key,
              "attn_v": shape.kv_heads * shape.value}  # fmt: skip
    if "blk.0.attn_qkv.weight" in rows:
        wanted = {"attn_qkv": sum(wanted.values())}
    for name, count in wanted.items():
        if rows.get(f"blk.0.{name}.weight") != count:
            raise GgufError(f"{name} is not of the shape that its header tells", where=where)
    return shape


class Past:
    """Keys and values of the tokens so far, for `chunks` texts of at most `places` tokens."""

    def __init__(self, shape: ModelShape, chunks: int, places: int) -> None:
        self.count = 0
        heads = (shape.layers, chunks, shape.kv_heads, places)
        self._keys = np.empty((*heads, shape.key), np.float32)
        self._values = np.empty((*heads, shape.value), np.float32)

    def going_on(self, layer: int, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Those of a layer with these behind them."""
        end = self.count + keys.shape[-2]
        self._keys[layer, :, :, self.count : end] = keys
        self._values[layer, :, :, self.count : end] = values
        return self._keys[layer, :, :, :end], self._values[layer, :, :, :end]


class Layers(ABC):
    """What the layers of a model do; `weights` are those that are held in memory."""

    def __init__(self, model: Model, shape: ModelShape, weights: dict[str, Floats]) -> None:
        self.shape = shape
        self.model = model
        self.weights = weights
        self._names = {tensor.name for tensor in model.tensors}
        self._family = family = _FAMILIES[model.architecture]
        kind = "layer_norm_epsilon" if family.is_centred else "layer_norm_rms_epsilon"
        self._epsilon = np.float32(_float(model, f"attention.{kind}", 1e-5))
        self._base = _float(model, "rope.freq_base", 10_000.0)
        self._window_base = self._base
        if model.architecture == "gemma3":
            self._window_base = _float(model, "rope.freq_base_swa", 10_000.0)
        turned = _float(model, "rope.dimension_count", shape.key)
        if not (0 <= turned <= shape.key and turned % 2 == 0):
            raise GgufError("its header turns more of a head than there is",
                            where=str(model.paths[0]))  # fmt: skip
        self._turned_width = int(turned)
        self._score_cap = _float(model, "attn_logit_softcapping", family.score_cap)
        self._logit_cap = _float(model, "final_logit_softcapping", family.logit_cap)
        is_wide = (model.architecture, shape.layers) in _WIDE_GEMMA
        width = shape.embedding // shape.heads if is_wide else shape.key
        self._score_scale = np.float32(1 / math.sqrt(width))
        self._is_parallel = bool(_float(model, "use_parallel_residual", 1.0)) and family.is_centred

    @abstractmethod
    def looked_up(self, tokens: Tokens) -> Floats:
        """Rows of the embedding: shape (..., places, embedding)."""

    @abstractmethod
    def times(self, x: Floats, name: str) -> Floats:
        """Each row of `x` times the matrix of this name: what each of its rows makes of it."""

    def enter(self, tokens: Tokens) -> Floats:
        """What goes into the first layer: shape (..., places, embedding)."""
        found = self.looked_up(tokens)
        if self._family.is_gemma:
            found = found * np.float32(math.sqrt(self.shape.embedding))
        return found

    def through(
        self, x: Floats, first: int = 0, end: int | None = None, past: Past | None = None
    ) -> Floats:
        """What comes out of these layers, of what goes into the first of them."""
        count = x.shape[-2]
        begin = past.count if past is not None else 0
        turns = {base: self._turns(begin, count, base) for base in (self._base, self._window_base)}
        for layer in range(first, self.shape.layers if end is None else end):
            is_windowed = self._is_windowed(layer)
            turn = turns[self._window_base if is_windowed else self._base]
            mixed = self._attention(layer, x, turn, past, self.shape.window if is_windowed else 0)
            block = f"blk.{layer}."
            if self._is_parallel:
                x = x + mixed + self._feed_forward(block, x)
            else:
                x = x + mixed
                x = x + self._feed_forward(block, x)
        if past is not None:
            past.count += count
        return x

    def norm(self, x: Floats, name: str) -> Floats:
        """Each row by its root mean square (or deviation), times the gains of this name."""
        if self._family.is_centred:
            x = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + self._epsilon)
        found: Floats = x / scale * self.weights[f"{name}.weight"]
        return self._plus_bias(found, name)

    def _is_windowed(self, layer: int) -> bool:
        every = FULL_EVERY.get(self.model.architecture, 1)
        return bool(self.shape.window) and layer % every < every - 1

    def _plus_bias(self, x: Floats, name: str) -> Floats:
        bias = self.weights.get(f"{name}.bias")
        return x if bias is None else x + bias

    def _linear(self, x: Floats, name: str) -> Floats:
        return self._plus_bias(self.times(x, f"{name}.weight"), name)

    def _normed(self, x: Floats, name: str) -> Floats:
        """By a norm that only some have."""
        return self.norm(x, name) if f"{name}.weight" in self.weights else x

    def _parts(self, block: str, h: Floats) -> tuple[Floats, Floats, Floats]:
        """Queries, keys and values: shape (..., places, heads, numbers of a head)."""
        shape, lead = self.shape, h.shape[:-1]
        sizes = [(shape.heads, shape.key), (shape.kv_heads, shape.key),
                 (shape.kv_heads, shape.value)]  # fmt: skip
        if f"{block}attn_qkv.weight" in self._names:
            ends = np.cumsum([heads * width for heads, width in sizes])[:2]
            parts = np.split(self._linear(h, f"{block}attn_qkv"), ends, axis=-1)
        else:
            parts = [self._linear(h, f"{block}attn_{name}") for name in "qkv"]
        q, k, v = (part.reshape(*lead, *size) for part, size in zip(parts, sizes, strict=True))
        return self._normed(q, f"{block}attn_q_norm"), self._normed(k, f"{block}attn_k_norm"), v

    def _attention(
        self, layer: int, x: Floats, turn: tuple[Floats, Floats], past: Past | None, window: int
    ) -> Floats:
        shape, block = self.shape, f"blk.{layer}."
        lead = x.shape[:-1]
        q, k, v = self._parts(block, self.norm(x, f"{block}attn_norm"))
        q, k = self._turned(q, turn), self._turned(k, turn)
        k, v = k.swapaxes(-2, -3), v.swapaxes(-2, -3)
        if past is not None:
            k, v = past.going_on(layer, k, v)
        # A head of keys and values serves a group of heads in a row.
        group = shape.heads // shape.kv_heads
        q = q.swapaxes(-2, -3).reshape(*lead[:-1], shape.kv_heads, group, lead[-1], shape.key)
        scores = q @ k[..., None, :, :].swapaxes(-1, -2)
        scores *= self._score_scale
        if self._score_cap:
            scores = np.tanh(scores / self._score_cap) * self._score_cap
        places, known = scores.shape[-2:]
        ago = np.arange(known - places, known)[:, None] - np.arange(known)
        scores[..., (ago < 0) | (ago >= (window or known))] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ v[..., None, :, :]).reshape(*lead[:-1], shape.heads, *lead[-1:], -1)
        mixed = mixed.swapaxes(-2, -3).reshape(*lead, -1)
        found = self._linear(np.ascontiguousarray(mixed, np.float32), f"{block}attn_output")
        return self._normed(found, f"{block}post_attention_norm")

    def _feed_forward(self, block: str, x: Floats) -> Floats:
        h = self.norm(x, f"{block}ffn_norm")
        up = self._linear(h, f"{block}ffn_up")
        if f"{block}ffn_gate.weight" in self._names:
            found = self._bent(self._linear(h, f"{block}ffn_gate"))
            found *= up
        elif self.model.architecture == "phi3":
            gate, up = np.split(up, 2, axis=-1)
            found = self._bent(gate) * up
        else:
            found = self._bent(up)
        return self._normed(self._linear(found, f"{block}ffn_down"), f"{block}post_ffw_norm")

    def _bent(self, x: Floats) -> Floats:
        """By the activation: GELU in its form with a tangent, or SiLU."""
        if self._family.is_gelu:
            root, cubic = np.float32(math.sqrt(2 / math.pi)), np.float32(0.044715)
            found: Floats = 1 + np.tanh(root * x * (1 + cubic * x * x))
            found *= np.float32(0.5) * x
            return found
        found = np.exp(-x)
        found += 1
        np.divide(x, found, out=found)
        return found

    def _turns(self, begin: int, count: int, base: float) -> tuple[Floats, Floats]:
        """Cosines and sines of the rotary embedding: shape (places, half of what is turned)."""
        half = self._turned_width // 2
        speed = base ** (-np.arange(half, dtype=np.float64) / half)
        angle = np.arange(begin, begin + count, dtype=np.float64)[:, None] * speed
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def _turned(self, x: Floats, turn: tuple[Floats, Floats]) -> Floats:
        """The first numbers of each head turned by their place; the others stay."""
        cos, sin = (part[:, None, :] for part in turn)
        width = self._turned_width
        half = width // 2
        if self._family.is_interleaved:
            a, b = x[..., 0:width:2], x[..., 1:width:2]
        else:
            a, b = x[..., :half], x[..., half:width]
        parts = (a * cos - b * sin, a * sin + b * cos)
        if self._family.is_interleaved:
            found = np.stack(parts, axis=-1).reshape(*x.shape[:-1], width)
        else:
            found = np.concatenate(parts, axis=-1)
        return found if width == x.shape[-1] else np.concatenate((found, x[..., width:]), axis=-1)


class Forward(Layers):
    """A model in memory as float32. Raises GgufError as `shape_here` does."""

    def __init__(self, path: Path) -> None:
        model = read_model(path)
        shape = shape_here(model)
        super().__init__(model, shape, dict(_weights(model)))

    def looked_up(self, tokens: Tokens) -> Floats:
        """Of what is in memory."""
        found: Floats = self.weights["token_embd.weight"][tokens]
        return found

    def times(self, x: Floats, name: str) -> Floats:
        """Of what is in memory."""
        found: Floats = x @ self.weights[name].T
        return found

    def log_probabilities(self, tokens: Tokens, begin: int = 0, past: Past | None = None) -> Floats:
        """Of every token, at each place from `begin` on: shape (..., places, vocabulary).

        `tokens`: (..., places). With a past they go on from it, and are kept there.
        """
        return self.leave(self.through(self.enter(tokens), past=past), begin)

    def leave(self, x: Floats, begin: int = 0) -> Floats:
        """Log-probabilities of what comes out of the last layer."""
        head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        logits = self.norm(x[..., begin:, :], "output_norm") @ head.T
        if self._logit_cap:
            logits = np.tanh(logits / self._logit_cap) * self._logit_cap
        logits -= logits.max(axis=-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return logits

    def predictions(self, chunk: Tokens, begin: int = 0) -> Floats:
        """Log-probabilities from a place on; of an odd model they may be no numbers."""
        with np.errstate(all="ignore"):
            return self.log_probabilities(chunk, begin)


def _weights(model: Model) -> Iterator[tuple[str, Floats]]:
    for tensor in model.tensors:
        if tensor.type not in DECODED:
            raise GgufError(f"{tensor.name} is {tensor.type.label}, which is not read here",
                            where=str(tensor.path))  # fmt: skip
        try:
            raw = np.fromfile(tensor.path, np.uint8, tensor.bytes, offset=tensor.offset)
        except OSError as error:
            raise GgufError(f"it cannot be read: {error.strerror}",
                            where=str(tensor.path)) from None  # fmt: skip
        yield tensor.name, decode(raw, tensor.type).reshape(tensor.shape[::-1])


def _float(model: Model, key: str, otherwise: float) -> float:
    pair = model.pairs.get(f"{model.architecture}.{key}")
    value = pair.value if pair is not None else None
    return float(value) if isinstance(value, int | float) else otherwise
