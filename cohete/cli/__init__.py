"""The `cohete` command: one file a verb, each loaded only when it is asked for."""

from __future__ import annotations

import sys

import click

from cohete import __version__
from cohete.cli.verbs import LazyVerbs


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cohete")
def cohete() -> None:
    """Watch and drive a fleet of NVIDIA Jetsons over SSH; nothing is installed on them."""


def main() -> None:
    """Entry point: errors become a sentence and an exit code, never a traceback."""
    from cohete.errors import CoheteError

    try:
        cohete(prog_name="cohete", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CoheteError as error:
        click.echo(f"cohete: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output is satisfied; keep Python from complaining about it at exit.
        sys.stderr.close()
        sys.exit(0)
