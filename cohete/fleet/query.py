"""Which devices of a fleet: `temp>80 tag:lab mode:maxn !lost name~cam`. Pure.

All terms must hold. `!` turns one round. A number that is unknown holds for no comparison, so
`!temp>80` keeps the devices that are not known to be hotter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate

from cohete.errors import CoheteError
from cohete.fleet.state import Device, State
from cohete.fleet.store import is_breaker_open, is_hot, is_over_budget

MAX_TERMS = 32

Number = Callable[[Device, float], float | None]
Texts = Callable[[Device], Iterable[str]]
Test = Callable[[Device, float], bool]


class QueryError(CoheteError):
    """A term that means nothing; `what` says which and why."""


def _temperature(device: Device, now_s: float) -> float | None:
    return device.reading.hottest_c if device.reading else None


def _swap(device: Device, now_s: float) -> float | None:
    stats = device.stats
    if stats is None or stats.swap_used_mb is None or not stats.swap_total_mb:
        return None
    return 100 * stats.swap_used_mb / stats.swap_total_mb


def _power(device: Device, now_s: float) -> float | None:
    power_mw = device.reading.power_mw if device.reading else None
    return None if power_mw is None else power_mw / 1000


def _lfb(device: Device, now_s: float) -> float | None:
    stats = device.stats
    if stats is None or stats.lfb_blocks is None or stats.lfb_kb is None:
        return None
    return stats.lfb_blocks * stats.lfb_kb / 1024


def _disk(device: Device, now_s: float) -> float | None:
    """How full its fullest file system is."""
    rooms = device.facts.rooms if device.facts else ()
    return max((100 * (1 - room.free_share) for room in rooms if room.total), default=None)


def _battery(device: Device, now_s: float) -> float | None:
    battery = device.facts.battery if device.facts else None
    return battery.percent if battery is not None else None


NUMBERS: dict[str, tuple[Number, str]] = {
    "temp": (_temperature, "C"),
    "gpu": (lambda device, now: device.gpu_percent(now), "%"),
    "cpu": (lambda device, now: device.reading.cpu_percent if device.reading else None, "%"),
    "ram": (lambda device, now: device.reading.ram_percent if device.reading else None, "%"),
    "swap": (_swap, "%"),
    "emc": (lambda device, now: device.stats.emc_percent if device.stats else None, "%"),
    "power": (_power, "W"),
    "age": (lambda device, now: device.age_s(now), "s"),
    "lfb": (_lfb, "MB"),
    "battery": (_battery, "%"),
    "disk": (_disk, "%"),
    "trend": (lambda device, now: device.history.slope_per_min("temperature_c"), "C/min"),
}
"""Fields that are compared as numbers, each with the unit that may follow a value."""


FLAGS: dict[str, Callable[[Device], bool]] = {
    "hot": is_hot,
    "over-budget": is_over_budget,
    "on-battery": lambda device: (
        device.facts is not None
        and device.facts.battery is not None
        and device.facts.battery.discharging
    ),
    "breaker-open": is_breaker_open,
    "read-only": lambda device: device.spec.read_only,
}
"""What can be true of a device."""


TEXTS: dict[str, Texts] = {
    "name": lambda device: (device.id,),
    "state": lambda device: (str(device.state),),
    "tag": lambda device: device.spec.tags,
    "site": lambda device: (device.spec.site or "",),
    "module": lambda device: (device.module_name,),
    "mode": lambda device: (device.mode_name,),
    "l4t": lambda device: ((device.facts.l4t or "") if device.facts else "",),
    "jetpack": lambda device: ((device.facts.jetpack or "") if device.facts else "",),
    "address": lambda device: (device.spec.target.host,),
    "is": lambda device: [flag for flag, holds in FLAGS.items() if holds(device)],
}
"""Fields that are compared as words; `is` takes hot, over-budget and read-only."""

_KNOWN = (*NUMBERS, *TEXTS)
_TERM = re.compile(r'"[^"]*"?|(?:[^\s"]|"[^"]*"?)+')
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)(>=|<=|!=|[<>=:~])(.*)", re.DOTALL)
_VALUE = re.compile(r"(-?\d{1,9}(?:\.\d{1,6})?)([A-Za-z%/]*)", re.ASCII)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ":": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed filter; without terms everything holds."""

    text: str = ""
    tests: tuple[Test, ...] = ()

    def matches(self, device: Device, now_s: float) -> bool:
        """Whether every term holds for a device now (monotonic seconds)."""
        return all(test(device, now_s) for test in self.tests)

    def of(self, devices: Iterable[Device], now_s: float) -> list[Device]:
        """The devices for which every term holds now, in the order given."""
        kept = list(devices)
        for test in self.tests:
            kept = [device for device in kept if test(device, now_s)]
        return kept


