"""`cohete alerts`: what is wrong now, watching for it without a dashboard, silencing."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cohete.cli.options import config_option, fleet_options

if TYPE_CHECKING:
    from cohete.fleet.alerts import Alert
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan

POLL_S = 0.2
SETTLE_S = 10.0


@click.group()
def command() -> None:
    """Alerts: what is wrong now, watching for it, silencing."""


@command.command("list")
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def list_alerts(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """What the rules say of the fleet now, without waiting for their `for_s`.

    Exit code 1 where anything is.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(_now(plan))
    if as_json:
        import json

        click.echo(json.dumps({"alerts": [_as_dict(alert) for alert in found]}, indent=2))
    else:
        for alert in found:
            click.echo(f"{alert.device}: {alert.rule.told}")
        if not found:
            click.echo("Nothing.")
    sys.exit(1 if found else 0)


@command.command("watch")
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(0.1, 86_400 * 365),
    help="Stop after so many seconds. Else at ctrl+c.",
)
def watch(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    as_json: bool,
    for_s: float | None,
) -> None:
    """Print alerts as they begin and end, and tell whoever the configuration names."""
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    run(_watch(plan, as_json=as_json, for_s=for_s))


@command.command("silence")
@click.option("--rule", default="", help="Only this rule.")
@click.option("--device", default="", help="Only this device.")
@click.argument("duration")
def silence(rule: str, device: str, duration: str) -> None:
    """Tell nothing for DURATION (30m, 8h, 2d) about a rule, a device, or both; 0 ends it.

    Alerts go on being alerts: they are only not told.
    """
    import time

    from cohete.control.audit import default_folder
    from cohete.fleet.silences import silence as silence_for
    from cohete.telemetry.when import parse_span_ms

    if not rule and not device:
        raise click.UsageError("say --rule, --device, or both")
    seconds = 0.0 if duration == "0" else parse_span_ms(duration) / 1000
    kept = silence_for(default_folder(), rule, device, seconds, time.time())
    for each in kept:
        until = datetime.fromtimestamp(each.until_s).strftime("%d %b %H:%M")  # noqa: DTZ006 - for whoever reads
        click.echo(f"{each.device or 'every device'}, {each.rule or 'every rule'}: until {until}")


@command.command("rules")
@config_option
def rules(config_path: str | None) -> None:
    """The rules there are: built in and configured."""
    from cohete.config.loading import find_config, load
    from cohete.config.schema import Config
    from cohete.fleet.alerting import rules_of

    path = find_config(config_path)
    for rule in rules_of((load(path) if path else Config()).alerts):
        click.echo(f"{rule.name}: {rule.level}: {rule.query.text} for {rule.for_s:g} s")


async def _now(plan: FleetPlan) -> list[Alert]:
    from cohete.fleet.alerting import rules_of
    from cohete.fleet.alerts import AlertBook
    from cohete.fleet.session import FleetSession

    book = AlertBook([replace(rule, for_s=0.0) for rule in rules_of(plan.alerts)])
    async with FleetSession(plan) as session:
        clock = session.clock
        await session.settled(SETTLE_S, facts=False)
        for each in session.breakers.by_id.values():
            session.breakers.check(each, clock.monotonic())
        book.look(session.store, clock.monotonic(), clock.time())
        return book.firing


async def _watch(plan: FleetPlan, *, as_json: bool, for_s: float | None) -> None:
    from cohete.cli.watch import print_event
    from cohete.fleet.session import FleetSession

    read_only = plan.control.model_copy(update={"read_only": True})
    async with FleetSession(replace(plan, control=read_only), guards=True) as session:
        until = session.clock.monotonic() + for_s if for_s else None
        last = 0
        while until is None or session.clock.monotonic() < until:
            await session.clock.sleep(POLL_S)
            for event in [event for event in session.store.events if event.number > last]:
                last = event.number
                if event.kind.startswith(("alert", "memory")):
                    print_event(event, plain=not as_json)


def _as_dict(alert: Alert) -> dict[str, Json]:
    return {
        "device": alert.device,
        "rule": alert.rule.name,
        "level": alert.rule.level,
        "when": alert.rule.query.text,
    }
