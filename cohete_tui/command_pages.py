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
        # As the program itself makes it: what is below inherits from it.
        whole = click.Context(
            program, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH,
            **program.context_settings,
        )  # fmt: skip
        for context in _below(whole) if isinstance(program, click.Group) else [whole]:
            path = context.command_path
            file = f"{path.replace(' ', '-')}.md"
            found[file] = "\n".join([f"# `{path}`", "", *_texts(context), ""])
            rows.append(f"| [`{path}`]({file}) | {context.command.get_short_help_str(120)} |")
    head = ["# Commands", "", "What each says with `--help`, which works everywhere.", ""]
    table = ["| command | what it does |", "|---|---|", *rows, ""]
    return {"README.md": "\n".join([*head, *table]), **found}


def _below(context: click.Context) -> list[click.Context]:
    group = context.command
    assert isinstance(group, click.Group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(click.Context(command, parent=context, info_name=name))
    return found


def _texts(context: click.Context) -> list[str]:
    """Its help, and that of what is below it."""
    help_lines = context.command.get_help(context).splitlines()
    lines = ["```", *(line.rstrip() for line in help_lines), "```"]
    if isinstance(context.command, click.Group):
        for below in _below(context):
            lines += ["", f"## `{below.command_path}`", "", *_texts(below)]
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
