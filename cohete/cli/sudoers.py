"""`cohete sudoers`: the smallest sudo rules for what somebody wants to do."""

from __future__ import annotations

import shutil
import subprocess

import click

from cohete.cli.options import config_option
from cohete.control.services import unit_name, unit_rule

VISUDO_LIMIT_S = 20


def _held(config_path: str | None) -> tuple[str, ...]:
    """The rules for whatever a configuration may hold on a board."""
    from cohete.config.loading import find_config, load
    from cohete.fleet.holding import Kind, Work, rules_for
    from cohete.fleet.reactions import works_of

    path = find_config(config_path)
    if path is None:
        return ()
    config = load(path)
    limits = [
        *config.limits.values(),
        *(each.budget.limit for each in config.power.profiles.values() if each.budget is not None),
    ]
    works = [work for policy in config.thermal.values() for work in works_of(policy.on_open)]
    works += [
        Work(Kind.UNIT, unit)
        for limit in limits
        for step in limit.steps
        for unit in (step.stop,)
        if unit is not None
    ]
    # Who is drained for a reboot has to have ended before it.
    drains = [unit_rule(verb, unit) for unit in config.control.drain for verb in ("stop", "start")]
    restarts = [
        f"/bin/systemctl restart {unit_name(step.restart)}"
        for limit in limits
        for step in limit.steps
        if step.restart is not None
    ]
    return (*rules_for(works), *drains, *restarts)


def _setup(config_path: str | None, user: str) -> tuple[str, ...]:
    """The rules for what a configuration provisions."""
    from cohete.config.loading import find_config, load
    from cohete.provision.wanted import rules_for

    path = find_config(config_path)
    wanted = load(path).provision if path is not None else None
    if wanted is None:
        return ()
    return rules_for(wanted, (user,))


@click.command()
@click.argument("features", nargs=-1, metavar="[FEATURE]...")
@click.option("--user", default="nvidia", show_default=True, help="Who logs in to the boards.")
@click.option("--unit", "units", multiple=True, metavar="UNIT", help="A unit to stop and start.")
@config_option
def command(
    features: tuple[str, ...], user: str, units: tuple[str, ...], config_path: str | None
) -> None:
    """A sudoers drop-in for FEATUREs: power, clocks, fan, memory, services, storage, provision. All
    without one.

    Services are the units named here, and what the thermal policies, limits and drains of the
    configuration hold.

    Each line allows one command with its whole list of arguments, and nothing else. It is checked
    with visudo where this machine has it. Watching needs none of it.
    """
    from cohete.control.sudoers import Feature, chosen, drop_in
    from cohete.power.rights import features as power_features
    from cohete.storage.health import feature

    every = power_features(units, _held(config_path))
    every["storage"] = feature()
    if rules := _setup(config_path, user):
        every["provision"] = Feature("provision", "set boards up as configured", rules)
    text = drop_in(user, chosen(every, features))
    visudo = shutil.which("visudo") or shutil.which("visudo", path="/usr/sbin:/sbin")
    if visudo is None:
        click.echo("# Not checked: there is no visudo on this machine.", err=True)
    else:
        done = subprocess.run(
            [visudo, "-c", "-f", "-"], input=text.encode(), capture_output=True,
            timeout=VISUDO_LIMIT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            words = " ".join((done.stdout + done.stderr).decode("utf-8", "replace").split())
            raise click.ClickException(f"visudo does not accept these rules: {words}")
    click.echo(text, nl=False)
