"""The log of a memory budget as a file: a JSON line an entry, appended, on the disk at once."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from cohete.memory.budget import Entry


class BudgetLog:
    """`MemoryBudget(..., record=BudgetLog(path).record)`. Blocking. Raises OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            # A line that a kill tore ends here; what follows stays readable.
            os.write(self._file, b"\n")

    def record(self, entry: Entry) -> None:
        """Append an entry."""
        line = json.dumps(dataclasses.asdict(entry)).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read_log(path: Path) -> list[Entry]:
    """Its entries; a line that was torn by a kill is left out. Raises OSError, ValueError."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [_entry(line) for line in lines[:-1] if line.endswith("}")]


def _entry(line: str) -> Entry:
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("a line of the log is no entry")
    try:
        return Entry(**fields)
    except TypeError as error:
        raise ValueError(f"a line of the log is no entry: {error}") from None
