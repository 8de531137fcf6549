"""`cohete fan`: held at a speed for a while, given back, and its profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options, fleet_options

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.fleet.export import Json
    from cohete.power.state import PowerState

_MINUTES = {"10": 600, "60": 3600, "480": 28_800}


@click.group()
def command() -> None:
    """The fan: how it is, held at a speed for a while, given back, its profile."""


@command.command("show")
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """Who controls the fan of each board, how fast it turns, and the profiles it knows.

    Read without root. Exit code 1 where a board cannot be read.
    """
    from cohete.cli.stating import print_states

    print_states(
        targets, config_path, accept_new=accept_new, as_json=as_json, words=_words,
        document=_document,
    )  # fmt: skip


def _words(state: PowerState) -> str:
    fan = state.fan
    if not fan.pwm_path:
        return "no fan that can be controlled"
    parts = [fan.words, fan.speed, f"knows {', '.join(fan.profiles)}" if fan.profiles else ""]
    return "; ".join(part for part in parts if part)


def _document(state: PowerState) -> dict[str, Json]:
    fan = state.fan
    profiles: list[Json] = list(fan.profiles)
    return {
        "controllable": bool(fan.pwm_path),
        "pwm": fan.pwm,
        "rpm": fan.rpm,
        "automatic": fan.automatic,
        "profile": fan.profile or None,
        "profiles": profiles,
        "given_back_by_a_timer": bool(fan.guards),
    }


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
