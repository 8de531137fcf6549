"""A memory budget that many threads and tasks share, and that nobody can exceed.

    budget = MemoryBudget.preset("orin-nano-8gb")
    with budget.allocate(4_200, "mistral-7b", category="model"):
        ...

Sizes are MiB. Presets begin with what the kernel of such a board reports, not with what is printed
on the box, and keep a part for the system.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from cohete.errors import CoheteError
from cohete.text import sanitise

PRESETS: Mapping[str, tuple[int, int]] = {
    "orin-nano-4gb": (3_602, 1_024),
    "orin-nano-8gb": (7_607, 2_048),
    "orin-nx-8gb": (7_620, 2_048),
    "orin-nx-16gb": (15_656, 2_048),
    "agx-orin-32gb": (30_622, 4_096),
    "agx-orin-64gb": (62_795, 8_192),
}
"""Total as the kernel reports it (R36) and what is kept for the system, in MiB."""

MAX_MB = 16 * 1024 * 1024
_LABEL_LIMIT = 120


class BudgetExceeded(CoheteError):
    """There is not that much left. Nothing was reserved."""

    def __init__(self, requested_mb: int, available_mb: int, label: str) -> None:
        super().__init__(
            f"{label or 'this'} needs {requested_mb} MB and {available_mb} MB are left",
            hint="Let something go, or raise the budget.",
        )
        self.requested_mb = requested_mb
        self.available_mb = available_mb


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log. `allocated_mb` is the sum after it; `number` counts without gaps."""

    number: int
    operation: str
    """allocate or release."""
    reservation: int
    size_mb: int
    label: str
    category: str
    allocated_mb: int


Record = Callable[[Entry], None]


class MemoryBudget:
    """`total_mb` without `reserved_mb`, handed out in reservations. Safe for threads and tasks."""

    def __init__(
        self, total_mb: int, reserved_mb: int = 0, *, record: Record | None = None
    ) -> None:
        _check(total_mb)
        if not 0 <= reserved_mb <= total_mb:
            raise ValueError(f"reserved_mb must be 0 to {total_mb}, not {reserved_mb}")
        self.total_mb = total_mb
        self.reserved_mb = reserved_mb
        self._record = record
        self._lock = threading.Lock()
        self._held: dict[int, MemoryGuard] = {}
        self._allocated_mb = 0
        self._numbers = 0
        self._reservations = 0

    @classmethod
    def preset(cls, name: str, *, record: Record | None = None) -> MemoryBudget:
        """The budget of a module. Raises KeyError for a name that is none of PRESETS."""
        total_mb, reserved_mb = PRESETS[name]
        return cls(total_mb, reserved_mb, record=record)

    @property
    def capacity_mb(self) -> int:
        """What can be handed out at all."""
        return self.total_mb - self.reserved_mb

    @property
    def allocated_mb(self) -> int:
        """What is handed out now."""
        return self._allocated_mb

    @property
    def available_mb(self) -> int:
        """What is left."""
        return self.capacity_mb - self._allocated_mb

    def reservations(self) -> list[MemoryGuard]:
        """What holds memory now, oldest first."""
        with self._lock:
            return list(self._held.values())

    def allocate(self, size_mb: int, label: str = "", *, category: str = "") -> MemoryGuard:
        """Reserve so much until the guard is released. Raises BudgetExceeded, ValueError."""
        guard = self.try_allocate(size_mb, label, category=category)
        if guard is None:
            raise BudgetExceeded(size_mb, self.available_mb, sanitise(label, _LABEL_LIMIT))
        return guard

    def try_allocate(
        self, size_mb: int, label: str = "", *, category: str = ""
    ) -> MemoryGuard | None:
        """The same; None where there is not so much left."""
        _check(size_mb)
        with self._lock:
            if size_mb > self.capacity_mb - self._allocated_mb:
                return None
            guard = MemoryGuard(
                self, self._reservations, size_mb,
                sanitise(label, _LABEL_LIMIT), sanitise(category, _LABEL_LIMIT),
            )  # fmt: skip
            # First the log: a reservation that cannot be written down does not exist.
            self._write("allocate", guard, self._allocated_mb + size_mb)
            self._reservations += 1
            self._allocated_mb += size_mb
            self._held[guard.number] = guard
            return guard

    def _release(self, guard: MemoryGuard) -> None:
        with self._lock:
            if self._held.pop(guard.number, None) is None:
                return
            self._allocated_mb -= guard.size_mb
            self._write("release", guard, self._allocated_mb)

    def _write(self, operation: str, guard: MemoryGuard, allocated_mb: int) -> None:
        if self._record is not None:
            self._record(
                Entry(
                    self._numbers, operation, guard.number, guard.size_mb, guard.label,
                    guard.category, allocated_mb,
                )
            )  # fmt: skip
        self._numbers += 1


class MemoryGuard:
    """A reservation; released once, by `with`, by `release` or not at all."""

    __slots__ = ("_budget", "category", "label", "number", "size_mb")

    def __init__(
        self, budget: MemoryBudget, number: int, size_mb: int, label: str, category: str
    ) -> None:
        self._budget = budget
        self.number = number
        self.size_mb = size_mb
        self.label = label
        self.category = category

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        self._budget._release(self)  # noqa: SLF001 - one class in two halves

    def __enter__(self) -> MemoryGuard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    async def __aenter__(self) -> MemoryGuard:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


def replay(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Reservations that a log leaves open, by number. Raises ValueError where it has a gap or does
    not sum up.
    """
    held: dict[int, Entry] = {}
    total = 0
    nth = 0
    for entry in entries:
        if entry.number == 0 and nth:
            # Another budget began here; what the one before held went with its program.
            held, total, nth = {}, 0, 0
        if entry.number != nth:
            raise ValueError(f"entry {nth} is missing from the log")
        nth += 1
        if entry.operation == "allocate":
            held[entry.reservation] = entry
            total += entry.size_mb
        elif held.pop(entry.reservation, None) is None:
            raise ValueError(f"entry {entry.number} releases what was not reserved")
        else:
            total -= entry.size_mb
        if total != entry.allocated_mb:
            raise ValueError(
                f"entry {entry.number} says {entry.allocated_mb} MB, the sum is {total} MB"
            )
    return held


def _check(size_mb: int) -> None:
    if isinstance(size_mb, bool) or not isinstance(size_mb, int) or not 0 < size_mb <= MAX_MB:
        raise ValueError(f"a size is 1 to {MAX_MB} MB, not {size_mb!r}")
