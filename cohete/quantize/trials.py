"""A small model with tensors exchanged, and how far that takes its predictions from what they were.

Measured on what the model writes by itself. What it takes in time and memory is known before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from cohete.quantize.forward import Forward
from cohete.quantize.gguf import GgufError
from cohete.quantize.lanes import Floats
from cohete.quantize.owntext import own_text
from cohete.quantize.perplexity import CONTEXT, divergence_of
from cohete.quantize.plan import Output, Plan
from cohete.quantize.slabs import lossy
from cohete.quantize.types import Encoder

LEAST_CHUNKS, MOST_CHUNKS = 4, 32
"""Of CONTEXT tokens: with fewer, luck would decide."""
USUAL_WORK, MOST_WORK = 1.5e12, 5e12
"""Multiplications: a minute of one core, and some minutes for the least that is tried."""
CALLS = 5e8
"""As many more for each time through the layers, which small models spend on calling numpy."""
ROOM_BYTES = 5.5e8
"""All that it may hold at once, Python itself aside."""
_WRITING = 4.0
"""Times through the layers that writing takes: token by token each weight is read anew."""
_STRETCH = 1 << 20
"""Numbers that are encoded at once; whole blocks of any type."""

_LAYER = re.compile(r"blk\.(\d{1,6})\.")

Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model takes, for a chunk of CONTEXT tokens: multiplications and bytes."""

    layers: int
    layer_work: float
    head_work: float
    fixed_bytes: float
    chunk_bytes: float
    written_bytes: float
    thread_bytes: float

    def work(self, layer: int) -> float:
        """From this layer on; all of it where none is said (-1)."""
        return self.head_work + self.layer_work * (self.layers - max(0, layer))

    def chunks(self, work: float) -> int:
        """How many can be afforded where one takes so much. Raises ValueError."""
        by_room = min(
            (ROOM_BYTES - self.fixed_bytes - self.thread_bytes) / self.chunk_bytes,
            (ROOM_BYTES - self.fixed_bytes) / self.written_bytes,
        )
        if not work * LEAST_CHUNKS <= MOST_WORK:
            raise ValueError("to try each of its tensors would take too long")
        if not by_room >= LEAST_CHUNKS:
            raise ValueError("its predictions would take too much memory")
        return int(min(max(LEAST_CHUNKS, USUAL_WORK / work), by_room, MOST_CHUNKS))

    def threads(self, chunks: int) -> int:
        """How many there is room for beside so many chunks."""
        left = ROOM_BYTES - self.fixed_bytes - chunks * self.chunk_bytes
        return max(1, int(left / self.thread_bytes))


def cost_of(model: Forward) -> Cost:
    """Raises ValueError where the model contradicts itself."""
    shape, weights = model.shape, model.weights
    embedded = weights["token_embd.weight"]
    vocabulary, embedding = weights.get("output.weight", embedded).shape
    if vocabulary != len(embedded):
        raise ValueError("its tensors disagree on how many tokens there are")
    sizes = {name: each.size for name, each in weights.items()}
    in_layers = sum(size for name, size in sizes.items() if name.startswith("blk."))
    widest = max(each.shape[0] for name, each in weights.items() if name.startswith("blk."))
    heads = shape.key + shape.value
    scores = shape.heads * CONTEXT * CONTEXT
    places = 4 * CONTEXT
    return Cost(
        layers=shape.layers,
        layer_work=(in_layers * CONTEXT + CALLS) / shape.layers + scores * heads,
        head_work=vocabulary * embedding * CONTEXT,
        # All weights, and of the largest tensor what it was and what it is tried as.
        fixed_bytes=4 * (sum(sizes.values()) + 2 * max(sizes.values())) + 40 * _STRETCH,
        chunk_bytes=places * (vocabulary + 2 * embedding),
        written_bytes=places * shape.layers * shape.kv_heads * heads + 24 * vocabulary,
        thread_bytes=places * (3 * vocabulary + 4 * widest + 8 * embedding) + 8 * scores,
    )


