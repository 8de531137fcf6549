"""What can be typed after `:`; one list for the command line, its completion and its help.

An action of the registry is a command too, by its name; these here take an argument.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cohete.errors import CoheteError
from cohete_tui.actions import Scope, in_scope

if TYPE_CHECKING:
    from textual.screen import Screen


class CommandError(CoheteError):
    """A command line that means nothing here."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `name` is the method `command_<name>` of its screen or of the app."""

    name: str
    argument: str
    scope: Scope
    help: str

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"{self.name} {self.argument}".strip()


_F, _E = Scope.FLEET, Scope.EVERYWHERE

COMMANDS: tuple[Command, ...] = (
    Command("filter", "TERMS", _F, "Show only devices that match: temp>80 tag:lab !lost"),
    Command("sort", "COLUMN", _F, "Order by a column"),
    Command("group", "tag|site|module|none", _F, "Group devices under headings"),
    Command("view", "panes|table|wide", _F, "How devices are laid out"),
    Command("mark", "TERMS", _F, "Mark the devices that match"),
    Command(
        "export", "FILE.csv|.json|.md", _F, "Write what is shown, or what is marked, to a file"
    ),
    Command("rate", "SECONDS", _F, "How often the screen is drawn"),
    Command("open", "DEVICE", _F, "Open a device"),
    Command("theme", "NAME", _E, "Change the colours"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A name that can be typed on a screen, with what it does."""

    name: str
    usage: str
    help: str
    action: str = ""
    """The action to run; empty for a command with an argument."""


def choices(scope: Scope) -> dict[str, Choice]:
    """Everything that can be typed on a screen, by name."""
    found: dict[str, Choice] = {}
    for action in in_scope(scope):
        if "(" not in action.name:
            name = action.name.replace("_", "-")
            found.setdefault(name, Choice(name, name, action.help, action.name))
    for command in COMMANDS:
        if command.scope in (scope, Scope.EVERYWHERE):
            found[command.name] = Choice(command.name, command.usage, command.help)
    return found


def split(line: str) -> tuple[str, str]:
    """A command line as name and argument; quotes around the whole argument are taken off."""
    name, _, argument = line.strip().partition(" ")
    argument = argument.strip()
    if len(argument) > 1 and argument[0] == argument[-1] == "'":
        argument = shlex.split(argument)[0]
    return name.lower(), argument


def find(line: str, scope: Scope) -> tuple[Choice, str]:
    """The choice a line means and its argument; a unique beginning is enough.

    Raises CommandError.
    """
    name, argument = split(line)
    known = choices(scope)
    choice = known.get(name)
    if choice is None:
        begun = [each for each in known if each.startswith(name)]
        if len(begun) == 1:
            choice = known[begun[0]]
    if choice is None:
        near = difflib.get_close_matches(name, known, 1)
        raise CommandError(
            f"there is no command {name!r} here",
            hint=f"Did you mean {near[0]}?" if near else "Press ? for what works here.",
        )
    if choice.action and argument:
        raise CommandError(f"{choice.name} takes nothing after it")
    return choice, argument


def complete(line: str, scope: Scope, values: Callable[[str], Iterable[str]]) -> str | None:
    """How a line could go on: a command's name, or a value that `values(name)` offers."""
    name, blank, argument = line.partition(" ")
    if not line:
        return None
    if not blank:
        return next((each for each in sorted(choices(scope)) if each.startswith(name)), None)
    for value in values(name):
        if value.startswith(argument) and argument:
            return f"{name} {value}"
    return None


T = TypeVar("T")


def one_of(name: str, known: Mapping[str, T], what: str) -> T:
    """The value of that name. Raises CommandError with the nearest name."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"One of {', '.join(list(known)[:12])}."
    raise CommandError(
        f"there is no {what} {name!r}" if name else f"a {what} is missing", hint=hint
    )


def values_of(screen: Screen[object], name: str) -> list[str]:
    """What can follow a command on this screen."""
    for owner in (screen, screen.app):
        offer = getattr(owner, "command_values", None)
        if offer is not None:
            offered = offer(name)
            if offered:
                return list(offered)
    return []
