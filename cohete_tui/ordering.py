"""Which devices are shown, in which order. Pure; knows the store, not the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore, is_hot, is_over_budget

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
        if is_hot(device):
            return _HOT_RANK
        if is_over_budget(device):
            return _OVER_BUDGET_RANK
    return rank


def _temperature(device: Device, now: float) -> float | None:
    hottest = device.stats.hottest if device.stats else None
    return hottest.celsius if hottest else None


@dataclass(frozen=True, slots=True)
class Sort:
    """A way to order: by a number, highest first and unknown last; or by rank, lowest first."""

    name: str
    value: SortValue


SORTS: tuple[Sort, ...] = (
    Sort("trouble", lambda device, now: -float(trouble(device))),
    Sort("name", lambda device, now: None),
    Sort("gpu", lambda device, now: device.gpu_percent(now)),
    Sort("cpu", lambda device, now: device.stats.cpu_percent if device.stats else None),
    Sort("ram", lambda device, now: device.stats.ram_percent if device.stats else None),
    Sort("temp", _temperature),
    Sort("power", lambda device, now: device.stats.power_mw if device.stats else None),
    Sort("age", lambda device, now: device.age_s(now)),
)


def matches(device: Device, words: list[str]) -> bool:
    """Whether every word occurs in what identifies the device or says how it is."""
    if not words:
        return True
    text = " ".join(
        (
            device.id,
            str(device.spec.target),
            device.module_name,
            device.mode_name,
            str(device.state),
            device.spec.site or "",
            *device.spec.tags,
            "hot" if is_hot(device) else "",
        )
    ).lower()
    return all(word in text for word in words)


class FleetOrder:
    """The visible devices in their order; it changes no more often than SETTLE_S by itself."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store
        self.filter_text = ""
        self.sort = SORTS[0]
        self.reverse = False
        self.devices: list[Device] = []
        self._ordered_at = -SETTLE_S
        self.update(force=True)

    def update(self, *, force: bool = False) -> bool:
        """Order anew if it is time; True if the list is another one."""
        now = self._store.clock.monotonic()
        if not force and now - self._ordered_at < SETTLE_S:
            return False
        self._ordered_at = now
        words = self.filter_text.lower().split()
        shown = [device for device in self._store if matches(device, words)]
        shown.sort(key=lambda device: device.id)
        if self.sort.name == "name":
            shown.sort(key=lambda device: device.id, reverse=self.reverse)
        else:
            shown.sort(key=self._key(now))
        if shown == self.devices:
            return False
        self.devices = shown
        return True

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
