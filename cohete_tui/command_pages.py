"""A page for every command: `python -m cohete_tui.command_pages docs/commands`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cohete.cli import cohete
from cohete_tui import cli, serve

WIDTH = 96
_PROGRAMS: dict[str, click.Command] = {
    "cohete": cohete,
    "cohete-tui": cli.command,
    "cohete-tui serve": serve.command,
    **{f"cohete-tui {name}": verb for name, verb in cli.VERBS.items()},
}


def pages() -> dict[str, str]:
    """By file name: the page as Markdown; README.md lists them."""
    found: dict[str, str] = {}
    rows: list[str] = []
    for name, program in _PROGRAMS.items():
        context = click.Context(program)
        verbs = program.list_commands(context) if isinstance(program, click.Group) else [""]
        for verb in verbs:
            whole = f"{name} {verb}".strip()
            command = _verb(program, verb) if verb else program
            file = f"{whole.replace(' ', '-')}.md"
            found[file] = "\n".join([f"# `{whole}`", "", *_texts(command, whole), ""])
            rows.append(f"| [`{whole}`]({file}) | {command.get_short_help_str(120)} |")
    head = ["# Commands", "", "What each says with `--help`, which works everywhere.", ""]
    table = ["| command | what it does |", "|---|---|", *rows, ""]
    return {"README.md": "\n".join([*head, *table]), **found}


def _verb(group: click.Command, name: str) -> click.Command:
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def _texts(command: click.Command, whole: str) -> list[str]:
    """Its help, and that of what is below it."""
    settings = {"max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, info_name=whole, **settings)  # type: ignore[arg-type]
    lines = ["```", *(line.rstrip() for line in command.get_help(context).splitlines()), "```"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = f"{whole} {name}"
            lines += ["", f"## `{below}`", "", *_texts(_verb(command, name), below)]
    return lines


def main(folder: Path) -> None:
    """Write them, and take away what no command has any more."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in wanted:
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