def parse_query(text: str) -> Query:
    """A filter from what a person typed. Raises QueryError."""
    query, problem = parse_terms(text)
    if problem is not None:
        raise problem
    return query


def parse_terms(text: str) -> tuple[Query, QueryError | None]:
    """The terms that mean something, and what is wrong with the first that does not.

    For a filter that follows what is typed: a term that is not finished is not there yet.
    """
    terms = _TERM.findall(text)
    problem = None
    if len(terms) > MAX_TERMS:
        problem = QueryError(f"more than {MAX_TERMS} terms")
    kept: list[str] = []
    tests: list[Test] = []
    for term in [term for term in terms if term != "!"][:MAX_TERMS]:
        try:
            test = _test(term)
        except QueryError as error:
            problem = problem or error
        else:
            kept.append(term)
            tests.append(test)
    return Query(" ".join(kept), tuple(tests)), problem


def _test(term: str) -> Test:
    negated = term.startswith("!")
    bare = term[negated:]
    match = _FIELD.fullmatch(bare)
    if match is not None and match[1].lower() not in _KNOWN and ":" in match[3]:
        # An IPv6 address is no field.
        match = None
    test = _word(bare) if match is None else _compared(match[1].lower(), match[2], match[3])
    if not negated:
        return test
    return lambda device, now: not test(device, now)


def _compared(field: str, operator: str, value: str) -> Test:
    value = value.replace('"', "")
    if field in NUMBERS:
        return _number(field, operator, value)
    if field in TEXTS:
        return _text(field, operator, value.casefold())
    near = difflib.get_close_matches(field, _KNOWN, 1)
    raise QueryError(
        f"there is no field {field!r}",
        hint=f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(_KNOWN)}.",
    )


def _number(field: str, operator: str, value: str) -> Test:
    number, unit = NUMBERS[field]
    compare = _COMPARE.get(operator)
    found = _VALUE.fullmatch(value)
    if compare is None or found is None or found[2].casefold() not in ("", unit.casefold()):
        raise QueryError(f"{field} is compared with a number in {unit}", hint=f"As in {field}>50.")
    limit = float(found[1])

    def test(device: Device, now_s: float) -> bool:
        known = number(device, now_s)
        return known is not None and compare(known, limit)

    return test


def _text(field: str, operator: str, value: str) -> Test:
    texts = TEXTS[field]
    if operator in ("<", ">", "<=", ">=") or not value:
        raise QueryError(
            f"{field} is compared with a word",
            hint=f"{field}:word is all of it (* is anything), {field}~part is a part.",
        )
    if operator == "~":
        return lambda device, now: any(value in text.casefold() for text in texts(device))
    if set(value).isdisjoint("*?["):

        def test(device: Device, now_s: float) -> bool:
            return value in [text.casefold() for text in texts(device)]
    else:
        whole = re.compile(translate(value)).match

        def test(device: Device, now_s: float) -> bool:
            return any(whole(text.casefold()) for text in texts(device))

    return test if operator != "!=" else lambda device, now: not test(device, now)


def _word(word: str) -> Test:
    part = word.replace('"', "").casefold()
    states = {state for state in State if part in state}
    flags = [holds for flag, holds in FLAGS.items() if part in flag]

    def test(device: Device, now_s: float) -> bool:
        return (
            part in device.words or device.state in states or any(holds(device) for holds in flags)
        )

    return test
