"""Themes as data: one TOML file each, named like the theme; a person's own beside them."""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib.resources import files
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import Theme

from cohete.errors import CoheteError
from cohete.text import sanitise

DEFAULT = "cohete-dark"
FOR_SIXTEEN_COLOURS = "cohete-ansi"
ROLES = (
    "primary", "secondary", "accent", "foreground", "background", "surface", "panel", "success",
    "warning", "error",
)  # fmt: skip
MAX_BYTES = 65_536
_KEYS = ("dark", "ansi", "colors", "variables")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_VARIABLE = re.compile(r"[A-Za-z0-9 #%._-]{1,64}")


class ThemeError(CoheteError):
    """A theme file that cannot be used."""


def built_in() -> list[Theme]:
    """The themes that come with Cohete: dark and light first, then by name."""
    found = [
        theme_from_toml(entry.name.removesuffix(".toml"), entry.read_text("utf-8"))
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".toml")
    ]
    first = (DEFAULT, "cohete-light")
    return sorted(found, key=lambda theme: (theme.name not in first, theme.name))


def theme_from_toml(name: str, text: str) -> Theme:
    """A theme from its data: `dark`, the colours by role, and further CSS `variables`.

    Raises ThemeError.
    """
    if not _NAME.fullmatch(name):
        raise ThemeError("a theme's name has small letters, digits, - and _", where=name)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"this is not TOML: {sanitise(str(error), 120)}", where=name) from None
    _only(name, data, _KEYS, "key")
    colours = data.get("colors")
    if not isinstance(colours, dict):
        raise ThemeError("there is no [colors]", where=name, hint=f"Roles: {', '.join(ROLES)}.")
    _only(name, colours, ROLES, "colour role")
    if "primary" not in colours:
        raise ThemeError("[colors] names no primary", where=name)
    known = {role: _colour(name, role, value) for role, value in colours.items()}
    variables = data.get("variables", {})
    if not isinstance(variables, dict) or not all(
        isinstance(value, str) and _VARIABLE.fullmatch(value) for value in variables.values()
    ):
        raise ThemeError('[variables] are texts, as in border = "#334455"', where=name)
    return Theme(
        name=name,
        dark=data.get("dark", True) is True,
        ansi=data.get("ansi", False) is True,
        primary=known.pop("primary"),
        variables=dict(variables),
        **known,  # type: ignore[arg-type]
    )


class ThemeFolder:
    """A person's own themes: read again when a file has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}

    def changed(self) -> tuple[list[Theme], list[ThemeError]]:
        """What is new or has changed since the last call. Blocks."""
        themes: list[Theme] = []
        problems: list[ThemeError] = []
        try:
            paths = sorted(self._folder.glob("*.toml"))
        except OSError:
            return [], []
        for path in paths:
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                if self._seen.get(path) == stamp:
                    continue
                self._seen[path] = stamp
                if status.st_size > MAX_BYTES:
                    raise ThemeError("the file is too large for a theme", where=str(path))
                themes.append(theme_from_toml(path.stem, path.read_text("utf-8")))
            except (OSError, UnicodeDecodeError):
                problems.append(ThemeError("cannot read it as UTF-8 text", where=str(path)))
            except ThemeError as error:
                problems.append(error)
        return themes, problems


def _only(name: str, data: dict[str, object], known: tuple[str, ...], what: str) -> None:
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ThemeError(
                f"there is no {what} {sanitise(key, 40)!r}",
                where=name,
                hint=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}.",
            )


def _colour(name: str, role: str, value: object) -> str:
    try:
        Color.parse(str(value))
    except ColorParseError:
        raise ThemeError(
            f"{role} = {sanitise(str(value), 40)!r} is no colour", where=name, hint="As in #5fb3d9."
        ) from None
    return str(value)