class Trials:
    """The model that `source` was, from now on with the encoders that are `put`."""

    def __init__(self, source: Forward, plan: Plan, tell: Tell) -> None:
        self._model = source
        self._tell = tell
        self._cost = cost_of(source)
        self._outputs = [each for each in plan.outputs if each.type.is_quantized
                         and not each.is_copied]  # fmt: skip
        self.open = sorted(
            (each for each in self._outputs if each.has_choice),
            key=lambda each: self.layer_of(each.name),
        )
        each_layer = [
            (len(each.ways) - 1) * self._cost.work(self.layer_of(each.name)) for each in self.open
        ]
        whole = self._cost.work(0)
        self._total = (_WRITING + 3) * whole + sum(each_layer)
        self._done = 0.0
        self._count = self._cost.chunks(self._total)
        self.places = self._count * CONTEXT
        self._layer = -1
        self._inputs: list[Floats] = []

    def layer_of(self, name: str) -> int:
        """The layer a tensor is in; -1 for those before and behind all of them."""
        found = _LAYER.match(name)
        return min(int(found[1]), self._cost.layers - 1) if found else -1

    @contextmanager
    def begun(self, threads: int) -> Iterator[None]:
        """Write, predict, and be ready to exchange tensors, with so many threads at most."""
        model, whole = self._model, self._cost.work(0)
        self._chunks = own_text(
            model, self._count, CONTEXT, lambda share: self._tell_of(share * _WRITING * whole)
        )
        self._done = _WRITING * whole
        with ThreadPoolExecutor(min(threads, self._cost.threads(self._count))) as self._pool:
            self._wanted = list(self._pool.map(model.predictions, self._chunks))
            self._work_done(whole)
            for output in self._outputs:
                self.put(output, Encoder.REFERENCE)
            yield

    def put(self, output: Output, encoder: Encoder) -> None:
        """Exchange a tensor for what comes back of it."""
        source = output.source
        made = np.empty(source.numbers, np.float32)
        try:
            with source.path.open("rb") as file, np.errstate(all="ignore"):
                file.seek(source.offset)
                for begin in range(0, source.numbers, _STRETCH):
                    count = min(_STRETCH, source.numbers - begin)
                    raw = np.frombuffer(file.read(source.type.size(count)), np.uint8)
                    made[begin : begin + count] = lossy(
                        raw, source.type, output.type, encoder, output.columns, begin
                    )
        except OSError as error:
            raise GgufError(f"it cannot be read: {error.strerror}",
                            where=str(source.path)) from None  # fmt: skip
        self._model.weights[output.name] = made.reshape(source.shape[::-1])

    def held(self, output: Output) -> Floats:
        """The tensor as it is now."""
        return self._model.weights[output.name]

    def put_back(self, output: Output, weights: Floats) -> None:
        """The tensor as it was."""
        self._model.weights[output.name] = weights

    def go_to(self, output: Output) -> None:
        """From now on only tensors of its layer and those behind it are exchanged."""
        layer = self.layer_of(output.name)
        while self._layer < layer:
            self._inputs = list(self._pool.map(self._into_next, range(self._count)))
            self._layer += 1

    def _into_next(self, nth: int) -> Floats:
        with np.errstate(all="ignore"):
            if self._layer < 0:
                return self._model.enter(self._chunks[nth])
            return self._model.through(self._inputs[nth], self._layer, self._layer + 1)

    def _lost(self, nth: int) -> float:
        with np.errstate(all="ignore"):
            if self._layer < 0:
                x = self._model.through(self._model.enter(self._chunks[nth]))
            else:
                x = self._model.through(self._inputs[nth], self._layer)
            return divergence_of(self._wanted[nth], self._model.leave(x))

    def divergence(self) -> float:
        """Mean KL divergence as the tensors are now, in nats.

        Raises ValueError where predictions are no numbers.
        """
        lost = sum(self._pool.map(self._lost, range(self._count)))
        self._work_done(self._cost.work(self._layer))
        if not math.isfinite(lost):
            raise ValueError("its predictions are no numbers")
        return lost / self.places

    def _work_done(self, work: float) -> None:
        self._done += work
        self._tell_of(self._done)

    def _tell_of(self, done: float) -> None:
        self._tell(min(1.0, done / self._total))
