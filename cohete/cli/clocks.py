"""`cohete clocks`: clocks locked at their highest with jetson_clocks, and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options, fleet_options

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.power.state import PowerState


@click.group()
def command() -> None:
    """Clocks as they are, locked at their highest, and let go."""


@command.command("show")
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """Whether the clocks of each board are locked, as its own jetson_clocks tells.

    That needs root even to look: only boards with `sudo: true` are asked. Exit code 1 where a board
    cannot be read.
    """
    from cohete.cli.stating import print_states

    print_states(
        targets, config_path, accept_new=accept_new, as_json=as_json, words=_words,
        document=_document,
    )  # fmt: skip


def _words(state: PowerState) -> str:
    return str(state.clocks.lock) if state.clocks is not None else f"not known: {state.clocks_note}"


def _document(state: PowerState) -> dict[str, Json]:
    clocks = state.clocks
    return {
        "clocks": None if clocks is None else str(clocks.lock),
        "note": state.clocks_note or None,
    }


@command.command("lock")
@acting_options
@click.option(
    "--limit",
    "limit_c",
    type=click.FloatRange(20, 105),
    help="Refuse from this temperature on, in C; never above the warning of a board's thermal "
    "policy. Else that, or 65 C.",
)
def lock(limit_c: float | None, **given: Unpack[Given]) -> None:
    """Lock the clocks of each board at the highest its power mode allows.

    They are stored first, and restored by `cohete clocks free`. Not while a board is hot. The lock
    ends with a change of the power mode and with a restart.
    """
    from cohete.fleet.desired import hot_c
    from cohete.power.clocks import SetClocks

    def make(plan: FleetPlan) -> SetClocks:
        if limit_c is None:
            return SetClocks(locked=True, limit_c=hot_c(plan.specs))
        return SetClocks(locked=True, limit_c=min(limit_c, hot_c(plan.specs, limit_c)))

    act(Options(**given), make)


@command.command("free")
@acting_options
def free(**given: Unpack[Given]) -> None:
    """Let the clocks go, as they were stored before they were locked."""
    from cohete.power.clocks import SetClocks

    act(Options(**given), lambda _: SetClocks(locked=False))
