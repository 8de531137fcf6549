"""Which encoder each tensor gets, tried out on a text: for models that are small enough for it.

The search leaves less error in every block, and a tensor may come out worse all the same: in a
small model one direction in which the rest points may decide. So each tensor is made in each way,
and what keeps the predictions nearest to those of the source stays.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cohete.quantize.lanes import Floats
from cohete.quantize.measuring import FAILURES, tokens_of, why_not
from cohete.quantize.perplexity import CONTEXT, Forward, Tokens, chunks_of, divergence_of
from cohete.quantize.plan import Output, Plan
from cohete.quantize.slabs import lossy
from cohete.quantize.types import Encoder, TensorType

LEAST_CHUNKS, MOST_CHUNKS = 4, 40
"""Of the text: with fewer, luck would decide."""
WORK = 8e12
"""Multiplications that it may take: some minutes."""
CALLS = 5e8
"""As many more for each chunk, which small models spend on calling numpy."""
ROOM_BYTES = 1 << 28
"""For the predictions of the source."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The encoder of each tensor that has a choice, and mean KL divergence in nats on `tokens`
    scored tokens: with the reference for all of them, and with these."""

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
            f"chosen on the first half of the text ({self.tokens} tokens scored): {told}; "
            f"KL divergence there {self.before:.2g}, now {self.after:.2g}"
        )


def chosen_on(
    plan: Plan, words: str, tell: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Plan, str]:
    """The plan with the encoders that are best on the first half of a text, and how they were
    chosen; the very plan, and why, where there is no choice or it cannot be told."""
    if not any(each.has_choice for each in plan.outputs):
        return plan, ""
    try:
        tokens = tokens_of(plan.model.paths[0], words)
        choice = choose(plan, tokens[: len(tokens) // 2], tell)
    except FAILURES as error:
        return plan, f"not chosen on the text: {why_not(error)}"
    return chosen(plan, choice), choice.words


def chosen(plan: Plan, choice: Choice) -> Plan:
    """The plan with these encoders."""
    outputs = tuple(
        replace(each, encoder=choice.encoders.get(each.name, each.encoder))
        for each in plan.outputs
    )  # fmt: skip
    return replace(plan, outputs=outputs)


def choose(
    plan: Plan, tokens: Tokens, tell: Callable[[int, int], None] = lambda done, total: None
) -> Choice:
    """Try each tensor with each encoder; `tell` hears how many of all trials are done.

    Raises GgufError for a model that cannot be worked out here, ValueError where the text is too
    short or the model's predictions are no numbers (NotFinite where its weights are none).
    """
    trials = _Trials(Forward(plan.model.paths[0]), plan, tokens, tell)
    best = {each.name: Encoder.REFERENCE for each in trials.open}
    weights = trials.all_by(Encoder.REFERENCE)
    before = after = trials.divergence(weights)
    searched = trials.all_by(Encoder.SEARCH)
    if (lost := trials.divergence(searched)) < after:
        best, weights, after = dict.fromkeys(best, Encoder.SEARCH), searched, lost
    del searched
    for output in trials.open:
        begun = best[output.name]
        for encoder in Encoder:
            if encoder is begun:
                continue
            tried = {**weights, output.name: trials.made(output, encoder)}
            if (lost := trials.divergence(tried)) < after:
                best[output.name], weights, after = encoder, tried, lost
    return Choice(best, before, after, trials.scored)


class _Trials:
    """A model, its predictions on some of a text, and how far others are from them."""

    def __init__(
        self, source: Forward, plan: Plan, tokens: Tokens, tell: Callable[[int, int], None]
    ) -> None:
        self._source = source
        self._tried = copy.copy(source)
        self._tell = tell
        self._outputs = [each for each in plan.outputs if each.type.is_quantized
                         and not each.is_copied]  # fmt: skip
        self.open = [each for each in self._outputs if each.has_choice]
        self._total = 2 + len(self.open) * (len(Encoder) - 1)
        self._done = 0
        first = source.model.number("tokenizer.ggml.bos_token_id")
        chunks = list(chunks_of(tokens, CONTEXT, first))
        count = min(self._affordable(), len(chunks))
        if count < LEAST_CHUNKS:
            raise ValueError(f"a text of at least {LEAST_CHUNKS * CONTEXT} tokens is needed")
        # Over the whole of the text.
        self._chunks = [chunks[nth * len(chunks) // count] for nth in range(count)]
        self._wanted = [source.predictions(chunk) for chunk in self._chunks]
        self.scored = sum(map(len, self._wanted))

    def _affordable(self) -> int:
        numbers = sum(weights.size for weights in self._source.weights.values())
        vocabulary = len(self._source.weights["token_embd.weight"])
        by_work = WORK / ((numbers * CONTEXT + CALLS) * self._total)
        if by_work < 1:
            raise ValueError("to try each of its tensors would take too long")
        by_room = ROOM_BYTES / (4 * vocabulary * CONTEXT / 2)
        return int(min(max(by_work, LEAST_CHUNKS), max(by_room, LEAST_CHUNKS), MOST_CHUNKS))

    def all_by(self, encoder: Encoder) -> dict[str, Floats]:
        """The model with one encoder for every tensor that has a choice."""
        made = {each.name: self.made(each, encoder) for each in self._outputs}
        return {**self._source.weights, **made}

    def made(self, output: Output, encoder: Encoder) -> Floats:
        """A tensor as it would come back."""
        weights = self._source.weights[output.name]
        raw = np.ascontiguousarray(weights).reshape(-1).view(np.uint8)
        return lossy(raw, TensorType.F32, output.type, encoder).reshape(weights.shape)

    def divergence(self, weights: dict[str, Floats]) -> float:
        """Mean KL divergence of a model with these weights."""
        self._tried.weights = weights
        lost = 0.0
        for chunk, wanted in zip(self._chunks, self._wanted, strict=True):
            found = self._tried.predictions(chunk)
            lost += divergence_of(wanted, found)
        self._done += 1
        self._tell(self._done, self._total)
        if not math.isfinite(lost):
            raise ValueError("its predictions are no numbers")
        return lost / self.scored
