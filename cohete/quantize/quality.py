"""What a level costs in quality, as it was published; reports have what was measured. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.quantize.types import Level


@dataclass(frozen=True, slots=True)
class Quality:
    """How much perplexity rises over F16, in percent, and who says so."""

    percent: float
    source: str
    model: str
    is_measured: bool = False

    @property
    def words(self) -> str:
        """For a person."""
        how = "measured" if self.is_measured else f"published for {self.model}"
        return f"{self.percent:+.2g} % perplexity, {how}"


WARN_PERCENT = {Level.Q4_0: 5.0, Level.Q4_1: 5.0, Level.Q5_0: 5.0, Level.Q5_1: 5.0, Level.Q8_0: 1.0}
"""A rise above this is warned of."""

_README = "llama.cpp tools/perplexity/README.md"
_OLD = "llama.cpp README of 2023"
_PUBLISHED: dict[str, tuple[str, dict[Level, float]]] = {
    "Llama-3 8B": (_README, {
        Level.Q4_0: 7.5, Level.Q4_1: 7.2, Level.Q5_0: 2.1, Level.Q5_1: 1.7, Level.Q8_0: 0.04,
    }),
    "LLaMA-1 7B": (_OLD, {
        Level.Q4_0: 4.23, Level.Q4_1: 3.13, Level.Q5_0: 1.35, Level.Q5_1: 0.70, Level.Q8_0: 0.01,
    }),
    "LLaMA-1 13B": (_OLD, {
        Level.Q4_0: 2.51, Level.Q4_1: 2.03, Level.Q5_0: 0.60, Level.Q5_1: 0.31, Level.Q8_0: 0.01,
    }),
}  # fmt: skip
_OF = {"llama-3.1-8b": "Llama-3 8B", "llama-3-8b": "Llama-3 8B", "llama-2-7b": "LLaMA-1 7B",
       "llama-2-13b": "LLaMA-1 13B"}  # fmt: skip
"""Models by the name of the one whose figures hold for them, or nearly."""
_AROUND = re.compile(r"^(meta-)+|(-(hf|base|f16|bf16|f32|fp16|gguf))+$")
"""What people write around a name and does not change the model; a chat model is another one."""
NEWEST = "Llama-3 8B"


def published(model: str, level: Level, *, guess: bool = False) -> Quality | None:
    """What was published for a model; None where nothing was.

    `guess`: for any other model the figures of the newest of the table, which are its worst; whose
    they are stands beside them.
    """
    like = _OF.get(_AROUND.sub("", re.sub(r"[^a-z0-9.]+", "-", model.casefold())))
    if like is None and guess:
        like = NEWEST
    if like is None:
        return None
    source, levels = _PUBLISHED[like]
    return Quality(levels[level], source, like) if level in levels else None
