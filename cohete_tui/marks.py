"""Which devices are marked: what an action takes instead of the one under the cursor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cohete.fleet.state import Device


class Marks:
    """Marked devices by id, and the place where a range begins."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._anchor: str | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._ids

    def toggle(self, devices: Sequence[Device]) -> None:
        """Mark these; where all of them are, take their marks away."""
        ids = {device.id for device in devices}
        if not ids:
            return
        self._ids = self._ids - ids if ids <= self._ids else self._ids | ids
        self._anchor = devices[-1].id

    def add(self, devices: Iterable[Device]) -> None:
        """Mark these too."""
        self._ids |= {device.id for device in devices}

    def extend(self, shown: Sequence[Device], to: Device) -> None:
        """Mark everything that is shown between the last mark and `to`, both with it."""
        places = {device.id: place for place, device in enumerate(shown)}
        end = places[to.id]
        begin = places.get(self._anchor or to.id, end)
        self._ids |= {device.id for device in shown[min(begin, end) : max(begin, end) + 1]}
        self._anchor = to.id

    def invert(self, shown: Iterable[Device]) -> None:
        """Of what is shown, mark what is not and the other way round; what is hidden stays."""
        self._ids ^= {device.id for device in shown}

    def clear(self) -> None:
        """Nothing is marked."""
        self._ids.clear()
        self._anchor = None

    def of(self, devices: Iterable[Device]) -> list[Device]:
        """The marked ones, in the order given."""
        return [device for device in devices if device.id in self._ids]
