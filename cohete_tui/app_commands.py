"""What can be typed after `:` on every screen."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

from cohete.errors import CoheteError
from cohete_tui.commands import Command

if TYPE_CHECKING:
    from textual.screen import Screen

    from cohete.fleet.player import Player
    from cohete_tui.app import CoheteApp


def _app_of(screen: Screen[object]) -> CoheteApp:
    return cast("CoheteApp", screen.app)


def _theme_names(screen: Screen[object]) -> list[str]:
    return [theme.name for theme in _app_of(screen).own_themes]


def _set_theme(screen: Screen[object], name: str) -> None:
    _app_of(screen).use_theme(name)


def _player_of(screen: Screen[object]) -> Player:
    player = _app_of(screen).player
    if player is None:
        raise CoheteError("this is no recording", hint="cohete-tui --replay FILE shows one.")
    return player


async def _seek(screen: Screen[object], text: str) -> None:
    from cohete.telemetry.when import parse_when_ms

    now = datetime.fromtimestamp(_player_of(screen).now_ms / 1000).astimezone()
    await _app_of(screen).seek(parse_when_ms(text, now))


def _speed(screen: Screen[object], text: str) -> None:
    player = _player_of(screen)
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 100:
        raise CoheteError(f"{text!r} is no speed", hint="0.1 to 100.")
    player.speed = speed


APP_COMMANDS = (
    Command("theme", "NAME", "Change the colours", _set_theme, _theme_names),
    Command("seek", "TIME", "In a recording, to a moment: 14:02, or 5m for 5 min ago", _seek),
    Command("speed", "FACTOR", "Of a recording, 0.1 to 100", _speed),
)
