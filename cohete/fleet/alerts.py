"""Alerts: rules that devices must not meet for long, told once, and once when it is over. Pure.

A rule is a filter as it is typed in the dashboard. It fires for a device that has met it for
`for_s` without a break, and is over after `clear_s` without it. A pair that comes and goes too
often is flapping: it stays an alert, and is told no more until it has been calm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from cohete.fleet.query import FLAGS, Query, parse_query
from cohete.fleet.state import Device, State

FLAP_WINDOW_S = 600.0
FLAP_CHANGES = 6
STEADY_S = 300.0
"""What flapped, and has been so without a break for so long, is told after all."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When, how urgent, and how long it takes to begin and to end."""

    name: str
    query: Query
    level: str = "warning"
    for_s: float = 10.0
    clear_s: float = 30.0
    is_news: bool = False
    """Something that happened: it is told, and its end is not, for nothing says that it is over."""

    @property
    def text(self) -> str:
        """For a person: its name, and what it asks where the name does not say it."""
        if any(self is rule for rule in BUILT_IN):
            return self.name
        return f"{self.name}: {self.query.text}"

    @property
    def told(self) -> str:
        """As it stands in the events."""
        return f"{self.level}: {self.text}"


def _flag(name: str) -> Query:
    """The same as `is:name`, asked once a second of every board: without going over texts."""
    holds = FLAGS[name]
    return Query(f"is:{name}", (lambda device, now_s: holds(device),))


def _state(state: State) -> Query:
    return Query(f"state:{state}", (lambda device, now_s: device.state is state,))


TOLD_S = 60.0
"""So long a warning that was told as an event counts."""


def _told(kind: str) -> Query:
    def is_fresh(device: Device, now_s: float) -> bool:
        at = device.told_at.get(kind)
        return at is not None and now_s - at < TOLD_S

    return Query(f"{kind!r} told in the last minute", (is_fresh,))


BUILT_IN: tuple[Rule, ...] = (
    Rule("board-lost", _state(State.LOST), "critical", 30.0, 10.0),
    Rule("board-refused", _state(State.REFUSED), "critical", 0.0, 0.0),
    Rule("too-hot", parse_query("temp>=95"), "critical", 5.0, 30.0),
    Rule("breaker-open", _flag("breaker-open"), "critical", 0.0, 5.0),
    Rule("over-budget", _flag("over-budget"), "warning", 10.0, 30.0),
    Rule("memory-low", parse_query("ram>95"), "warning", 10.0, 30.0),
    Rule("disk-low", parse_query("disk>90"), "warning", 0.0, 120.0),
    Rule("heat-warning", _told("warm"), "warning", 0.0, 0.0, is_news=True),
    Rule("heat-ahead", _told("forecast"), "warning", 0.0, 0.0, is_news=True),
    Rule("memory-pressure", _told("memory"), "warning", 0.0, 0.0, is_news=True),
    Rule("leak", _told("leak"), "warning", 0.0, 0.0, is_news=True),
    Rule("throttled", _told("throttled"), "warning", 0.0, 0.0, is_news=True),
    Rule("limit-not-held", _told("limit not held"), "warning", 0.0, 0.0, is_news=True),
    Rule("still-held", _told("held"), "warning", 0.0, 0.0, is_news=True),
    Rule("change-failed", _told("change failed"), "warning", 0.0, 0.0, is_news=True),
)
"""What is worth telling on every fleet."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is told about these until then; "" is every rule, or every device. Wall seconds."""

    rule: str
    device: str
    until_s: float

    def covers(self, rule: str, device: str, now_wall_s: float) -> bool:
        """Whether it keeps this one quiet now."""
        return now_wall_s < self.until_s and self.rule in ("", rule) and self.device in ("", device)


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that a device meets. Times are monotonic seconds; `fired_s` None while it waits."""

    rule: Rule
    device: str
    since_s: float
    met_s: float
    fired_s: float | None = None
    is_flapping: bool = False
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell: an alert that began, or (`over`) one that ended."""

    alert: Alert
    over: bool = False
    silenced: bool = False


