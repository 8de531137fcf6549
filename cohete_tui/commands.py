"""The command line's grammar: names, their completion, and what is said of a wrong one.

An action of the registry is a command too, by its name. What takes an argument is a `Command`,
which a screen or the app lists as TYPED.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cohete.errors import CoheteError
from cohete_tui.actions import Scope, in_scope

if TYPE_CHECKING:
    from textual.screen import Screen

T = TypeVar("T")
Run = Callable[["Screen[object]", str], Awaitable[None] | None]
Values = Callable[["Screen[object]"], Sequence[str]]


class CommandError(CoheteError):
    """A command line that means nothing here."""


@dataclass(frozen=True, slots=True)
class Command:
    """A name that takes an argument, what it does, and what can follow it."""

    name: str
    argument: str
    help: str
    run: Run
    values: Values = lambda screen: ()
    writes: bool = False
    """Whether it makes a file, which nobody may from a browser."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"{self.name} {self.argument}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A name that can be typed on a screen: an action, or a command with an argument."""

    name: str
    usage: str
    help: str
    action: str = ""
    command: Command | None = None


def typed_on(screen: Screen[object]) -> list[Command]:
    """The commands of a screen and of the app."""
    commands: list[Command] = [*getattr(screen, "TYPED", ()), *getattr(screen.app, "TYPED", ())]
    served = getattr(screen.app, "served", False)
    return [command for command in commands if not (served and command.writes)]


def choices(
    scope: Scope, commands: Sequence[Command], *, replay: bool = False
) -> dict[str, Choice]:
    """Everything that can be typed on a screen, by name."""
    found: dict[str, Choice] = {}
    for action in in_scope(scope, replay=replay):
        if "(" not in action.name:
            name = action.name.replace("_", "-")
            found.setdefault(name, Choice(name, name, action.help, action.name))
    for command in commands:
        found[command.name] = Choice(command.name, command.usage, command.help, command=command)
    return found


def find(line: str, known: Mapping[str, Choice]) -> tuple[Choice, str]:
    """The choice a line means and its argument; a unique beginning is enough.

    Raises CommandError.
    """
    name, _, argument = line.strip().partition(" ")
    name, argument = name.lower(), argument.strip()
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
    if choice.command is None and argument:
        raise CommandError(f"{choice.name} takes nothing after it")
    return choice, argument


def complete(line: str, known: Mapping[str, Choice], screen: Screen[object]) -> str | None:
    """How a line could go on: a command's name, or one of the values that can follow it."""
    name, blank, argument = line.partition(" ")
    if not name:
        return None
    if not blank:
        return next((each for each in sorted(known) if each.startswith(name)), None)
    command = known[name].command if name in known else None
    if command is None or not argument:
        return None
    values = (value for value in command.values(screen) if value.startswith(argument))
    return next((f"{name} {value}" for value in values), None)


def one_of(name: str, known: Mapping[str, T], what: str) -> T:
    """The value of that name. Raises CommandError with the nearest name."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"One of {', '.join(list(known)[:12])}."
    problem = f"there is no {what} {name!r}" if name else f"a {what} is missing"
    raise CommandError(problem, hint=hint)
