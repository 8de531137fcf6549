"""The one way into and out of both commands."""

from __future__ import annotations

import sys

import click


def run_command(command: click.Command, name: str) -> None:
    """Run a command: errors become a sentence and an exit code, never a traceback."""
    from cohete.errors import CoheteError

    try:
        command(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CoheteError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output is satisfied; keep Python from complaining about it at exit.
        sys.stderr.close()
        sys.exit(0)
