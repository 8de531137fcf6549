"""`cohete breaker`: thermal circuit breakers shown, run without a dashboard, and let go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options, fleet_options
from cohete.errors import ChangeRefused, CoheteError

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.control.change import Change
    from cohete.fleet.breakers import DeviceBreaker
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.links.reopening import ReopeningLink

SETTLE_S = 15.0
POLL_S = 0.1


@click.group()
def command() -> None:
    """Thermal circuit breakers: what they would do now, running them, letting go."""


@command.command()
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """The breaker of each board that has a thermal_policy: state, limits, what moved them.

    Nothing is carried out. Exit code 1 where any breaker is not closed.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(_look(plan))
    if as_json:
        import json

        click.echo(json.dumps({"devices": [_as_dict(each) for each in found]}, indent=2))
    else:
        for each in found:
            click.echo(_as_text(each))
        if not found:
            click.echo("No board has a thermal_policy.")
    sys.exit(1 if any(not each.breaker.allows_work for each in found) else 0)


@command.command("run")
@fleet_options
@click.option("--read-only", is_flag=True, help="Only tell; carry nothing out.")
@click.option(
    "--dry-run", is_flag=True, help="Show what an open breaker would run, and guard nothing."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(0.1, 86_400 * 365),
    help="Stop after this many seconds. Else at ctrl+c.",
)
def run_breakers(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    read_only: bool,
    dry_run: bool,
    as_json: bool,
    for_s: float | None,
) -> None:
    """Guard the boards until ctrl+c: carry out what their breakers decide, and print events.

    What is held when this ends stays held, and is noted on its board: let it go with
    `cohete breaker release`. What else was changed is put back by the next Cohete.
    """
    from dataclasses import replace

    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    if read_only:
        control = plan.control.model_copy(update={"read_only": True})
        plan = replace(plan, control=control)
    if dry_run:
        _show_reactions(plan, as_json=as_json)
    run(_run(plan, as_json=as_json, for_s=for_s))


@command.command("release")
@acting_options
def release(**given: Unpack[Given]) -> None:
    """Let go what a breaker holds on each board: exactly what the board's own note says."""
    from cohete.control.audit import default_folder
    from cohete.fleet.breakers import WORK_OWNER
    from cohete.fleet.holding import Release
    from cohete.fleet.standing import Standing, Taken

    options = Options(**given)
    meant: dict[str, str] = {}

    def make(plan: FleetPlan) -> Release:
        meant.update({spec.id: spec.place for spec in plan.specs if spec.enabled})
        return Release()

    try:
        act(options, make)
    except SystemExit as done:
        if done.code == 0 and not options.dry_run:
            for name, place in meant.items():
                Standing(default_folder()).remove(Taken(name, WORK_OWNER, "", "", 0.0, place))
        raise


def _show_reactions(plan: FleetPlan, *, as_json: bool) -> None:
    """What each breaker would run on its board as the board is now; never returns."""
    from dataclasses import replace

    from cohete.cli.acting import change_as_dict, change_as_text
    from cohete.cli.asking import ask_each
    from cohete.clock import SystemClock
    from cohete.control.applying import Control
    from cohete.control.audit import AuditLog, default_folder
    from cohete.control.gate import Gate
    from cohete.errors import ConfigError
    from cohete.fleet.reactions import reactions_of
    from cohete.loop import run

    clock = SystemClock()
    control = Control(Gate(read_only=True), AuditLog(default_folder(), clock), clock)

    async def ask(link: ReopeningLink) -> list[Change | CoheteError]:
        spec = link.spec
        found: list[Change | CoheteError] = []
        for action in reactions_of(spec.thermal, "it is too hot") if spec.thermal else ():
            try:
                found.append(await control.look(spec, link, action))
            except ChangeRefused as error:
                found.append(error)
        return found

    specs = [spec for spec in plan.specs if spec.thermal and not spec.thermal.on_open.is_empty]
    if not specs:
        raise ConfigError("no board has a thermal policy that does anything")
    asked = run(ask_each(replace(plan, specs=specs), ask))
    found = [
        (spec.id, each)
        for spec, answer in asked
        for each in ([answer] if isinstance(answer, CoheteError) else answer)
    ]
    if as_json:
        import json

        changes = [change_as_dict(name, each) for name, each in found]
        click.echo(
            json.dumps({"intent": "what an open breaker does", "changes": changes}, indent=2)
        )
    else:
        for name, each in found:
            click.echo(change_as_text(name, each))
    sys.exit(1 if any(isinstance(each, CoheteError) for _, each in found) else 0)


async def _look(plan: FleetPlan) -> list[DeviceBreaker]:
    from cohete.fleet.session import FleetSession

    async with FleetSession(plan) as session:
        clock, keeper = session.clock, session.breakers
        await session.settled(SETTLE_S)
        for each in keeper.by_id.values():
            keeper.check(each, clock.monotonic())
        return list(keeper.by_id.values())


async def _run(plan: FleetPlan, *, as_json: bool, for_s: float | None) -> None:
    from cohete.cli.standing import say_what_stands
    from cohete.cli.watch import print_event
    from cohete.fleet.session import FleetSession

    async with FleetSession(plan, guards=True) as session:
        until = session.clock.monotonic() + for_s if for_s else None
        last = 0
        while until is None or session.clock.monotonic() < until:
            await session.clock.sleep(POLL_S)
            for event in [event for event in session.store.events if event.number > last]:
                last = event.number
                print_event(event, plain=not as_json)
    say_what_stands(spec.id for spec in plan.specs)


def _as_text(each: DeviceBreaker) -> str:
    breaker, limits, device = each.breaker, each.limits, each.device
    if breaker.celsius is None:
        state = f"unknown: the board is {device.state}"
    else:
        state = f"{each.words}; {breaker.zone} at {breaker.celsius:.1f} C"
    why = f" ({'; '.join(limits.why)})" if limits.why else ""
    return (
        f"{device.id}: {state}. {each.policy.name}: opens above {limits.threshold_c:g} C, "
        f"closes from {limits.cooldown_c:g} C, warns from {limits.warning_c:g} C{why}"
    )


def _as_dict(each: DeviceBreaker) -> dict[str, Json]:
    breaker, limits = each.breaker, each.limits
    why: list[Json] = list(limits.why)
    return {
        "id": each.device.id,
        "policy": each.policy.name,
        "state": None if breaker.celsius is None else breaker.state.value,
        "zone": breaker.zone or None,
        "temperature_c": breaker.celsius,
        "threshold_c": limits.threshold_c,
        "cooldown_c": limits.cooldown_c,
        "warning_c": limits.warning_c,
        "margin_c": None if breaker.celsius is None else limits.margin_c(breaker.celsius),
        "crosses_in_s": each.ahead.crosses_in_s,
        "why": why,
    }
