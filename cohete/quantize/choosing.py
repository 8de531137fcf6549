"""Which encoder each tensor gets, tried out: for models that are small enough for it.

The search leaves less error in every block, and a tensor may come out worse all the same: in a
small model one direction in which the rest points may decide. So each tensor is made in each way,
and what keeps the predictions nearest to those of the source stays. They are compared on what the
source writes by itself: of its own kind, whatever it was trained on.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from cohete.quantize.gguf import GgufError
from cohete.quantize.lanes import Floats
from cohete.quantize.manifest import Manifest
from cohete.quantize.measuring import FAILURES, why_not
from cohete.quantize.owntext import SEED, own_text
from cohete.quantize.perplexity import CONTEXT, Forward, divergence_of, shape_here
from cohete.quantize.plan import Output, Plan
from cohete.quantize.run import ENCODERS
from cohete.quantize.slabs import digest, lossy
from cohete.quantize.types import Encoder, TensorType

LEAST_CHUNKS, MOST_CHUNKS = 4, 32
"""Of CONTEXT tokens: with fewer, luck would decide."""
WORK = 4e12
"""Multiplications that it may take: some minutes."""
CALLS = 5e8
"""As many more for each chunk, which small models spend on calling numpy."""
ROOM_BYTES = 1 << 28
"""For the predictions of the source."""
MOST_WORDS = 400

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """The encoder of each tensor that has a choice, and mean KL divergence in nats over `tokens`
    places: with the reference for all of them, and with these."""

    encoders: Mapping[str, Encoder]
    before: float
    after: float
    tokens: int

    @property
    def words(self) -> str:
        """For a person."""
        counts = Counter(self.encoders.values())
        told = ", ".join(f"{counts[each]} {each}" for each in Encoder if counts[each])
        return (
            f"{told}; chosen on {self.tokens} tokens that the model wrote by itself: "
            f"KL divergence there {self.after:.2g}, {self.before:.2g} with the reference for all"
        )


def try_out(
    plan: Plan,
    made: Manifest | None = None,
    threads: int = 1,
    tell: Tell = lambda done, total: None,
) -> Plan:
    """The plan with the encoders that turn out best, and a word on how they were chosen; with those
    of before, and why, where there is no choice or it cannot be told.

    `made`: of the file that is there already. What it was decided by may be the same.
    """
    if not any(each.has_choice for each in plan.outputs):
        return plan
    try:
        shape_here(plan.model)
        decided_by = _decided_by(plan)
        if made is not None and made.choice_of == decided_by:
            encoders, words = _noted_in(made, plan), made.choice
        else:
            begun = time.monotonic()
            choice = choose(plan, threads, tell)
            took_s = time.monotonic() - begun
            encoders, words = choice.encoders, f"{choice.words} (took {took_s:.1f} s)"
    except FAILURES as error:
        why = f"searched for each tensor, none tried out: {why_not(error)}"
        return replace(plan, choice=why[:MOST_WORDS])
    return replace(chosen(plan, encoders), choice=words, choice_of=decided_by)


def chosen(plan: Plan, encoders: Mapping[str, Encoder]) -> Plan:
    """The plan with these encoders."""
    outputs = tuple(
        replace(each, encoder=encoders.get(each.name, each.encoder)) for each in plan.outputs
    )
    return replace(plan, outputs=outputs)


def _decided_by(plan: Plan) -> str:
    """A digest of the source, of what it becomes, and of how that is tried out."""
    limits = [CONTEXT, SEED, MOST_CHUNKS, WORK, CALLS, ROOM_BYTES]
    parts = [*map(str, limits), *ENCODERS.values(), digest(plan.header)]
    for output in plan.outputs:
        source = output.source
        try:
            with source.path.open("rb") as file:
                file.seek(source.offset)
                parts.append(digest(file.read(source.bytes)))
        except OSError as error:
            raise GgufError(f"it cannot be read: {error.strerror}",
                            where=str(source.path)) from None  # fmt: skip
    return digest(" ".join(parts).encode())


def _noted_in(made: Manifest, plan: Plan) -> Mapping[str, Encoder]:
    """The encoders of a file. Raises LookupError where its manifest does not fit itself."""
    by_name = {name: encoder for encoder, name in ENCODERS.items()}
    noted = {each.name: each.encoder or made.encoder for each in made.tensors}
    return {each.name: by_name[noted[each.name]] for each in plan.outputs if each.has_choice}


def choose(plan: Plan, threads: int = 1, tell: Tell = lambda done, total: None) -> Choice:
    """Try each tensor with each encoder; `tell` hears how many of all trials are done.

    The same with any number of threads. Raises GgufError for a model that cannot be worked out
    here, ValueError where it would take too long or the model's predictions are no numbers
    (NotFinite where its weights are none).
    """
    source = Forward(plan.model.paths[0])
    with ThreadPoolExecutor(threads) as pool:
        trials = _Trials(source, plan, pool, tell)
        best = {each.name: Encoder.REFERENCE for each in trials.open}
        weights = trials.all_by(Encoder.REFERENCE)
        before = after = trials.divergence(weights)
        searched = trials.all_by(Encoder.SEARCH)
        if (lost := trials.divergence(searched)) < after:
            best, weights, after = dict.fromkeys(best, Encoder.SEARCH), searched, lost
        del searched
        for output in trials.open:
            trials.go_to(layer_of(output.name), weights)
            begun = best[output.name]
            for encoder in Encoder:
                if encoder is begun:
                    continue
                tried = {**weights, output.name: trials.made(output, encoder)}
                if (lost := trials.divergence(tried)) < after:
                    best[output.name], weights, after = encoder, tried, lost
    return Choice(best, before, after, trials.places)


def layer_of(name: str) -> int:
    """The layer a tensor is in; -1 for those before and behind all of them."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blk" and parts[1].isdecimal() else -1


