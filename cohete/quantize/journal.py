"""What of a file is finished, line by line beside it: a run that was killed goes on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finished:
    """A tensor of which every piece is written: digests of source and result, and what it lost."""

    index: int
    pieces: tuple[tuple[str, str], ...]
    error: float
    squares: float
    measured: int


class Journal:
    """Begins with the key of a plan; of another plan nothing counts. Blocking; raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, key: str) -> None:
        """Nothing is finished."""
        self._path.write_text(json.dumps({"plan": key}) + "\n", encoding="utf-8")

    def add(self, done: Finished) -> None:
        """One more tensor."""
        fields = [done.index, done.pieces, done.error, done.squares, done.measured]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    def finished(self, key: str) -> Iterator[Finished] | None:
        """What is; None where there is no journal of this plan. Raises nothing."""
        try:
            first, *lines = self._path.read_text(encoding="utf-8").splitlines()
            found = json.loads(first)
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("plan") != key:
            return None
        return _parsed(lines)

    def remove(self) -> None:
        """The file is whole, or is not to be."""
        self._path.unlink(missing_ok=True)


def _parsed(lines: list[str]) -> Iterator[Finished]:
    for line in lines:
        try:
            index, pieces, error, squares, measured = json.loads(line)
            pairs = tuple((str(source), str(made)) for source, made in pieces)
            yield Finished(int(index), pairs, float(error), float(squares), int(measured))
        except (ValueError, TypeError):
            # The line that was being written when it was killed.
            continue
