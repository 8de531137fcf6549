"""Whose turn it is to be drawn: what changed, what grew older, and who waits longest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cohete.fleet.state import Device
from cohete_tui.ordering import Row

AGE_STEP_S = 1.0
"""How often a row is drawn anew only because what it shows gets older."""


class Turns:
    """Remembers when each row was drawn, and which devices have something new."""

    def __init__(self) -> None:
        self._drawn_at: dict[str, float] = {}
        self._waiting: set[int] = set()

    def clear(self) -> None:
        """Nothing was drawn yet."""
        self._drawn_at.clear()

    def take(
        self, visible: Sequence[Row], changed: Iterable[int], now_s: float, limit: int | None
    ) -> list[Row]:
        """The rows to draw now; of more than `limit` those that were drawn longest ago."""
        self._waiting |= set(changed)
        due = [
            row
            for row in visible
            if (isinstance(row, Device) and row.index in self._waiting)
            or now_s - self._drawn_at.get(row.id, 0.0) >= AGE_STEP_S
        ]
        if limit is None or limit >= len(due):
            self._waiting.clear()
        else:
            due.sort(key=lambda row: self._drawn_at.get(row.id, 0.0))
            due = due[:limit]
            self._waiting -= {row.index for row in due if isinstance(row, Device)}
        self._drawn_at |= dict.fromkeys((row.id for row in due), now_s)
        return due
