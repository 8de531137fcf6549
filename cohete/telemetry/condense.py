"""Many samples as few points, each with mean, lowest and highest. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cohete.telemetry.chunk import Chunk, Flags, Ints

AT_ONCE = 1024
"""Samples that are made into points together: an hour of them at a time takes 5 MB."""

_LEAST, _MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def condensed(chunks: Iterable[Chunk], begin_ms: int, end_ms: int, step_ms: int) -> Chunk:
    """Points of `step_ms` from finer chunks: mean, `NAME<` lowest and `NAME>` highest.

    A step without a sample has no point; one in which a column was unknown has None there.
    """
    alike: dict[tuple[str, ...], list[Chunk]] = {}
    parts: list[_Points] = []
    for chunk in chunks:
        which = (chunk.at_ms >= begin_ms) & (chunk.at_ms < end_ms)
        if not which.any():
            continue
        same = alike.setdefault(chunk.names, [])
        same.append(chunk if which.all() else chunk.part(which))
        if sum(map(len, same)) >= AT_ONCE:
            parts.append(_Points.of(joined(alike.pop(chunk.names)), step_ms))
    parts += [_Points.of(joined(same), step_ms) for same in alike.values()]
    if not parts:
        return Chunk.of([], {})
    steps = np.unique(np.concatenate([part.steps for part in parts]))
    names = sorted({name for part in parts for name in part.names})
    whole = _Points.empty(steps, tuple(names))
    for part in parts:
        whole.add(part)
    return whole.chunk(step_ms)


def joined(chunks: list[Chunk]) -> Chunk:
    """Chunks with the same names as one, in the order they are given."""
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        np.concatenate([chunk.at_ms for chunk in chunks]),
        chunks[0].names,
        np.concatenate([chunk.values for chunk in chunks], axis=1),
        np.concatenate([chunk.known for chunk in chunks], axis=1),
    )


class _Points:
    """How many, their sum, lowest and highest: each (names, steps)."""

    __slots__ = ("counts", "highs", "lows", "names", "steps", "sums")

    def __init__(
        self, steps: Ints, names: tuple[str, ...], counts: Ints, sums: Ints, lows: Ints, highs: Ints
    ) -> None:
        self.steps = steps
        self.names = names
        self.counts = counts
        self.sums = sums
        self.lows = lows
        self.highs = highs

    @classmethod
    def empty(cls, steps: Ints, names: tuple[str, ...]) -> _Points:
        shape = len(names), len(steps)
        none = np.zeros(shape, np.int64)
        lows, highs = np.full(shape, _MOST, np.int64), np.full(shape, _LEAST, np.int64)
        return cls(steps, names, none, none.copy(), lows, highs)

    @classmethod
    def of(cls, chunk: Chunk, step_ms: int) -> _Points:
        """The samples of one chunk, or the points of a finer tier."""
        steps = chunk.at_ms // step_ms
        if (steps[1:] < steps[:-1]).any():
            order = np.argsort(steps, kind="stable")
            steps = steps[order]
            chunk = Chunk(
                chunk.at_ms[order], chunk.names, chunk.values[:, order], chunk.known[:, order]
            )
        begins = np.flatnonzero(np.concatenate([[True], steps[1:] != steps[:-1]]))
        rows = [nth for nth, name in enumerate(chunk.names) if name[-1:] not in ("<", ">")]
        known = chunk.known[rows]
        values = chunk.values[rows]
        names = tuple(chunk.names[row] for row in rows)
        lows, highs = _ends(chunk, names, values, "<"), _ends(chunk, names, values, ">")
        return cls(
            steps[begins],
            names,
            np.add.reduceat(known, begins, axis=1, dtype=np.int64),
            np.add.reduceat(np.where(known, values, 0), begins, axis=1),
            np.minimum.reduceat(np.where(known, lows, _MOST), begins, axis=1),
            np.maximum.reduceat(np.where(known, highs, _LEAST), begins, axis=1),
        )

    def add(self, other: _Points) -> None:
        rows = [self.names.index(name) for name in other.names]
        where = np.ix_(np.array(rows), np.searchsorted(self.steps, other.steps))
        self.counts[where] += other.counts
        self.sums[where] += other.sums
        self.lows[where] = np.minimum(self.lows[where], other.lows)
        self.highs[where] = np.maximum(self.highs[where], other.highs)

    def chunk(self, step_ms: int) -> Chunk:
        known = self.counts > 0
        rows = np.flatnonzero(known.any(axis=1))
        columns = np.flatnonzero(known.any(axis=0))
        cells = np.ix_(rows, columns)
        known = known[cells]
        means: NDArray[np.float64] = self.sums[cells] / np.maximum(1, self.counts[cells])
        names = [self.names[row] + end for row in rows.tolist() for end in ("", "<", ">")]
        values = np.stack(
            [np.rint(means).astype(np.int64), self.lows[cells], self.highs[cells]], axis=1
        )
        shape = len(names), len(columns)
        known = np.repeat(known, 3, axis=0)
        return Chunk(
            self.steps[columns] * step_ms,
            tuple(names),
            np.where(known, values.reshape(shape), 0),
            known,
        )


def _ends(chunk: Chunk, names: tuple[str, ...], values: Ints, end: str) -> Ints:
    """Lowest or highest values where the chunk has them, else the values themselves."""
    places = {name: nth for nth, name in enumerate(chunk.names)}
    if not any(name + end in places for name in names):
        return values
    found = values.copy()
    for row, name in enumerate(names):
        nth = places.get(name + end)
        if nth is not None:
            known: Flags = chunk.known[nth]
            found[row, known] = chunk.values[nth, known]
    return found
