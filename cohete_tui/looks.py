"""How the dashboard looks and listens to one person: colours, signs, keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cohete_tui import themes
from cohete_tui.ascii import needs_ascii

if TYPE_CHECKING:
    from cohete.config.schema import Dashboard


@dataclass(frozen=True, slots=True)
class Looks:
    """A theme by name, ASCII only or not, own keys by action id, and a folder of own themes."""

    theme: str = ""
    ascii: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    themes: themes.ThemeFolder | None = None


def looks_of(
    folder: Path,
    dashboard: Dashboard | None,
    *,
    theme: str | None = None,
    ascii_only: bool | None = None,
    keys_path: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Looks:
    """From the command line, else the configuration, else the terminal; `folder` is the person's.

    Raises ConfigError for a keymap with faults.
    """
    if ascii_only is None:
        ascii_only = dashboard.ascii if dashboard is not None else None
    theme = theme or (dashboard.theme if dashboard is not None else None)
    if theme is None and environ.get("TERM") == "linux":
        theme = themes.FOR_SIXTEEN_COLOURS
    return Looks(
        theme=theme or "",
        ascii=needs_ascii(environ) if ascii_only is None else ascii_only,
        keys=_keys(folder, keys_path),
        themes=themes.ThemeFolder(folder / "themes"),
    )


def _keys(folder: Path, keys_path: str | None) -> dict[str, str]:
    from cohete_tui.keymap import DEFAULT_NAME, load_keymap

    if keys_path is not None:
        return load_keymap(Path(keys_path).expanduser())
    usual = folder / DEFAULT_NAME
    return load_keymap(usual) if usual.is_file() else {}