@dataclass(slots=True)
class AlertBook:
    """What is going on by rule and device. Feed it the fleet now and then."""

    rules: Sequence[Rule] = BUILT_IN
    silences: list[Silence] = field(default_factory=list)
    alerts: dict[tuple[str, str], Alert] = field(default_factory=dict)
    _changes: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    @property
    def firing(self) -> list[Alert]:
        """Alerts that are so now, the urgent and the newest first."""
        found = [alert for alert in self.alerts.values() if alert.fired_s is not None]
        return sorted(found, key=lambda alert: (alert.rule.level != "critical", -alert.since_s))

    def resume(self, rule: Rule, device: str, now_s: float, grace_s: float) -> None:
        """It held when an earlier program ended, and does until it has not for `grace_s` and as
        long as it takes to be over."""
        key = (rule.name, device)
        self.alerts[key] = Alert(rule, device, now_s, now_s + grace_s, now_s, is_told=True)

    def rule_told(self, text: str) -> Rule | None:
        """The rule behind the text of an event; None where it is none of these."""
        return next((rule for rule in self.rules if rule.told == text), None)

    def look(self, devices: Iterable[Device], now_s: float, now_wall_s: float) -> list[Notice]:
        """What is new since the last look."""
        self.silences = [silence for silence in self.silences if now_wall_s < silence.until_s]
        for key in [key for key, at in self._changes.items() if now_s - at[-1] > FLAP_WINDOW_S]:
            del self._changes[key]
        kept = list(devices)
        notices: list[Notice] = []
        for rule in self.rules:
            meeting = {device.id for device in rule.query.of(kept, now_s)}
            known = {device for name, device in self.alerts if name == rule.name}
            for device in sorted(meeting | known):
                silenced = any(
                    silence.covers(rule.name, device, now_wall_s) for silence in self.silences
                )
                meets = device in meeting
                notice = self._one(rule, device, now_s, meets=meets, silenced=silenced)
                if notice is not None:
                    notices.append(replace(notice, silenced=silenced))
        return notices

    def _one(
        self, rule: Rule, device: str, now_s: float, *, meets: bool, silenced: bool
    ) -> Notice | None:
        key = (rule.name, device)
        alert = self.alerts.get(key)
        if alert is None:
            alert = Alert(rule, device, now_s, now_s)
        if meets:
            alert = replace(alert, met_s=now_s)
            is_new = alert.fired_s is None and now_s - alert.since_s >= rule.for_s
            if is_new:
                flaps = self._flaps(key, now_s)
                alert = replace(alert, fired_s=now_s, is_flapping=flaps)
            elif alert.is_flapping and now_s - (alert.fired_s or now_s) >= STEADY_S:
                alert = replace(alert, is_flapping=False)
            # What was kept quiet is told once nobody keeps it so and it still holds.
            is_due = alert.fired_s is not None and not alert.is_told and not alert.is_flapping
            if is_due and not silenced:
                alert = replace(alert, is_told=True)
            self.alerts[key] = alert
            return Notice(alert) if is_due and (alert.is_told or is_new) else None
        if alert.fired_s is None:
            self.alerts.pop(key, None)
            return None
        if now_s - alert.met_s >= rule.clear_s:
            del self.alerts[key]
            self._flaps(key, now_s)
            return Notice(alert, over=True) if alert.is_told and not rule.is_news else None
        return None

    def _flaps(self, key: tuple[str, str], now_s: float) -> bool:
        """Count a change; whether there were too many lately to be worth a word each."""
        changes = (*self._changes.get(key, ())[-FLAP_CHANGES:], now_s)
        self._changes[key] = changes
        return len(changes) > FLAP_CHANGES and now_s - changes[0] < FLAP_WINDOW_S
