"""`cohete apply`: boards made as the configuration says; a second time changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act_each
from cohete.cli.options import acting_options

if TYPE_CHECKING:
    from typing import Unpack


@click.command()
@acting_options
@click.option("--reboot", is_flag=True, help="Agree to reboots, as `cohete power set --reboot`.")
def command(reboot: bool, **given: Unpack[Given]) -> None:
    """Make each board as cohete.yaml says: its power_profile.

    Shows what differs and the exact commands, asks, applies, reads back. Boards that are so
    already are left alone. `--dry-run` only shows the difference.
    """
    from cohete.cli.meant import fleet
    from cohete.errors import ConfigError
    from cohete.fleet.desired import desired

    options = Options(**given, reboot=reboot)
    plan = fleet(options.targets, options.config_path, accept_new=options.accept_new)
    wishes = {spec.id: desired(spec, plan.power, plan.control) for spec in plan.specs}
    if not any(wishes.values()):
        raise ConfigError(
            "no device has a power_profile",
            hint="Give it one: power_profile: balanced.",
        )
    act_each(options, plan, lambda spec: wishes.get(spec.id), "make boards as configured")
