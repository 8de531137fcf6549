"""A device's log as it comes: bounded, printable, searched. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from cohete.text import decode, sanitise

MAX_LINES = 5_000
MAX_CHARS = 2_000


class LogLines:
    """The last MAX_LINES lines; each has a number that it keeps."""

    def __init__(self, limit: int = MAX_LINES) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self.count = 0
        """Lines that ever came."""

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __getitem__(self, place: int) -> str:
        return self._lines[place]

    @property
    def first(self) -> int:
        """Number of the oldest line that is still held."""
        return self.count - len(self._lines)

    def add(self, lines: Iterable[bytes]) -> None:
        """Lines as the device printed them."""
        for line in lines:
            self._lines.append(sanitise(decode(line), MAX_CHARS))
            self.count += 1

    def find(self, words: str, start: int, step: int) -> int | None:
        """Place of the next line with these words from `start` on, round the end; None: nowhere."""
        needle = words.casefold()
        total = len(self._lines)
        if not needle:
            return None
        # Indexing into the middle of a deque walks to it: a copy is searched instead.
        lines = list(self._lines)
        for nth in range(total):
            place = (start + step * nth) % total
            if needle in lines[place].casefold():
                return place
        return None


def explain(stderr: str, exit_status: int | None) -> str:
    """Why there is no log, and what would help."""
    text = stderr.strip().rstrip(".") or f"it ended with status {exit_status}"
    lower = text.casefold()
    if "permission" in lower or "not permitted" in lower:
        return (
            f"{text}. Reading it needs a right: sudo usermod -aG systemd-journal,adm USER on the "
            "board, then log in anew."
        )
    if exit_status in (126, 127):
        return f"{text}. This board has no such command."
    return text
