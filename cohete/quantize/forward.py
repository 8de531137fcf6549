"""The forward pass of the llama, qwen2 and qwen3 families, with numpy alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cohete.memory.footprint import ModelShape
from cohete.quantize.decode import DECODED, decode
from cohete.quantize.gguf import GgufError, Model, read_model
from cohete.quantize.lanes import Floats
from cohete.quantize.shapes import shape_of

FAMILIES = frozenset({"llama", "qwen2", "qwen3"})
MAX_NUMBERS = 60_000_000
Tokens = npt.NDArray[np.int64]


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
    rows = {tensor.name: tensor.shape[-1] for tensor in model.tensors}
    if model.architecture not in FAMILIES or "blk.0.ffn_gate_inp.weight" in rows:
        raise GgufError(f"{model.architecture or 'its architecture'} is not among "
                        f"{', '.join(sorted(FAMILIES))}", where=where)  # fmt: skip
    shape = shape_of(model)
    wanted = {"attn_q": shape.heads * shape.key, "attn_k": shape.kv_heads * shape.key,
              "attn_v": shape.kv_heads * shape.value}  # fmt: skip
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
        self._interleaved = model.architecture == "llama"
        self._epsilon = _float(model, "attention.layer_norm_rms_epsilon", 1e-5)
        self._base = _float(model, "rope.freq_base", 10_000.0)

    @abstractmethod
    def enter(self, tokens: Tokens) -> Floats:
        """What goes into the first layer: shape (..., places, embedding)."""

    @abstractmethod
    def times(self, x: Floats, name: str) -> Floats:
        """Each row of `x` times the matrix of this name: what each of its rows makes of it."""

    def through(
        self, x: Floats, first: int = 0, end: int | None = None, past: Past | None = None
    ) -> Floats:
        """What comes out of these layers, of what goes into the first of them."""
        count = x.shape[-2]
        turn = self._turns(past.count if past is not None else 0, count)
        for layer in range(first, self.shape.layers if end is None else end):
            x = x + self._attention(layer, x, turn, past)
            x = x + self._feed_forward(f"blk.{layer}.", x)
        if past is not None:
            past.count += count
        return x

    def norm(self, x: Floats, name: str) -> Floats:
        """Each row by its root mean square, times the gains of this name."""
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        found: Floats = x / scale * self.weights[name]
        return found

    def _linear(self, x: Floats, name: str) -> Floats:
        found = self.times(x, f"{name}.weight")
        bias = self.weights.get(f"{name}.bias")
        return found if bias is None else found + bias

    def _attention(
        self, layer: int, x: Floats, turn: tuple[Floats, Floats], past: Past | None
    ) -> Floats:
        shape, block = self.shape, f"blk.{layer}."
        lead = x.shape[:-1]
        h = self.norm(x, f"{block}attn_norm.weight")
        q = self._linear(h, f"{block}attn_q").reshape(*lead, shape.heads, shape.key)
        k = self._linear(h, f"{block}attn_k").reshape(*lead, shape.kv_heads, shape.key)
        v = self._linear(h, f"{block}attn_v").reshape(*lead, shape.kv_heads, shape.value)
        if f"{block}attn_q_norm.weight" in self.weights:
            q = self.norm(q, f"{block}attn_q_norm.weight")
            k = self.norm(k, f"{block}attn_k_norm.weight")
        q, k = self._turned(q, turn), self._turned(k, turn)
        k, v = k.swapaxes(-2, -3), v.swapaxes(-2, -3)
        if past is not None:
            k, v = past.going_on(layer, k, v)
        # A head of keys and values serves a group of heads in a row.
        group = shape.heads // shape.kv_heads
        q = q.swapaxes(-2, -3).reshape(*lead[:-1], shape.kv_heads, group, lead[-1], shape.key)
        scores = q @ k[..., None, :, :].swapaxes(-1, -2)
        scores /= np.float32(math.sqrt(shape.key))
        places, known = scores.shape[-2:]
        later = np.full((places, known), -np.inf, np.float32)
        scores += np.triu(later, 1 + known - places)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ v[..., None, :, :]).reshape(*lead[:-1], shape.heads, *lead[-1:], -1)
        mixed = mixed.swapaxes(-2, -3).reshape(*lead, -1)
        return self._linear(np.ascontiguousarray(mixed, np.float32), f"{block}attn_output")

    def _feed_forward(self, block: str, x: Floats) -> Floats:
        h = self.norm(x, f"{block}ffn_norm.weight")
        gate = self._linear(h, f"{block}ffn_gate")
        up = self._linear(h, f"{block}ffn_up")
        return self._linear(gate / (1 + np.exp(-gate)) * up, f"{block}ffn_down")

    def _turns(self, begin: int, count: int) -> tuple[Floats, Floats]:
        """Cosines and sines of the rotary embedding: shape (places, half a head)."""
        half = self.shape.key // 2
        speed = self._base ** (-np.arange(half, dtype=np.float64) / half)
        angle = np.arange(begin, begin + count, dtype=np.float64)[:, None] * speed
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def _turned(self, x: Floats, turn: tuple[Floats, Floats]) -> Floats:
        """Pairs lie side by side in llama, half a head apart elsewhere."""
        cos, sin = (part[:, None, :] for part in turn)
        half = self.shape.key // 2
        if self._interleaved:
            a, b = x[..., 0::2], x[..., 1::2]
        else:
            a, b = x[..., :half], x[..., half:]
        parts = (a * cos - b * sin, a * sin + b * cos)
        if self._interleaved:
            return np.stack(parts, axis=-1).reshape(x.shape)
        return np.concatenate(parts, axis=-1)


class Forward(Layers):
    """A model in memory as float32. Raises GgufError as `shape_here` does."""

    def __init__(self, path: Path) -> None:
        model = read_model(path)
        shape = shape_here(model)
        super().__init__(model, shape, dict(_weights(model)))

    def enter(self, tokens: Tokens) -> Floats:
        """What goes into the first layer: shape (..., places, embedding)."""
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
        logits = self.norm(x[..., begin:, :], "output_norm.weight") @ head.T
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
