"""What a model writes by itself: a text of its own kind where nobody has given one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cohete.quantize.forward import Forward, Past, Tokens

SEED = 1


def own_text(
    source: Forward, chunks: int, places: int, tell: Callable[[float], None] = lambda share: None
) -> Tokens:
    """Tokens as the model draws them, the same each time: shape (chunks, places).

    Each chunk begins with the model's token for a beginning, else with any token. Of a model whose
    predictions are no numbers it says nothing. `tell` hears which share of it is written.
    """
    random = np.random.default_rng(SEED)
    vocabulary = len(source.weights["token_embd.weight"])
    tokens = np.zeros((chunks, places), np.int64)
    first = source.model.number("tokenizer.ggml.bos_token_id")
    tokens[:, 0] = random.integers(0, vocabulary, chunks)
    if first is not None and 0 <= first < vocabulary:
        tokens[:, 0] = first
    past = Past(source.shape, chunks, places)
    with np.errstate(all="ignore"):
        for place in range(places - 1):
            logs = source.log_probabilities(tokens[:, place : place + 1], past=past)[:, 0]
            # The highest of log-probabilities with Gumbel noise is a draw from them.
            tokens[:, place + 1] = (logs + random.gumbel(size=logs.shape)).argmax(axis=1)
            tell((place + 2) / places)
    return tokens
