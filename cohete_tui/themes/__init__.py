"""Themes as data: one TOML file each, named like the theme."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from textual.theme import Theme

DEFAULT = "cohete-dark"


def built_in() -> list[Theme]:
    """The themes that come with Cohete, in the order of their names."""
    return [
        theme_from_toml(entry.name.removesuffix(".toml"), entry.read_text("utf-8"))
        for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    ]


def theme_from_toml(name: str, text: str) -> Theme:
    """A theme from its data: `dark`, the colours by role, and further CSS `variables`."""
    data = tomllib.loads(text)
    colours = {str(role): str(value) for role, value in data["colors"].items()}
    return Theme(
        name=name,
        dark=bool(data["dark"]),
        primary=colours["primary"],
        secondary=colours.get("secondary"),
        warning=colours.get("warning"),
        error=colours.get("error"),
        success=colours.get("success"),
        accent=colours.get("accent"),
        foreground=colours.get("foreground"),
        background=colours.get("background"),
        surface=colours.get("surface"),
        panel=colours.get("panel"),
        variables={str(key): str(value) for key, value in data.get("variables", {}).items()},
    )
