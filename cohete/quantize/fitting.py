"""Which level of a model fits a board, and what would make one fit. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cohete.memory.budget import MemoryBudget
from cohete.memory.footprint import (
    OVERHEAD_MIB,
    Footprint,
    KvType,
    ModelShape,
    Serving,
    footprint,
    refusal,
)
from cohete.quantize.gguf import Model
from cohete.quantize.mixture import About, Recipe
from cohete.quantize.plan import about
from cohete.quantize.quality import Quality, published
from cohete.quantize.shapes import TABLE, Listed, listed_of, parameters, shape_of, sizes, tensors_of
from cohete.quantize.types import BEST_FIRST, PLAIN, Level

LEAST_CONTEXT = 512
_ALIKE = 0.15
"""Models that differ by no more in their parameters stand for each other."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be quantized: its shape, and its tensors as they are now.

    `scale` is by how much more parameters it has than the shape, where only its size is known.
    """

    shape: ModelShape
    tensors: tuple[Listed, ...]
    about: About
    scale: float = 1.0
    is_file: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it can be quantized: it is not quantized yet."""
        return all(kind in PLAIN or len(shape) < 2 for _, shape, kind in self.tensors)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return round(parameters(self.tensors) * self.scale)


@dataclass(frozen=True, slots=True)
class Row:
    """A level of a model on a board. `level` None is the file as it is; `longest` is the longest
    context that would fit, None where not even a short one does."""

    level: Level | None
    need: Footprint
    fits: bool
    longest: int | None
    quality: Quality | None

    @property
    def name(self) -> str:
        """As people write it."""
        return self.level.value if self.level is not None else "as it is"


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits: every level, the best of those that fit, and advice where none does."""

    candidate: Candidate
    serving: Serving
    available_mib: float
    rows: tuple[Row, ...]
    best: Row | None
    advice: tuple[str, ...]


def candidate_of_model(model: Model) -> Candidate:
    """A GGUF file. Raises GgufError where its header does not tell its shape."""
    return Candidate(shape_of(model), tuple(listed_of(model)), about(model), is_file=True)


def candidate_of_shape(shape: ModelShape) -> Candidate:
    """A model of the table, as F16."""
    return Candidate(shape, tuple(tensors_of(shape)), About(is_tied=shape.is_tied))


def candidate_of_size(f16_mb: float) -> Candidate:
    """A model of which only its size as F16 is known, in MB of 1,000,000 bytes.

    Of the models of the table with about as many parameters the one whose cache needs most stands
    for it: what is not known is not taken to be small. Raises ValueError below 1 MB.
    """
    if not 1 <= f16_mb < 10_000_000:
        raise ValueError(f"a model of {f16_mb:g} MB cannot be")
    wanted = f16_mb * 1e6 / 2
    counted = {name: parameters(tensors_of(shape)) for name, shape in TABLE.items()}
    gap = {name: abs(math.log(count / wanted)) for name, count in counted.items()}
    nearest = min(gap.values())
    alike = [name for name in gap if gap[name] <= max(nearest, math.log1p(_ALIKE))]
    name = max(alike, key=lambda each: TABLE[each].kv_bytes_per_token())
    return replace(candidate_of_shape(TABLE[name]), scale=wanted / counted[name])


def need(
    candidate: Candidate, level: Level | None, serving: Serving, overhead_mib: float = OVERHEAD_MIB
) -> Footprint:
    """What a level of it needs; None: the file as it is."""
    recipe = Recipe(level) if level is not None else None
    total, embedding = sizes(candidate.tensors, recipe, candidate.about)
    scaled = [round(count * candidate.scale) for count in (total, embedding)]
    return footprint(candidate.shape, serving, scaled[0], scaled[1], overhead_mib)


def fit(
    candidate: Candidate, serving: Serving, available_mib: float,
    overhead_mib: float = OVERHEAD_MIB,
) -> Fit:  # fmt: skip
    """Every level beside what can be had."""
    levels: Sequence[Level | None] = BEST_FIRST if candidate.is_plain else (None,)
    blocked = refusal(candidate.shape, serving)
    rows = tuple(
        _row(candidate, level, serving, available_mib, overhead_mib, blocked=bool(blocked))
        for level in levels
    )
    best = next((row for row in rows if row.fits), None)
    advice = [blocked] if blocked else []
    if best is None and not blocked:
        advice = _advice(candidate, serving, available_mib, overhead_mib, rows[-1])
    return Fit(candidate, serving, available_mib, rows, best, tuple(advice))


def select_for_budget(
    model: Candidate | float, budget: MemoryBudget | float, *, context: int = 2048,
    serving: Serving | None = None,
) -> Level | None:  # fmt: skip
    """The best level that really fits; None where none does. A number is a size as F16, in MB.

    `budget`: what is left of it, or MiB.
    """
    candidate = model if isinstance(model, Candidate) else candidate_of_size(model)
    available = budget.available_mb if isinstance(budget, MemoryBudget) else budget
    found = fit(candidate, serving or Serving(context), available)
    return found.best.level if found.best is not None else None


def as_it_is(found: Fit) -> Row:
    """The model as it is stored now."""
    overhead_mib = found.rows[0].need.overhead_mib
    blocked = bool(refusal(found.candidate.shape, found.serving))
    return _row(found.candidate, None, found.serving, found.available_mib, overhead_mib,
                blocked=blocked)  # fmt: skip


def _row(
    candidate: Candidate, level: Level | None, serving: Serving, available_mib: float,
    overhead_mib: float, *, blocked: bool,
) -> Row:  # fmt: skip
    found = need(candidate, level, serving, overhead_mib)
    fits = not blocked and found.total_mib <= available_mib
    quality = published(candidate.shape.name, level, guess=True) if level is not None else None
    longest = None if blocked else _longest(candidate, level, serving, available_mib, overhead_mib)
    return Row(level, found, fits, longest, quality)


def _longest(
    candidate: Candidate, level: Level | None, serving: Serving, available_mib: float,
    overhead_mib: float,
) -> int | None:  # fmt: skip
    """The longest context, in steps of 256, that fits; None where not even the least does."""
    low, high = LEAST_CONTEXT // 256, 1 << 12

    def fits(steps: int) -> bool:
        tried = replace(serving, context=steps * 256)
        return need(candidate, level, tried, overhead_mib).total_mib <= available_mib

    if not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low * 256


def _advice(
    candidate: Candidate, serving: Serving, available_mib: float, overhead_mib: float, smallest: Row
) -> list[str]:
    """What would make the smallest level fit, the least painful first."""
    level = smallest.level

    def total(changed: Serving) -> float:
        return need(candidate, level, changed, overhead_mib).total_mib

    found: list[str] = []
    if serving.slots > 1 and total(replace(serving, slots=1)) <= available_mib:
        found.append("one slot instead of several")
    small = replace(serving, ubatch=min(serving.ubatch, 128))
    if serving.ubatch > 128 and total(small) <= available_mib:
        found.append("a smaller batch: --ubatch 128")
    packed = replace(serving, kv_type=KvType.Q8_0, flash_attention=True)
    fits_packed = not refusal(candidate.shape, packed) and total(packed) <= available_mib
    if serving.kv_type is KvType.F16 and fits_packed:
        found.append("a packed cache: --kv-type q8_0")
    if smallest.longest is not None and smallest.longest < serving.context:
        found.append(f"a context of at most {smallest.longest}")
    if not found:
        lacking = smallest.need.total_mib - available_mib
        found.append(f"{lacking:.0f} MiB more: free memory on the board, or take a smaller model")
    return found
