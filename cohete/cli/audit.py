"""`cohete audit`: what was done to which board, by whom, and what came of it."""

from __future__ import annotations

import dataclasses

import click


@click.command()
@click.argument("device", required=False, default="")
@click.option(
    "--last", type=click.IntRange(1), default=50, show_default=True, help="So many changes."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
def command(device: str, last: int, as_json: bool) -> None:
    """Changes to DEVICE, or to every board, oldest first.

    Each with its commands, how the board was before, how it was found after, and the outcome;
    "unfinished" is a change whose program ended before it did.
    """
    from cohete.control.audit import default_folder, read_audit

    entries = read_audit(default_folder(), device=device, last=last)
    if as_json:
        import json

        for entry in entries:
            click.echo(json.dumps(dataclasses.asdict(entry)))
        return
    for entry in entries:
        click.echo(f"{entry.at}  {entry.device}: {entry.intent}: {entry.outcome}  ({entry.who})")
        for command_line in entry.commands:
            click.echo(f"    {command_line}")
        if entry.before or entry.found:
            now = entry.found or "not known"
            click.echo(f"  was {entry.before or 'not known'}, then {now}")
        if entry.words:
            click.echo(f"  {entry.words}")
    if not entries:
        click.echo("Nothing was changed yet." if not device else f"{device} was never changed.")
