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
        self._lines: list[str] | None = None

    async def read(self) -> list[str]:
        """All of them, the newest last."""
        if self._lines is None:
            self._lines = await asyncio.to_thread(self._load)
        return list(self._lines)

    async def add(self, line: str) -> None:
        """One more."""
        known = await self.read()
        self._lines = [*(each for each in known if each != line), line][-MOST:]
        await asyncio.to_thread(self._save, self._lines)

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
