"""A few whole screens as pictures; what they say is asserted elsewhere. `make snapshots` renews."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from textual.pilot import Pilot

from cohete_tui.app import CoheteApp, Launch
from tests.tui.support import StillSession, mixed_store, settle

SnapCompare = Callable[..., bool]


def pressing(keys: Sequence[str]) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return prepare


SIZES = {"80": (80, 24), "120": (120, 40), "200": (200, 60)}
THEMES = {"dark": "cohete-dark", "light": "cohete-light", "ansi": "cohete-ansi"}
FLEET = {
    f"fleet-{size}-{theme}": (size, theme, ["t"] if (size, theme) != ("120", "dark") else [])
    for size in SIZES
    for theme in THEMES
}
OTHERS = {
    "panes-80": ("80", "dark", []),
    "panes-200": ("200", "dark", []),
    "device-80": ("80", "dark", ["G", "h", "enter"]),
    "device-120-light": ("120", "light", ["G", "h", "enter"]),
    "device-200": ("200", "dark", ["G", "h", "enter"]),
    "compare-120-ansi": ("120", "ansi", ["asterisk", "C"]),
    "help": ("80", "dark", ["question_mark"]),
    "connection-120": ("120", "dark", ["i"]),
}


@pytest.mark.parametrize("name", [*FLEET, *OTHERS])
def test_screens(snap_compare: SnapCompare, name: str) -> None:
    size, theme, keys = {**FLEET, **OTHERS}[name]
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=False)
    app.theme = THEMES[theme]
    assert snap_compare(app, terminal_size=SIZES[size], run_before=pressing(keys))
