"""Options that several verbs share, written once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A number within bounds; what is no number is within none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value!r} is no number.", param, ctx)
        return found


config_option = click.option(
    "-f",
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="A cohete.yaml. Else $COHETE_CONFIG, ./cohete.yaml, or the user's own.",
)

new_file_option = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file; one that exists is never replaced.",
)


FILTER = "cohete.filter"
"""Where in a command's context the filter waits until the fleet is known."""


def _keep_filter(ctx: click.Context, _: click.Parameter, text: str | None) -> None:
    ctx.meta[FILTER] = text


def filter_option(function: _F) -> _F:
    """--filter, applied by `cohete.cli.meant`."""
    return click.option(
        "--filter",
        metavar="TERMS",
        expose_value=False,
        callback=_keep_filter,
        help="Only boards for which these hold: 'tag:lab temp<70'.",
    )(function)


def fleet_options(function: _F) -> _F:
    """TARGETS, --filter, --config and --accept-new: which devices, and whom to trust.

    The filter is applied by `cohete.cli.meant.fleet`.
    """
    for decorate in (
        filter_option,
        click.option(
            "--accept-new",
            is_flag=True,
            help="Accept the key of a host never seen before. Never a changed one.",
        ),
        config_option,
        click.argument("targets", nargs=-1, metavar="[TARGET]..."),
    ):
        function = decorate(function)
    return function


def acting_options(function: _F) -> _F:
    """What every verb that changes boards takes, beside `fleet_options`."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="JSON instead of text."),
        click.option("--read-only", is_flag=True, help="Refuse to change anything."),
        click.option(
            "--stop-after",
            type=click.IntRange(1, 100_000),
            help="Begin no further board once so many have failed. Else as configured, or 1.",
        ),
        click.option(
            "--at-once",
            type=click.IntRange(1, 512),
            help="Boards at a time, after the first. Else as configured, or 8.",
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing."),
        fleet_options,
    ):
        function = decorate(function)
    return function
