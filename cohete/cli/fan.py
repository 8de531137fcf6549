"""`cohete fan`: held at a speed for a while, given back, and its profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options

if TYPE_CHECKING:
    from typing import Unpack

_MINUTES = {"10": 600, "60": 3600, "480": 28_800}


@click.group()
def command() -> None:
    """The fan: held at a speed for a while, given back, its profile."""


@command.command("hold")
@click.argument("pwm", type=click.IntRange(0, 255))
@acting_options
@click.option(
    "--for",
    "minutes",
    type=click.Choice(list(_MINUTES)),
    default="10",
    show_default=True,
    help="Minutes until the board takes its fan back.",
)
def hold(pwm: int, minutes: str, **given: Unpack[Given]) -> None:
    """Hold the fan at PWM (0 to 255) for a while.

    A timer on the board itself gives control back when it is over, whatever happens to Cohete.
    """
    from cohete.power.fan import HoldFan

    act(Options(**given), lambda _: HoldFan(pwm, _MINUTES[minutes]))


@command.command("auto")
@acting_options
def auto(**given: Unpack[Given]) -> None:
    """Give the fan back to the board."""
    from cohete.power.fan import AutomaticFan

    act(Options(**given), lambda _: AutomaticFan())


@command.command("profile")
@click.argument("name")
@acting_options
def profile(name: str, **given: Unpack[Given]) -> None:
    """Set the fan profile NAME of the board's nvfancontrol.conf: quiet, cool, or its own."""
    from cohete.power.fan import SetFanProfile

    act(Options(**given), lambda _: SetFanProfile(name))
