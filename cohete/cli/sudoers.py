"""`cohete sudoers`: the smallest sudo rules for what somebody wants to do."""

from __future__ import annotations

import shutil
import subprocess

import click

VISUDO_LIMIT_S = 20


@click.command()
@click.argument("features", nargs=-1, metavar="[FEATURE]...")
@click.option("--user", default="nvidia", show_default=True, help="Who logs in to the boards.")
@click.option("--unit", "units", multiple=True, metavar="UNIT", help="A unit to stop and start.")
def command(features: tuple[str, ...], user: str, units: tuple[str, ...]) -> None:
    """A sudoers drop-in for FEATUREs: power, clocks, fan, services. All without one.

    Each line allows one command with its whole list of arguments, and nothing else. It is checked
    with visudo where this machine has it. Watching needs none of it.
    """
    from cohete.control.sudoers import chosen, drop_in
    from cohete.power.rights import features as every

    text = drop_in(user, chosen(every(units), features))
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
