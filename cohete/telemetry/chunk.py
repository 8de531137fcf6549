"""Samples of one device side by side: a time for each, and named series of integers. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Column = Sequence[int | None]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Samples in the order they came.

    `at_ms` is (samples,); `values` and `known` are (columns, samples), a value that is not known
    is 0 in `values`.
    """

    at_ms: Ints
    names: tuple[str, ...]
    values: Ints
    known: Flags

    @classmethod
    def of(cls, times_ms: Sequence[int], columns: Mapping[str, Column]) -> Chunk:
        """From plain lists; None is unknown. Raises ValueError where lengths differ."""
        shape = len(columns), len(times_ms)
        if any(len(column) != len(times_ms) for column in columns.values()):
            raise ValueError("every column has as many values as there are times")
        values, known = np.zeros(shape, np.int64), np.ones(shape, np.bool_)
        for nth, column in enumerate(columns.values()):
            if None in column:
                known[nth] = [value is not None for value in column]
                values[nth] = [0 if value is None else value for value in column]
            else:
                values[nth] = np.array(column, np.int64)
        return cls(np.array(times_ms, np.int64), tuple(columns), values, known)

    @classmethod
    def of_rows(
        cls,
        times_ms: array[int],
        names: Sequence[str],
        rows: array[float],
        scales: Sequence[int],
    ) -> Chunk:
        """From samples one after the other, (samples x names) floats; NaN is unknown.

        Each is stored times its scale, as the next integer. Of a name that repeats the first stays.
        """
        table = np.frombuffer(rows, np.float32).reshape(len(times_ms), len(names)).T
        first = sorted({name: nth for nth, name in reversed([*enumerate(names)])}.values())
        scaled = table[first].astype(np.float64) * np.array(scales)[first, None]
        known = np.isfinite(scaled)
        values = np.rint(np.where(known, scaled, 0)).astype(np.int64)
        kept = tuple(names[nth] for nth in first)
        return cls(np.array(times_ms, np.int64), kept, values, known)

    def __len__(self) -> int:
        return len(self.at_ms)

    @property
    def times_ms(self) -> list[int]:
        """The times as a plain list."""
        return [*map(int, self.at_ms.tolist())]

    @property
    def columns(self) -> dict[str, list[int | None]]:
        """The series as plain lists; None is unknown."""
        return {name: self.column(nth) for nth, name in enumerate(self.names)}

    def column(self, nth: int) -> list[int | None]:
        """One series as a plain list; None is unknown."""
        values: list[int | None] = self.values[nth].tolist()
        if not self.known[nth].all():
            for at in np.flatnonzero(~self.known[nth]).tolist():
                values[at] = None
        return values

    def part(self, which: Flags) -> Chunk:
        """Only these samples."""
        return Chunk(self.at_ms[which], self.names, self.values[:, which], self.known[:, which])
