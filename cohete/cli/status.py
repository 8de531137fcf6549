"""`cohete status`: one sample of each device; the exit code says if any is down."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cohete.cli.options import fleet_options

if TYPE_CHECKING:
    from cohete.fleet.session import FleetPlan, FleetSession
    from cohete.fleet.state import Device


@click.command()
@fleet_options
@click.option("--fleet", "show_fleet", is_flag=True, help="Also the totals of the fleet.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 600),
    default=15.0,
    show_default=True,
    help="Seconds to wait for the slowest device.",
)
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    show_fleet: bool,
    as_json: bool,
    timeout_s: float,
) -> None:
    """One sample of each device.

    TARGET is user@host[:port] or the id of a configured device; without one, all configured
    devices, or this machine if it is a Jetson. Exit code: 0 all live, 1 any down, 2 cannot start.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    all_live = run(_status(plan, show_fleet=show_fleet, as_json=as_json, timeout_s=timeout_s))
    sys.exit(0 if all_live else 1)


async def _status(plan: FleetPlan, *, show_fleet: bool, as_json: bool, timeout_s: float) -> bool:
    from cohete.fleet.session import FleetSession

    async with FleetSession(plan) as session:
        await session.settled(timeout_s)
        if not as_json and sys.stdin.isatty() and await _ask_for_keys(session):
            await session.settled(timeout_s)
        if as_json:
            _print_json(session, show_fleet=show_fleet)
        else:
            _print_table(session, show_fleet=show_fleet)
        return all(device.state.is_up for device in session.store if device.spec.enabled)


async def _ask_for_keys(session: FleetSession) -> bool:
    """Ask about each host that was never seen; True if any was accepted."""
    accepted = False
    for device in session.store:
        if device.key_line:
            click.echo(f"{device.id} ({device.spec.target}) was never seen before.", err=True)
            click.echo(f"  key fingerprint: {device.fingerprint}", err=True)
            if click.confirm("  Is this the key of this board?", err=True):
                await session.accept_key(device)
                accepted = True
    return accepted


def _print_json(session: FleetSession, *, show_fleet: bool) -> None:
    import json

    from cohete.fleet.export import Json, device_as_dict, totals_as_dict

    store = session.store
    devices: list[Json] = [device_as_dict(device, store) for device in store]
    document: dict[str, Json] = {"devices": devices}
    if show_fleet:
        document["fleet"] = totals_as_dict(store.totals(), store.name)
    click.echo(json.dumps(document, indent=2))


def _print_table(session: FleetSession, *, show_fleet: bool) -> None:
    from cohete.cli.table import format_table
    from cohete.fleet.words import ROW_TITLES, row, totals_line

    store = session.store
    now = session.clock.monotonic()
    click.echo(format_table(ROW_TITLES, [row(device, now) for device in store]))
    for device in store:
        if not device.state.is_up and (device.error or device.hint):
            click.echo(_complaint(device))
    if show_fleet:
        click.echo(totals_line(store.totals(), store.name))


def _complaint(device: Device) -> str:
    text = f"{device.id}: {device.state}: {device.error}"
    return f"{text}. {device.hint}" if device.hint else text
