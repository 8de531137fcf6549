"""Rows as they were drawn last, so that what has not changed is not drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.segment import Segment

from cohete_tui.ordering import Row

LEAST = 128


class DrawnRows(dict[str, tuple[tuple[object, ...], list[list[Segment]]]]):
    """By row: what it was drawn from, and its lines. Of a large fleet not all are kept.

    Lines are segments: a strip of each would take more memory than they do, and time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._most = LEAST

    def make_room(self, visible: Callable[[], Iterable[Row]]) -> None:
        """Forget rows that are not visible any more, once there are many."""
        if len(self) < self._most:
            return
        shown = {row.id for row in visible()}
        self._most = max(LEAST, 2 * len(shown))
        for name in [name for name in self if name not in shown]:
            del self[name]
