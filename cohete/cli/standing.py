"""`cohete standing`: what switches, limits and breakers changed and have not given back."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import click


@click.command()
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--forget", is_flag=True, help="Give nothing back: how it is now is how it stays.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def command(devices: tuple[str, ...], forget: bool, as_json: bool) -> None:
    """What Cohete changed by itself on DEVICE, or on every board, and has not given back.

    Switches, limits and breakers note it before they change anything; the next Cohete that watches
    the board goes on from there. Exit code 1 where anything stands.
    """
    from cohete.control.audit import default_folder
    from cohete.errors import ConfigError
    from cohete.fleet.standing import Standing, taken_words

    standing = Standing(default_folder())
    found = standing.of(devices) if devices else standing.read()
    if forget:
        if not devices:
            raise click.UsageError("--forget takes the names of devices.")
        try:
            for taken in found:
                standing.remove(taken)
        except OSError as error:
            text = f"it cannot be forgotten: {error.strerror}"
            raise ConfigError(text, path=str(standing.folder)) from error
    if as_json:
        import json

        click.echo(json.dumps([dataclasses.asdict(taken) for taken in found], indent=2))
    else:
        for taken in found:
            since = datetime.fromtimestamp(taken.since_s, UTC).isoformat(timespec="seconds")
            click.echo(f"{taken.device}: {taken_words(taken)}, since {since}")
        if not found:
            click.echo("Nothing stands.")
        elif forget:
            click.echo("Forgotten: it stays as it is.")
    sys.exit(1 if found and not forget else 0)


def say_what_stands(devices: Iterable[str]) -> None:
    """On leaving: what stays changed on these boards, and what gives it back."""
    from cohete.control.audit import default_folder
    from cohete.fleet.standing import Standing, taken_words

    found = Standing(default_folder()).of(devices)
    for taken in found[:20]:
        click.echo(f"{taken.device}: {taken_words(taken)}", err=True)
    if len(found) > 20:
        click.echo(f"and {len(found) - 20} more", err=True)
    if found:
        click.echo(
            "This stays so until Cohete runs again, and goes on from it: see `cohete standing`. "
            "What is held is let go by `cohete breaker release`.",
            err=True,
        )
