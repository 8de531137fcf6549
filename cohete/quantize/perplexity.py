"""How well a model predicts a text, with numpy alone: for models that are small enough for it.

As llama-perplexity does: the text is cut into chunks, each begins with the model's token for a
beginning, its second half is scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cohete.quantize.forward import Forward, Tokens
from cohete.quantize.lanes import Floats

CONTEXT = 256


@dataclass(frozen=True, slots=True)
class Measured:
    """Perplexity of a model and of the one it was made from, on the same `tokens` scored tokens.

    `divergence`: mean KL divergence of its predictions from those of the other, in nats.
    """

    base: float
    found: float
    divergence: float
    tokens: int

    @property
    def percent(self) -> float:
        """By how much it rose."""
        return 100 * (self.found / self.base - 1)


def measure(base: Path, made: Path, tokens: Tokens, context: int = CONTEXT) -> Measured:
    """Both on the same tokens. Raises GgufError; ValueError where there are too few of them."""
    one, other = Forward(base), Forward(made)
    first = one.model.number("tokenizer.ggml.bos_token_id")
    lost = divergence = wrong = 0.0
    scored = 0
    for chunk in chunks_of(tokens, context, first):
        half = context // 2
        # Of a text the first half is only read.
        a, b = one.predictions(chunk, half)[:-1], other.predictions(chunk, half)[:-1]
        wanted, places = chunk[half + 1 :], np.arange(context - half - 1)
        lost -= float(a[places, wanted].sum())
        wrong -= float(b[places, wanted].sum())
        divergence += divergence_of(a, b)
        scored += len(places)
    if not scored:
        raise ValueError(f"a text of at least {context} tokens is needed")
    return Measured(math.exp(lost / scored), math.exp(wrong / scored), divergence / scored, scored)


def divergence_of(wanted: Floats, found: Floats) -> float:
    """KL divergence over all places, in nats; NaN where predictions are no numbers."""
    with np.errstate(all="ignore"):
        lost = wanted - found
        lost *= np.exp(wanted)
        return float(lost.sum())


def chunks_of(tokens: Tokens, context: int, first: int | None) -> Iterator[Tokens]:
    """A text cut into chunks of `context` tokens, each with `first` for its beginning."""
    for at in range(0, len(tokens) - context + 1, context):
        chunk = np.array(tokens[at : at + context], np.int64)
        if first is not None:
            chunk[0] = first
        yield chunk
