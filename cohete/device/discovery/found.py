"""What was seen of boards, and which of it is the same board. Pure.

A board seen in several ways is one: by its host key, its machine id, its serial number, or the
address it was seen at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Way(StrEnum):
    """How something was seen; the surest first."""

    USB = "usb"
    MDNS = "mdns"
    NETWORK = "network"
    SSH = "ssh"
    KNOWN = "known"
    """Seen in an earlier search."""


class Kind(StrEnum):
    """What it is."""

    BOARD = "board"
    """A Jetson, running."""
    RECOVERY = "recovery"
    """A Jetson in recovery mode: it waits to be flashed, and runs nothing."""
    CANDIDATE = "candidate"
    """Something with an SSH server: what it is shows once somebody logs in."""


USB_HOST = "192.168.55.1"
_ORDER = {way: nth for nth, way in enumerate(Way)}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a board may be reached. `is_open`: whether its SSH server answered; None is untried."""

    host: str
    port: int = 22
    is_open: bool | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that was seen once, in one way.

    `host_key` is a SHA256 fingerprint, `ids` are other marks that only one board has: its machine
    id, its serial number. `console` is a serial device on this computer.
    """

    way: Way
    kind: Kind
    name: str = ""
    addresses: tuple[Address, ...] = ()
    host_key: str = ""
    ids: tuple[str, ...] = ()
    console: str = ""
    note: str = ""
    alias: str = ""
    """What ssh is told to reach it by: its configuration knows user, key and port."""


@dataclass(frozen=True, slots=True)
class Found:
    """One board, or one candidate, with everything that is known of it."""

    name: str
    kind: Kind
    ways: tuple[Way, ...]
    addresses: tuple[Address, ...]
    host_key: str = ""
    ids: tuple[str, ...] = ()
    console: str = ""
    notes: tuple[str, ...] = ()
    alias: str = ""

    @property
    def target(self) -> str:
        """What to give to ssh, or to Cohete; empty where it has no address."""
        return self.alias or self.address

    @property
    def address(self) -> str:
        """The address that answers, else any; empty where it has none."""
        return str(self.addresses[0]) if self.addresses else ""

    @property
    def identity(self) -> str:
        """What stays when its addresses change; an address where nothing better is known."""
        if self.host_key:
            return f"key {self.host_key}"
        if self.ids:
            return f"id {self.ids[0]}"
        return f"at {self.address or self.console}"


@dataclass(slots=True)
class _Group:
    sightings: list[Sighting] = field(default_factory=list)


def merge(sightings: Iterable[Sighting]) -> list[Found]:
    """Each board once, whatever the order they were seen in; the order is stable.

    Two with different host keys are two boards, also where they share an address: every Jetson has
    192.168.55.1 on its USB, and a router gives an address to another board.
    """
    seen = list(sightings)
    keys = {
        (address.host, address.port): each.host_key
        for each in sorted(seen, key=_rank)
        if each.host_key
        for address in each.addresses
        if address.is_open
    }
    ordered = sorted({_without_others(each, keys) for each in seen}, key=_rank)
    groups: list[_Group] = []
    by_mark: dict[str, _Group] = {}
    for sighting in ordered:
        group = _group_of(sighting, by_mark)
        if group is None:
            group = _Group()
            groups.append(group)
        group.sightings.append(sighting)
        for mark in _marks(sighting):
            other = by_mark.setdefault(mark, group)
            if other is not group and _agree(other, group):
                # Two that were apart until this one joined them.
                other.sightings += group.sightings
                groups.remove(group)
                by_mark.update({m: other for m, g in by_mark.items() if g is group})
                group = other
    return sorted((_found(group.sightings) for group in groups), key=_place)


def _without_others(sighting: Sighting, keys: dict[tuple[str, int], str]) -> Sighting:
    """Without addresses at which another board was met meanwhile."""
    if not sighting.host_key:
        return sighting
    kept = tuple(
        address
        for address in sighting.addresses
        if address.is_open
        or keys.get((address.host, address.port), sighting.host_key) == sighting.host_key
    )
    return sighting if kept == sighting.addresses else replace(sighting, addresses=kept)


def _group_of(sighting: Sighting, by_mark: dict[str, _Group]) -> _Group | None:
    candidates = [by_mark[mark] for mark in _marks(sighting) if mark in by_mark]
    return next((group for group in candidates if _agree(group, _Group([sighting]))), None)


def _agree(a: _Group, b: _Group) -> bool:
    keys = {s.host_key for s in (*a.sightings, *b.sightings) if s.host_key}
    return len(keys) <= 1


def _marks(sighting: Sighting) -> list[str]:
    marks = [f"key {sighting.host_key}"] if sighting.host_key else []
    marks += [f"id {each}" for each in sighting.ids]
    return marks + [
        f"at {address.host} {address.port}"
        for address in sighting.addresses
        if not _is_everybodys(address.host)
    ]


def _is_everybodys(host: str) -> bool:
    """Whether every Jetson has it on its USB."""
    return host == USB_HOST or host.startswith("fe80:")


def _rank(sighting: Sighting) -> tuple[object, ...]:
    # Those with marks of their own first: what has only an address joins them.
    has_marks = not (sighting.host_key or sighting.ids)
    return (has_marks, _ORDER[sighting.way], repr(sighting))


def _found(sightings: list[Sighting]) -> Found:
    by_way = sorted(sightings, key=lambda s: (_ORDER[s.way], repr(s)))
    addresses: dict[tuple[str, int], Address] = {}
    for sighting in by_way:
        for address in sighting.addresses:
            place = (address.host, address.port)
            known = addresses.get(place)
            if known is None or known.is_open is None or address.is_open:
                addresses[place] = address
    kinds = {sighting.kind for sighting in sightings}
    kind = next(each for each in (Kind.BOARD, Kind.RECOVERY, Kind.CANDIDATE) if each in kinds)
    opened = sorted(addresses.values(), key=lambda address: address.is_open is not True)
    return Found(
        name=next((s.name for s in by_way if s.name), ""),
        kind=kind,
        ways=tuple(dict.fromkeys(s.way for s in by_way)),
        addresses=tuple(opened),
        host_key=next((s.host_key for s in by_way if s.host_key), ""),
        ids=tuple(sorted({each for s in by_way for each in s.ids})),
        console=next((s.console for s in by_way if s.console), ""),
        notes=tuple(dict.fromkeys(s.note for s in by_way if s.note)),
        alias=next((s.alias for s in by_way if s.alias), ""),
    )


def _place(found: Found) -> tuple[object, ...]:
    kinds = list(Kind)
    return (kinds.index(found.kind), found.name.casefold() or "~", found.identity)