class _Trials:
    """A model, its predictions on what it writes, and how far others are from them."""

    def __init__(self, source: Forward, plan: Plan, pool: Executor, tell: Tell) -> None:
        self._source = source
        self._tried = copy.copy(source)
        self._pool = pool
        self._tell = tell
        self._outputs = [each for each in plan.outputs if each.type.is_quantized
                         and not each.is_copied]  # fmt: skip
        self.open = sorted(
            (each for each in self._outputs if each.has_choice),
            key=lambda each: layer_of(each.name),
        )
        self._total = 2 + len(self.open) * (len(Encoder) - 1)
        self._done = 0
        self._chunks = own_text(source, self._affordable(), CONTEXT)
        self.places = self._chunks.size
        self._wanted = [source.predictions(chunk) for chunk in self._chunks]
        self._layer = -1
        self._inputs: list[Floats] = []

    def _affordable(self) -> int:
        numbers = sum(weights.size for weights in self._source.weights.values())
        vocabulary = len(self._source.weights["token_embd.weight"])
        by_work = WORK / ((numbers * CONTEXT + CALLS) * self._total)
        by_room = ROOM_BYTES / (4 * vocabulary * CONTEXT)
        if by_work < LEAST_CHUNKS:
            raise ValueError("to try each of its tensors would take too long")
        if by_room < LEAST_CHUNKS:
            raise ValueError("its predictions would take too much memory")
        return int(min(by_work, by_room, MOST_CHUNKS))

    def all_by(self, encoder: Encoder) -> dict[str, Floats]:
        """The model with one encoder for every tensor that has a choice."""
        made = {each.name: self.made(each, encoder) for each in self._outputs}
        return {**self._source.weights, **made}

    def made(self, output: Output, encoder: Encoder) -> Floats:
        """A tensor as it would come back."""
        weights = self._source.weights[output.name]
        raw = np.ascontiguousarray(weights).reshape(-1).view(np.uint8)
        return lossy(raw, TensorType.F32, output.type, encoder).reshape(weights.shape)

    def go_to(self, layer: int, weights: dict[str, Floats]) -> None:
        """From now on only this layer and those behind it change: what goes into it is kept."""
        self._tried.weights = weights
        while self._layer < layer:
            self._inputs = list(self._pool.map(self._into_next, range(len(self._chunks))))
            self._layer += 1

    def _into_next(self, nth: int) -> Floats:
        with np.errstate(all="ignore"):
            if self._layer < 0:
                return self._tried.enter(self._chunks[nth])
            return self._tried.through(self._inputs[nth], self._layer, self._layer + 1)

    def _lost(self, nth: int) -> float:
        with np.errstate(all="ignore"):
            if self._layer < 0:
                x = self._tried.through(self._tried.enter(self._chunks[nth]))
            else:
                x = self._tried.through(self._inputs[nth], self._layer)
            return divergence_of(self._wanted[nth], self._tried.leave(x))

    def divergence(self, weights: dict[str, Floats]) -> float:
        """Mean KL divergence of a model with these weights."""
        self._tried.weights = weights
        lost = sum(self._pool.map(self._lost, range(len(self._chunks))))
        self._done += 1
        self._tell(self._done, self._total)
        if not math.isfinite(lost):
            raise ValueError("its predictions are no numbers")
        return lost / self.places
