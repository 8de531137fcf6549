"""A type for each tensor, so that a model is as large as it may be and loses as little as it can.

Each tensor's loss is measured on a sample of it, at every type. Beginning with the smallest types,
the tensor whose next type saves most loss for its bytes is raised, until nothing more fits. The
embedding that is also the output decides every token: its loss counts several times, and it is
never put below a floor. llama.cpp's own mixtures that fit are candidates too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cohete.errors import CoheteError
from cohete.quantize.columns import plain_counts_of
from cohete.quantize.decode import decode
from cohete.quantize.gguf import Model, Tensor
from cohete.quantize.lanes import Bytes, Floats, is_finite, rows_of
from cohete.quantize.mixture import EMBEDDING, OUTPUT, Recipe, may_change, type_of
from cohete.quantize.plan import about, plan_model
from cohete.quantize.slabs import encoded
from cohete.quantize.tensors import no_numbers
from cohete.quantize.types import PLAIN, Encoder, Level, TensorType

LADDER = (TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q6_K,
          TensorType.Q8_0, TensorType.F16)  # fmt: skip
EMBEDDING_WEIGHT = 4.0
"""Chosen on one small model and held against another: not tuned on what it is tested with."""
FLOOR = TensorType.Q5_0
"""Of an output, and of an embedding that is one."""
_STRETCHES, _STRETCH = 8, 1 << 14


@dataclass(frozen=True, slots=True)
class Sized:
    """Types by tensor, and where they come from: a mix, or a level's own mixture."""

    types: Mapping[str, TensorType]
    level: Level
    bytes: int
    loss: float
    how: str


@dataclass(frozen=True, slots=True)
class _Step:
    """A type of a tensor: its bytes (twice, where it will be there twice) and its loss."""

    type: TensorType
    cost: int
    loss: float


def sized_for(
    model: Model, budget_bytes: int, *, by_search: bool = False, doubles_embedding: bool = False,
    columns: Mapping[str, bytes] | None = None, besides_bytes: int = 0,
) -> Sized:  # fmt: skip
    """The types that lose least within so many bytes, less what is there `besides` tensors. Reads
    samples of the data.

    `doubles_embedding`: a tied embedding counts twice, as it is on a GPU. `columns`: how much those
    of a tensor count (`weighing`). Raises CoheteError where not even the smallest types fit.
    """
    known = about(model)
    ladders: dict[str, list[_Step]] = {}
    fixed = besides_bytes
    for tensor in model.tensors:
        factor = 2 if doubles_embedding and known.is_tied and tensor.name == EMBEDDING else 1
        if tensor.type in PLAIN and may_change(tensor.name, tensor.shape):
            known_columns = (columns or {}).get(tensor.name, b"")
            losses = _Losses(tensor, known_columns, search=by_search)
            ladders[tensor.name] = _ladder(tensor, factor, losses, is_tied=known.is_tied)
        else:
            fixed += factor * tensor.bytes
    chosen = _greedy(ladders, budget_bytes - fixed)
    candidates = [_sum("a mix", chosen, ladders, fixed)] if chosen is not None else []
    for level in Level:
        types = {
            tensor.name: type_of(tensor.name, tensor.shape, tensor.type, Recipe(level), known)
            for tensor in model.tensors
            if tensor.name in ladders
        }
        found = _sum(f"the mixture of {level}", types, ladders, fixed)
        if found.bytes <= budget_bytes:
            candidates.append(found)
    if not candidates:
        least = fixed + sum(min(step.cost for step in steps) for steps in ladders.values())
        raise CoheteError(
            f"it needs at least {math.ceil(least / 1e4) / 100:.2f} MB, "
            f"{math.floor(budget_bytes / 1e4) / 100:.2f} MB are given",
            where=str(model.paths[0]),
            hint="Give it more, or take a smaller model.",
        )
    return min(candidates, key=lambda each: each.loss)


def header_bytes_of(model: Model) -> int:
    """What a file has besides the data of its tensors, and a little for alignment."""
    plan = plan_model(model, Recipe(Level.Q4_0), again=True)
    return len(plan.header) + 64 * len(plan.outputs)


def _ladder(tensor: Tensor, factor: int, losses: _Losses, *, is_tied: bool) -> list[_Step]:
    """Types of a tensor, each larger and better than the one before."""
    decides = tensor.name == OUTPUT or (is_tied and tensor.name == EMBEDDING)
    weight = tensor.numbers * (EMBEDDING_WEIGHT if decides else 1.0)
    steps: list[_Step] = []
    for kind in LADDER:
        if tensor.shape[0] % kind.block or (decides and kind.bits < FLOOR.bits):
            continue
        cost = factor * kind.size(tensor.numbers)
        steps.append(_Step(kind, cost, weight * losses.of(kind)))
    return _hull(steps)


