"""What was typed after `:`, kept for the next time in a file of the user's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

MOST = 200
_MOST_CHARS = 500


class TypedLines:
    """The last MOST lines, each once. A file that cannot be read or written is done without."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.lines: list[str] = []
        """Those that were read or added, the newest last."""

    async def read(self) -> None:
        """Take what was kept."""
        self.lines = await asyncio.to_thread(self._load)

    async def add(self, line: str) -> None:
        """One more."""
        self.lines = [*(each for each in self.lines if each != line), line][-MOST:]
        await asyncio.to_thread(self._save, self.lines)

    def _load(self) -> list[str]:
        if self._path is None:
            return []
        try:
            text = self._path.read_text("utf-8", "replace")
        except OSError:
            return []
        lines = [line for line in text.splitlines() if line.isprintable() and line]
        return [line[:_MOST_CHARS] for line in lines[-MOST:]]

    def _save(self, lines: list[str]) -> None:
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = self._path.with_suffix(f".{os.getpid()}")
            descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
            new.replace(self._path)
