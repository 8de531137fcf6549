"""`cohete completion`: the script that makes a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

HELP = """Print the completion script of your shell.

\b
bash:  eval "$(cohete completion bash)"
zsh:   eval "$(cohete completion zsh)"
fish:  cohete completion fish | source
"""


@click.command(help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--program", default="cohete", help="cohete or cohete-tui.", show_default=True)
def command(shell: str, program: str) -> None:
    completion = get_completion_class(shell)
    assert completion is not None
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    click.echo(completion(click.Command(program), {}, program, variable).source())