def _hull(steps: list[_Step]) -> list[_Step]:
    """Those worth their bytes: along them each further byte saves less loss than the one before."""
    kept: list[_Step] = []
    for step in sorted(steps, key=lambda each: (each.cost, each.loss)):
        if kept and (step.loss >= kept[-1].loss or step.cost == kept[-1].cost):
            continue
        while len(kept) > 1 and _gain(kept[-2], kept[-1]) <= _gain(kept[-1], step):
            kept.pop()
        kept.append(step)
    return kept


def _gain(before: _Step, after: _Step) -> float:
    return (before.loss - after.loss) / (after.cost - before.cost)


def _greedy(ladders: Mapping[str, list[_Step]], budget: int) -> dict[str, TensorType] | None:
    places = dict.fromkeys(ladders, 0)
    used = sum(steps[0].cost for steps in ladders.values())
    if used > budget:
        return None
    gains = [
        (-_gain(before, after), name, nth, after.cost - before.cost)
        for name, steps in ladders.items()
        for nth, (before, after) in enumerate(pairwise(steps))
    ]
    for _, name, nth, more in sorted(gains):
        # A tensor that could not be raised once is not raised past it.
        if places[name] == nth and used + more <= budget:
            places[name] = nth + 1
            used += more
    return {name: ladders[name][at].type for name, at in places.items()}


def _sum(
    how: str, types: Mapping[str, TensorType], ladders: Mapping[str, list[_Step]], fixed: int
) -> Sized:
    cost, loss = fixed, 0.0
    for name, kind in types.items():
        step = next((each for each in ladders[name] if each.type is kind), None)
        if step is None:
            # Not worth its bytes here, or below a floor: no candidate with it wins.
            return Sized(types, Level.F16, 1 << 62, math.inf, how)
        cost += step.cost
        loss += step.loss
    return Sized(dict(types), _level(types), cost, loss, how)


def _level(types: Mapping[str, TensorType]) -> Level:
    """The level most tensors have, or the next below: what the file is called after."""
    named = [kind for kind in types.values() if kind.name in Level.__members__]
    return Level[max(named, key=named.count).name] if named else Level.Q8_0


class _Losses:
    """What a tensor loses as other types, by whole blocks from all over it."""

    def __init__(self, tensor: Tensor, columns: bytes, *, search: bool) -> None:
        if len(columns) != tensor.shape[0]:
            columns = b""
        self._kind = tensor.type
        self._columns = columns
        self._encoder = Encoder.REFERENCE
        if search:
            self._encoder = Encoder.WEIGHED if columns else Encoder.SEARCH
        self._pieces: list[tuple[int, Bytes, Floats, Floats]] = []
        self._squares = 0.0
        for first, raw in _sample(tensor):
            if not is_finite(raw, self._kind):
                raise no_numbers(tensor.name, tensor.path)
            numbers = rows_of(raw, self._kind)
            counts = plain_counts_of(columns, first, numbers.size)
            self._pieces.append((first, raw, numbers, counts))
            with np.errstate(all="ignore"):
                self._squares += float(np.dot(counts, numbers * numbers))

    def of(self, wanted: TensorType) -> float:
        """The squared error by the squares."""
        lost = 0.0
        for first, raw, numbers, counts in self._pieces:
            made = encoded(raw, self._kind, wanted, self._encoder, self._columns, first)
            with np.errstate(all="ignore"):
                away = decode(made, wanted) - numbers
                lost += float(np.dot(counts, away * away))
        return lost / self._squares if self._squares > 0 else 0.0


def _sample(tensor: Tensor) -> Iterator[tuple[int, Bytes]]:
    """Stretches of a tensor, each with the place of its first number."""
    size = tensor.type.size(_STRETCH)
    if tensor.bytes <= _STRETCHES * size:
        yield 0, np.fromfile(tensor.path, np.uint8, tensor.bytes, offset=tensor.offset)
        return
    step = (tensor.bytes - size) // (_STRETCHES - 1)
    for nth in range(_STRETCHES):
        # Rows may be no multiple of 256: a stretch begins where a block of any type could.
        at = nth * step // tensor.type.size(256) * 256
        place = tensor.offset + tensor.type.size(at)
        yield at, np.fromfile(tensor.path, np.uint8, size, offset=place)
