"""`cohete wake`: a sleeping board woken over the network."""

from __future__ import annotations

import sys

import click

from cohete.cli.options import config_option

SSH_PORT = 22


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="DEVICE...")
@config_option
@click.option("--mac", help="Its MAC address. Else the device's `mac` in the configuration.")
@click.option(
    "--broadcast",
    default="255.255.255.255",
    show_default=True,
    help="Broadcast address of the board's network, as in 10.0.0.255.",
)
@click.option("--port", type=click.Choice(["9", "7"]), default="9", show_default=True)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    default=120.0,
    show_default=True,
    help="Seconds to wait for it; 0 does not wait.",
)
@click.option("--read-only", is_flag=True, help="Wake nothing.")
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    mac: str | None,
    broadcast: str,
    port: str,
    wait_s: float,
    read_only: bool,
) -> None:
    """Wake DEVICEs by magic packet, and say whether they can be reached after it.

    Exit code 1 where any cannot, or is read-only. The board has to have wake-on-LAN switched on.
    """
    from cohete.clock import SystemClock
    from cohete.control.gate import Gate
    from cohete.errors import ConfigError
    from cohete.fleet.session import plan_fleet, require_fleet
    from cohete.loop import run
    from cohete.power.wake import parse_mac, send, woke

    plan = require_fleet(plan_fleet(targets, config_path))
    gate = Gate(read_only or plan.control.read_only)
    well = True
    for spec in plan.specs:
        refusal = gate.refusal(spec)
        if refusal:
            well = False
            click.echo(f"{spec.id}: refused: {refusal}")
            continue
        address = mac or spec.mac
        if address is None:
            raise ConfigError(
                f"the MAC address of {spec.id} is not known", hint="Name it with --mac."
            )
        send(parse_mac(address), broadcast, int(port))
        if not wait_s:
            click.echo(f"{spec.id}: packet sent; not waited for")
            continue
        target = spec.target
        took_s = run(woke(target.host, target.port or SSH_PORT, SystemClock(), wait_s))
        if took_s is None:
            well = False
            click.echo(f"{spec.id}: packet sent, not reached within {wait_s:g} s")
        else:
            click.echo(f"{spec.id}: reached after {took_s:.1f} s")
    sys.exit(0 if well else 1)
