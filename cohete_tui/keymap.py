"""A person's own keys: a YAML file of action ids and keys, every fault with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from textual.keys import Keys

from cohete.config.loading import read
from cohete.config.yamltree import Tree, parse_yaml
from cohete.errors import ConfigError
from cohete.text import sanitise
from cohete_tui.actions import ACTIONS, KEY_NAMES, REPLAY_AREA, Scope

DEFAULT_NAME = "keys.yaml"
PROMPT_KEYS = {
    "prompt.keep": "enter", "prompt.drop": "escape", "prompt.earlier": "up",
    "prompt.later": "down", "prompt.complete": "tab",
}  # fmt: skip
_MODIFIED = re.compile(r"(?:(?:ctrl|shift|alt|super|meta|hyper)\+)*(.+)")
_NAMED = frozenset(key.value.rpartition("+")[2] for key in Keys) | frozenset(KEY_NAMES)
_SIGNS = {sign: name for name, sign in KEY_NAMES.items()} | {" ": "space", ",": "comma"}

Keymap = dict[str, str]
"""By action id: its keys, separated by commas, as Textual names them."""


def load_keymap(path: Path) -> Keymap:
    """The keys in a file. Raises the first ConfigError there is. Blocks."""
    keymap, errors = check_keymap(read(path), str(path))
    if errors:
        first = errors[0]
        if len(errors) > 1:
            first.hint = f"{first.hint} ({len(errors) - 1} more)".strip()
        raise first
    return keymap


def check_keymap(text: str, path: str) -> tuple[Keymap, list[ConfigError]]:
    """The keys in a text, and every fault in it."""
    try:
        tree = parse_yaml(text, path)
    except ConfigError as error:
        return {}, [error]
    if tree.value is None:
        return {}, []
    if not isinstance(tree.value, dict):
        return {}, [_fault(tree, path, (), "this is not a list of action ids with their keys")]
    known = {action.id for action in ACTIONS if action.keys} | PROMPT_KEYS.keys()
    keymap: Keymap = {}
    errors: list[ConfigError] = []
    for name, value in tree.value.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else "docs/keys.md lists them."
            what = f"there is no action {sanitise(name, 60)!r}"
            errors.append(_fault(tree, path, (name,), what, hint))
            continue
        try:
            keymap[name] = ",".join(_key(part) for part in _parts(value))
        except ValueError as error:
            errors.append(_fault(tree, path, (name,), str(error), "As in ctrl+p, f2, or just p."))
    errors += [
        _fault(tree, path, (name,), f"{_shown(key)!r} is the key of {other} too")
        for name, other, key in _clashes(keymap)
    ]
    return keymap, sorted(errors, key=lambda error: (error.line, error.column))


def keys_of(keymap: Mapping[str, str]) -> dict[str, str]:
    """Every action's keys, the person's own before those that come with Cohete."""
    usual = {action.id: action.keys for action in ACTIONS if action.keys} | PROMPT_KEYS
    return {name: keymap.get(name, keys) for name, keys in usual.items()}


def _parts(value: object) -> Iterable[str]:
    if isinstance(value, list):
        values = [str(part) for part in value]
    elif isinstance(value, str | int):
        values = [str(value)]
    else:
        raise ValueError("a key is a text")
    if not values:
        raise ValueError("there is no key")
    return values


def _key(text: str) -> str:
    """A key as Textual names it. Raises ValueError."""
    if text in _SIGNS:
        return _SIGNS[text]
    if len(text) == 1 and text.isprintable():
        return text
    match = _MODIFIED.fullmatch(text.lower())
    name = match[1] if match else ""
    if match is None or not (name in _NAMED or (len(name) == 1 and name.isalnum())):
        raise ValueError(f"{sanitise(text, 40)!r} is no key")
    return text.lower()


def _clashes(keymap: Keymap) -> list[tuple[str, str, str]]:
    """Own keys that another action of the same screen has too."""
    scope_of = {action.id: action.scope for action in ACTIONS}
    taken: dict[tuple[str, str], str] = {}
    found: list[tuple[str, str, str]] = []
    replay = {action.id for action in ACTIONS if action.area == REPLAY_AREA}
    every = {
        name: keys
        for name, keys in keys_of(keymap).items()
        # A recording's keys mean something else in the present.
        if name in keymap or name not in replay
    }
    for name in sorted(every, key=lambda name: name in keymap):
        scope = str(scope_of.get(name, "prompt"))
        scopes = [scope]
        if scope == Scope.EVERYWHERE:
            scopes += [scope for scope in Scope if scope is not Scope.EVERYWHERE]
        for key in every[name].split(","):
            others = [taken[place, key] for place in scopes if (place, key) in taken]
            if others and name in keymap:
                found.append((name, others[0], key))
            for place in scopes:
                taken.setdefault((place, key), name)
    return found


def _shown(key: str) -> str:
    return KEY_NAMES.get(key, key)


def _fault(tree: Tree, path: str, where: tuple[str, ...], what: str, hint: str = "") -> ConfigError:
    line, column = tree.position(where, key=True)
    return ConfigError(what, path=path, line=line, column=column, hint=hint)
