"""docs/keys.md from the list of actions: `python -m cohete_tui.keys_page > docs/keys.md`."""

from __future__ import annotations

import sys

from cohete_tui.actions import ACTIONS, Scope, key_names
from cohete_tui.commands import Command

_INTRODUCTION = """# Keys

Every key of the dashboard. `?` shows those that work on the screen you see; ctrl+p finds any of
them by name; `:` takes its name as a command.

Another key for an action: `keys.yaml` in the configuration folder (`~/.config/cohete` on Linux), or
`--keys FILE`, with a line for each action by its id. A fault in it is shown with its line.

```yaml
fleet.pause: u
fleet.mark: [space, m]
everywhere.quit: ctrl+x
```
"""
_TITLES = {
    Scope.FLEET: "Fleet", Scope.DEVICE: "Device", Scope.ACTIVITY: "Processes", Scope.LOG: "Log",
    Scope.CONNECTION: "Connection", Scope.COMPARE: "Compare", Scope.EVENTS: "Events",
    Scope.POWER: "Power and heat", Scope.CHANGE: "A change that runs", Scope.AUDIT: "Changes",
    Scope.WIZARD: "Models", Scope.SETUP: "Setting a board up", Scope.START: "Start",
    Scope.DISCOVER: "Find boards",
    Scope.EVERYWHERE: "Everywhere",
}  # fmt: skip


def keys_page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for scope, title in _TITLES.items():
        rows = [
            f"| {_keys(action.keys)} | {action.help} | `{action.id}` |"
            if action.keys
            else f"| `:{action.name.replace('_', '-')}` | {action.help} | |"
            for action in ACTIONS
            if action.scope is scope
        ]
        parts.append("\n".join([f"## {title}", "", "| key | what it does | id |", "|---|---|---|",
                                *rows, ""]))  # fmt: skip
    rows = [f"| `:{command.usage.replace('|', chr(92) + '|')}` | {command.help} |"
            for command in _commands()]  # fmt: skip
    parts.append("\n".join(["## Commands with an argument", "", "| command | what it does |",
                            "|---|---|", *rows, ""]))  # fmt: skip
    return "\n".join(parts)


def _commands() -> list[Command]:
    from cohete_tui.app import CoheteApp
    from cohete_tui.screens.fleet import FleetScreen
    from cohete_tui.screens.log import LogScreen

    return [*FleetScreen.TYPED, *LogScreen.TYPED, *CoheteApp.TYPED]


def _keys(keys: str) -> str:
    return " ".join(f"`{key}`" for key in key_names(keys).split(" "))


if __name__ == "__main__":
    sys.stdout.write(keys_page())
