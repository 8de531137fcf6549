"""`cohete wake`: a sleeping board woken over the network."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cohete.cli.meant import asleep
from cohete.cli.options import FILTER, config_option, filter_option

if TYPE_CHECKING:
    from cohete.clock import Clock
    from cohete.config.spec import DeviceSpec
    from cohete.control.audit import AuditLog
    from cohete.control.gate import Gate
    from cohete.fleet.export import Json

SSH_PORT = 22


@click.command()
@click.argument("targets", nargs=-1, metavar="[DEVICE]...")
@filter_option
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
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    mac: str | None,
    broadcast: str,
    port: str,
    wait_s: float,
    read_only: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Wake DEVICEs by magic packet, and say whether they can be reached after it.

    Without a name all that --filter means, from what the configuration says of them (tag, site,
    name): a board that sleeps tells nothing.
    Exit code 1 where any cannot, or is read-only. The board has to have wake-on-LAN switched on.
    """
    from cohete.errors import ConfigError
    from cohete.loop import run
    from cohete.power.wake import parse_mac

    if not targets and not click.get_current_context().meta.get(FILTER):
        raise click.UsageError("Name the boards to wake, or which with --filter.")
    plan = asleep(targets, config_path)
    wakings: list[_Waking] = []
    for spec in plan.specs:
        address = mac or spec.mac
        if address is None:
            raise ConfigError(
                f"the MAC address of {spec.id} is not known", hint="Name it with --mac."
            )
        wakings.append(_Waking(spec, parse_mac(address), broadcast, int(port), wait_s))
    if dry_run:
        for each in wakings:
            each.words = each.intent
    else:
        run(_wake_all(wakings, read_only=read_only or plan.control.read_only))
    if as_json:
        import json

        click.echo(json.dumps({"devices": [each.document for each in wakings]}, indent=2))
    else:
        for each in wakings:
            click.echo(f"{each.spec.id}: {each.words}")
    sys.exit(0 if all(each.well for each in wakings) else 1)


@dataclass(slots=True)
class _Waking:
    spec: DeviceSpec
    mac: bytes
    broadcast: str
    port: int
    wait_s: float
    well: bool = True
    words: str = ""
    took_s: float | None = None

    @property
    def intent(self) -> str:
        return f"send a magic packet for {self.mac.hex(':')} to {self.broadcast}:{self.port}"

    @property
    def document(self) -> dict[str, Json]:
        return {
            "id": self.spec.id, "well": self.well, "words": self.words,
            "reached_after_s": self.took_s,
        }  # fmt: skip


async def _wake_all(wakings: list[_Waking], *, read_only: bool) -> None:
    """One after the other is sent to; all are waited for at the same time."""
    import asyncio

    from cohete.clock import SystemClock
    from cohete.control.audit import AuditLog, default_folder
    from cohete.control.gate import Gate

    clock = SystemClock()
    gate, log = Gate(read_only), AuditLog(default_folder(), clock)
    await asyncio.gather(*(_wake(each, gate, log, clock) for each in wakings))


async def _wake(each: _Waking, gate: Gate, log: AuditLog, clock: Clock) -> None:
    import asyncio

    from cohete.control.change import Change
    from cohete.control.noting import noted
    from cohete.control.outcome import Outcome
    from cohete.power.wake import send, woke

    name = each.spec.id
    if refusal := gate.refusal(each.spec):
        each.well, each.words = False, f"refused: {refusal}"
        await asyncio.to_thread(log.refused, name, each.intent, refusal)
        return
    change = Change(name, each.intent, "not known", "reachable")
    async with noted(log, change) as what:
        await asyncio.to_thread(send, each.mac, each.broadcast, each.port)
        if not each.wait_s:
            each.words = what.words = "packet sent; not waited for"
            return
        target = each.spec.target
        each.took_s = await woke(target.host, target.port or SSH_PORT, clock, each.wait_s)
        if each.took_s is None:
            each.well = False
            each.words = f"packet sent, not reached within {each.wait_s:g} s"
            what.outcome, what.found = Outcome.FAILED, "not reached"
        else:
            each.words = f"reached after {each.took_s:.1f} s"
            what.outcome, what.found = Outcome.DONE, "reachable"
        what.words = each.words
