"""The smallest sudo rules that make a feature work, as a drop-in file. Pure.

Absolute paths and whole argument lists: `*` would match blanks too, so there is none; `[0-9]` is
one digit. Each rule stands beside the commands that need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cohete.errors import ConfigError

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}\$?", re.ASCII)
_SPECIAL = re.compile(r"([,:=\\])")
_HEAD = (
    "# What Cohete may do as root on this board. Install it with:",
    "#   sudo install -m 0440 -o root -g root FILE /etc/sudoers.d/cohete",
)
_END = "# The end of Cohete's rules."
_BLOCK = re.compile(r"# ([a-z]{1,20}): ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Feature:
    """What some rules are for."""

    name: str
    words: str
    rules: tuple[str, ...]


def drop_in(user: str, features: Iterable[Feature]) -> str:
    """The text of a sudoers file. Raises ConfigError for what is no login name."""
    if not _USER.fullmatch(user):
        raise ConfigError(f"{user[:40]!r} is no login name")
    lines = [*_HEAD]
    for feature in features:
        lines += ["", f"# {feature.name}: {feature.words}"]
        lines += [f"{user} ALL=(root) NOPASSWD: {escaped(rule)}" for rule in feature.rules]
    return "\n".join([*lines, "", _END]) + "\n"


def split(lines: Iterable[str], names: Iterable[str], user: str) -> tuple[list[str], list[str]]:
    """The lines of a drop-in that stand under these features, and all others, in their order.

    A feature ends at an empty line. A rule for another user is somebody else's wherever it stands.
    """
    wanted, ours, others, block = {*names}, list[str](), list[str](), ""
    for line in lines:
        found = _BLOCK.match(line)
        if found is not None or not line.strip() or line == _END:
            block = found[1] if found is not None else ""
        is_rule = not line.startswith("#")
        if line in _HEAD or line == _END or (
            block in wanted and (not is_rule or line.startswith(f"{user} "))
        ):  # fmt: skip
            ours.append(line)
        elif line.strip() or (others and others[-1].strip()):
            others.append(line)
    return ours, others


def escaped(rule: str) -> str:
    """A command line with the characters that mean something in a sudoers file quoted."""
    return _SPECIAL.sub(r"\\\1", rule)


def chosen(known: Mapping[str, Feature], names: Iterable[str]) -> list[Feature]:
    """The features of these names, all without one. Raises ConfigError."""
    wanted = list(dict.fromkeys(names)) or list(known)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"there is no feature {name!r}", hint=f"There are: {', '.join(known)}."
            )
    return [known[name] for name in wanted]
