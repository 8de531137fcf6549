"""`cohete rollout`: changes of many boards that did not reach all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, resume
from cohete.cli.options import acting_options

if TYPE_CHECKING:
    from typing import Unpack


@click.group()
def command() -> None:
    """Changes of many boards that did not reach all of them."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def list_unfinished(as_json: bool) -> None:
    """Rollouts that can go on: they were stopped, or their program ended."""
    from cohete.control.audit import default_folder
    from cohete.fleet.rollout import unfinished

    every = unfinished(default_folder())
    if as_json:
        import json

        rows = [
            {"name": each.record.name, "action": dict(each.action), "left": list(each.left)}
            for each in every
        ]
        click.echo(json.dumps({"rollouts": rows}, indent=2))
        return
    for each in every:
        kind = str(each.action.get("kind", "")).replace("_", " ")
        count = f"{len(each.left)} of {len(each.devices)} left"
        click.echo(f"{each.record.name}: {kind}: {count}: {', '.join(each.left)}")
    if not every:
        click.echo("No rollout waits to go on.")


@command.command("resume")
@click.argument("name", required=False, default="")
@acting_options
@click.option("--reboot", is_flag=True, help="Agree to reboots, as `cohete power set --reboot`.")
def resume_one(name: str, reboot: bool, **given: Unpack[Given]) -> None:
    """Go on with the rollout NAME, or the newest: only with the boards that are left."""
    resume(Options(**given, reboot=reboot), name)


@command.command("forget")
@click.argument("name")
def forget(name: str) -> None:
    """Do not go on with the rollout NAME; the boards stay as they are."""
    from cohete.control.audit import default_folder
    from cohete.fleet.rollout import find_unfinished

    find_unfinished(default_folder(), name).record.remove()
