"""Runs the alerts of a fleet: configured rules, silences from a file, events, notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from cohete.clock import Clock
from cohete.config.alerts import Alerts
from cohete.errors import ConfigError
from cohete.fleet.alerts import BUILT_IN, AlertBook, Notice, Rule, Silence
from cohete.fleet.notify import Notifier, as_document
from cohete.fleet.query import QueryError, parse_query
from cohete.fleet.silences import read_silences, silence
from cohete.fleet.store import FleetStore

PERIOD_S = 1.0


def rules_of(settings: Alerts) -> list[Rule]:
    """The rules of a configuration. Raises ConfigError for a filter that means nothing."""
    rules = list(BUILT_IN) if settings.built_in else []
    for written in settings.rules:
        try:
            query = parse_query(written.when)
        except QueryError as error:
            raise ConfigError(
                f"the alert rule {written.name}: {error.what}", hint=error.hint
            ) from None
        rules = [rule for rule in rules if rule.name != written.name]
        rules.append(Rule(written.name, query, written.level, written.for_s, written.clear_s))
    return rules


class AlertKeeper:
    """Looks at the fleet once a second until cancelled.

    `on_notice` is told what nobody silenced, for a bell or a screen.
    """

    def __init__(
        self, store: FleetStore, settings: Alerts, clock: Clock, folder: Path,
        on_notice: Callable[[Notice], None] | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._folder = folder
        self.settings = settings
        self.on_notice = on_notice
        self.book = AlertBook(rules_of(settings))
        self.notifier = Notifier(settings)
        self._problem = ""

    async def run(self) -> None:
        """Look, tell, deliver."""
        async with asyncio.TaskGroup() as group:
            if self.notifier.is_wanted:
                group.create_task(self.notifier.run())
            group.create_task(self._look_for_ever())

    async def _look_for_ever(self) -> None:
        while True:
            await self._clock.sleep(PERIOD_S)
            self.book.silences = await asyncio.to_thread(read_silences, self._folder)
            self.look()

    def silenced(self, rule: Rule, device: str) -> Silence | None:
        """What keeps a rule quiet about a device now; None where nothing does."""
        now_s = self._clock.time()
        covering = [each for each in self.book.silences if each.covers(rule.name, device, now_s)]
        return max(covering, key=lambda each: each.until_s, default=None)

    def is_silenced(self, rule: str, device: str) -> bool:
        """Whether just this was silenced; "" is every one."""
        now_s = self._clock.time()
        return any(
            (each.rule, each.device) == (rule, device) and each.until_s > now_s
            for each in self.book.silences
        )

    async def silence(self, rule: str, device: str, for_s: float) -> None:
        """Tell nothing about these for so long; "" is every one, 0 s ends it. Raises OSError."""
        now_s = self._clock.time()
        self.book.silences = await asyncio.to_thread(
            silence, self._folder, rule, device, for_s, now_s
        )

    def look(self) -> list[Notice]:
        """One look; what is new becomes events, and goes to whoever is named."""
        now_wall_s = self._clock.time()
        notices = self.book.look(self._store, self._clock.monotonic(), now_wall_s)
        for notice in notices:
            alert = notice.alert
            if notice.silenced:
                continue
            device = self._store[alert.device]
            kind = "alert over" if notice.over else "alert"
            self._store.event(device, kind, f"{alert.rule.told}")
            if self.notifier.is_wanted:
                self.notifier.put(as_document(notice, self._store.name, now_wall_s))
            if self.on_notice is not None:
                with contextlib.suppress(Exception):
                    # A terminal that rings no bell is no reason to watch no more.
                    self.on_notice(notice)
        if self.notifier.problem != self._problem:
            self._problem = self.notifier.problem
            if self._problem:
                self._store.event(None, "alerts", f"alerts do not arrive: {self._problem}")
        return notices
