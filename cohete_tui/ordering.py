"""Which devices are shown, in which order. Pure; knows the store, not the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cohete.fleet.query import Query, QueryError, parse_terms
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore, is_breaker_open, is_hot, is_over_budget

if TYPE_CHECKING:
    from cohete.config.schema import Dashboard

SETTLE_S = 3.0
"""Rows keep their places at least this long, so that they do not dance under the cursor."""

_TROUBLE = {
    State.REFUSED: 0,
    State.LOST: 1,
    State.STALE: 4,
    State.CONNECTING: 5,
    State.LIVE: 6,
    State.DISABLED: 7,
}
_HOT_RANK = 2
_OVER_BUDGET_RANK = 3

SortValue = Callable[[Device, float], float | None]


def trouble(device: Device) -> int:
    """0 needs a person most."""
    rank = _TROUBLE[device.state]
    if device.state is State.LIVE:
        if is_breaker_open(device) or is_hot(device):
            return _HOT_RANK
        if is_over_budget(device):
            return _OVER_BUDGET_RANK
    return rank


def _temperature(device: Device, now: float) -> float | None:
    return device.reading.hottest_c if device.reading else None


@dataclass(frozen=True, slots=True)
class Sort:
    """A way to order: by a number, highest first and unknown last; or by rank, lowest first."""

    name: str
    value: SortValue


SORTS: tuple[Sort, ...] = (
    Sort("trouble", lambda device, now: -float(trouble(device))),
    Sort("name", lambda device, now: None),
    Sort("gpu", lambda device, now: device.gpu_percent(now)),
    Sort("cpu", lambda device, now: device.reading.cpu_percent if device.reading else None),
    Sort("ram", lambda device, now: device.reading.ram_percent if device.reading else None),
    Sort("temp", _temperature),
    Sort("power", lambda device, now: device.reading.power_mw if device.reading else None),
    Sort("age", lambda device, now: device.age_s(now)),
)


GROUPINGS = ("", "tag", "site", "module")
"""What the fleet can be grouped by; a device with several tags stands under its first."""


@dataclass(frozen=True, slots=True)
class Group:
    """A heading over devices that share a tag, a site or a module."""

    by: str
    value: str
    devices: tuple[Device, ...]
    folded: bool

    @property
    def id(self) -> str:
        """Not to be mixed up with a device: no id contains a blank."""
        return f"{self.by} {self.value}"

    @property
    def title(self) -> str:
        """What stands in the heading."""
        return self.value or f"no {self.by}"


Row = Device | Group
"""What has a place on the fleet screen."""


def devices_of(row: Row | None) -> list[Device]:
    """What a row stands for: its device, or the devices of its group."""
    if isinstance(row, Group):
        return list(row.devices)
    return [row] if row is not None else []


def group_value(device: Device, by: str) -> str:
    """Which group a device belongs to; empty where it has none."""
    if by == "tag":
        return device.spec.tags[0] if device.spec.tags else ""
    return (device.spec.site or "") if by == "site" else device.module_name


def is_fault(device: Device) -> bool:
    """Whether somebody should look at it."""
    return trouble(device) < _TROUBLE[State.CONNECTING]


class FleetOrder:
    """What is shown, in its order: `rows` with headings, `devices` without what is folded away.

    It changes no more often than SETTLE_S by itself.
    """

    def __init__(self, store: FleetStore) -> None:
        self._store = store
        self.query = Query()
        self.sort = SORTS[0]
        self.reverse = False
        self.faults_only = False
        self.group_by = ""
        self.folded: set[str] = set()
        self.matching: list[Device] = []
        self.devices: list[Device] = []
        self.rows: list[Row] = []
        self._by_name: list[Device] = []
        self._ordered_at = 0.0
        self.watch(store)

    def watch(self, store: FleetStore) -> None:
        """Order another store's devices the same way."""
        self._store = store
        self._by_name = sorted(store, key=lambda device: device.id)
        self.update(force=True)

    def update(self, *, force: bool = False) -> bool:
        """Order anew if it is time; True if the rows are others."""
        now = self._store.clock.monotonic()
        if not force and now - self._ordered_at < SETTLE_S:
            return False
        self._ordered_at = now
        shown = self.query.of(self._by_name, now)
        if self.faults_only:
            shown = [device for device in shown if is_fault(device)]
        if self.sort.name == "name":
            if self.reverse:
                shown.reverse()
        else:
            shown.sort(key=self._key(now))
        rows: list[Row] = self._grouped(shown) if self.group_by else [*shown]
        if rows == self.rows:
            return False
        self.rows = rows
        self.matching = shown
        self.devices = [row for row in rows if isinstance(row, Device)]
        return True

    def _grouped(self, shown: list[Device]) -> list[Row]:
        parts: dict[str, list[Device]] = {}
        for device in shown:
            parts.setdefault(group_value(device, self.group_by), []).append(device)
        rows: list[Row] = []
        for value in sorted(parts, key=lambda value: (not value, value)):
            devices = parts[value]
            group = Group(self.group_by, value, tuple(devices), False)
            if group.id in self.folded:
                rows.append(replace(group, folded=True))
            else:
                rows += [group, *devices]
        return rows

    def begin_as(self, start: Dashboard) -> None:
        """As the configuration says."""
        self.sort = next(sort for sort in SORTS if sort.name == start.sort)
        self.reverse = start.reverse
        self.faults_only = start.faults_only
        self.group_by = "" if start.group == "none" else start.group

    def set_filter(self, text: str) -> QueryError | None:
        """Show only what matches the terms that mean something; what is wrong with another."""
        self.query, problem = parse_terms(text)
        self.update(force=True)
        return problem

    def next_grouping(self) -> None:
        """Group by the next of GROUPINGS that tells devices apart; at the end not at all."""
        self.group(GROUPINGS[(GROUPINGS.index(self.group_by) + 1) % len(GROUPINGS)])

    def group(self, by: str) -> None:
        """Group by one of GROUPINGS; empty is not at all."""
        self.group_by = by
        self.update(force=True)

    def fold(self, group: Group, *, folded: bool) -> None:
        """Hide or show the devices of a group."""
        if folded:
            self.folded.add(group.id)
        else:
            self.folded.discard(group.id)
        self.update(force=True)

    def next_sort(self, step: int = 1) -> None:
        """Go to the next way to order."""
        at = SORTS.index(self.sort)
        self.sort = SORTS[(at + step) % len(SORTS)]
        self.update(force=True)

    def sort_by(self, name: str) -> None:
        """Order by that name; a second time turns the order round."""
        sort = next(sort for sort in SORTS if sort.name == name)
        self.reverse = not self.reverse if sort is self.sort else False
        self.sort = sort
        self.update(force=True)

    def _key(self, now: float) -> Callable[[Device], tuple[bool, float]]:
        sign = 1.0 if self.reverse else -1.0

        def key(device: Device) -> tuple[bool, float]:
            value = self.sort.value(device, now)
            return (value is None, sign * (value or 0.0))

        return key
