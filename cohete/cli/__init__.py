"""The `cohete` command: one file a verb, each loaded only when it is asked for."""

from __future__ import annotations

import click

from cohete import __version__
from cohete.cli.entry import run_command
from cohete.cli.verbs import LazyVerbs


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cohete")
def cohete() -> None:
    """Watch and drive a fleet of NVIDIA Jetsons over SSH; nothing is installed on them."""


def main() -> None:
    """Entry point of `cohete`."""
    run_command(cohete, "cohete")
