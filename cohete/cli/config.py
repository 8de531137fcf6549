"""`cohete config`: check a cohete.yaml, or print its JSON Schema."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Check a cohete.yaml, or print its schema."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say whether FILE can be used; every fault with its line, column and a suggestion."""
    from cohete.config import loading

    config, errors = loading.check(loading.read(file), str(file))
    for error in errors:
        click.echo(str(error), err=True)
    if config is None:
        click.echo(f"{file}: {_count(len(errors), 'fault')}", err=True)
        sys.exit(1)
    devices, models = len(config.fleet.devices), len(config.models)
    click.echo(f"{file}: good ({_count(devices, 'device')}, {_count(models, 'model')})")


@command.command()
def schema() -> None:
    """Print the JSON Schema of cohete.yaml, for editors."""
    from cohete.config.jsonschema import schema_text

    click.echo(schema_text(), nl=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
