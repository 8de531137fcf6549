"""Which boards a command means: by name, by the configuration, and by its filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cohete.cli.options import FILTER

if TYPE_CHECKING:
    from cohete.fleet.session import FleetPlan

FILTER_WAIT_S = 15.0


def fleet(
    targets: Sequence[str],
    config_path: str | None,
    *,
    accept_new: bool = False,
    interval_ms: int | None = None,
) -> FleetPlan:
    """The boards of a command line. Raises ConfigError where there are none."""
    from cohete.fleet.session import plan_fleet, require_fleet

    plan = require_fleet(
        plan_fleet(targets, config_path, accept_new=accept_new, interval_ms=interval_ms)
    )
    text = _filter()
    return filtered(plan, text) if text else plan


def asleep(targets: Sequence[str], config_path: str | None) -> FleetPlan:
    """As `fleet`, with nobody asked: a filter knows what the configuration says, and no more."""
    from cohete.clock import SystemClock
    from cohete.fleet.query import parse_query
    from cohete.fleet.session import plan_fleet, require_fleet
    from cohete.fleet.store import FleetStore

    plan = require_fleet(plan_fleet(targets, config_path))
    text = _filter()
    if not text:
        return plan
    store = FleetStore(plan.specs, SystemClock())
    found = parse_query(text).of(store, store.clock.monotonic())
    return _only(plan, {device.id for device in found})


def _filter() -> str | None:
    context = click.get_current_context(silent=True)
    text: str | None = context.meta.get(FILTER) if context is not None else None
    return text


def filtered(plan: FleetPlan, text: str) -> FleetPlan:
    """The boards for which the terms hold now. Raises ConfigError where they hold for none."""
    from cohete.fleet.query import parse_query
    from cohete.fleet.session import FleetSession
    from cohete.loop import run

    query = parse_query(text)
    specs = [spec for spec in plan.specs if spec.enabled]

    async def look() -> set[str]:
        # A filter may ask for what is only known of a live board.
        async with FleetSession(replace(plan, specs=specs)) as session:
            await session.settled(FILTER_WAIT_S)
            found = query.of(session.store, session.clock.monotonic())
            return {device.id for device in found}

    return _only(plan, run(look()))


def _only(plan: FleetPlan, meant: set[str]) -> FleetPlan:
    """These boards. Raises ConfigError where there are none."""
    from cohete.errors import ConfigError

    if not meant:
        raise ConfigError("no board is meant", hint="The filter holds for none of them.")
    return replace(plan, specs=[spec for spec in plan.specs if spec.id in meant])
