"""What happened, for a person: the same thing once with its count, newest first, acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cohete.fleet.state import Event

CALM_KINDS = frozenset(
    {"live", "mode", "change", "cooled", "memory ok", "alert over", "limit", "switch"}
)
"""News that ask nothing of anybody."""

_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened `count` times, last at `last` (wall seconds)."""

    device: str
    kind: str
    text: str
    hint: str
    first_s: float
    last_s: float
    count: int
    acknowledged: bool

    @property
    def key(self) -> _Key:
        """What makes two events the same."""
        return (self.device, self.kind, self.text)

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should know."""
        return self.kind not in CALM_KINDS


class EventLog:
    """Which events a person has acknowledged, and the list as it is read."""

    def __init__(self) -> None:
        self._seen_to: dict[_Key, int] = {}
        self._changes = 0
        self._counted = (-1, -1, 0)

    def entries(self, events: Iterable[Event], words: str = "") -> list[Entry]:
        """Newest first; only those in which every word occurs."""
        wanted = words.casefold().split()
        found: dict[_Key, Entry] = {}
        for event in events:
            key = (event.device, event.kind, event.text)
            text = " ".join(key).casefold()
            if not all(word in text for word in wanted):
                continue
            known = found.pop(key, None)
            found[key] = Entry(
                event.device,
                event.kind,
                event.text,
                event.hint,
                known.first_s if known else event.wall_s,
                event.wall_s,
                known.count + 1 if known else 1,
                self._seen_to.get(key, 0) >= event.number,
            )
        return list(reversed(found.values()))

    def acknowledge(self, events: Sequence[Event], keys: Iterable[_Key]) -> None:
        """Somebody has seen these; the next time one of them happens it is new again."""
        wanted = set(keys)
        self._changes += 1
        for event in events:
            key = (event.device, event.kind, event.text)
            if key in wanted:
                self._seen_to[key] = max(event.number, self._seen_to.get(key, 0))
        # What is forgotten needs no mark any more: many texts have numbers and never come again.
        oldest = events[0].number if events else 0
        self._seen_to = {key: to for key, to in self._seen_to.items() if to >= oldest}

    def new_trouble(self, events: Sequence[Event]) -> int:
        """How many kinds of trouble nobody has acknowledged; counted anew only after news."""
        last = events[-1].number if events else 0
        if self._counted[:2] != (last, self._changes):
            found = self.entries(events)
            new = sum(entry.is_trouble and not entry.acknowledged for entry in found)
            self._counted = (last, self._changes, new)
        return self._counted[2]
