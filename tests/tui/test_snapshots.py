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


@pytest.mark.parametrize(
    ("size", "keys", "theme"),
    [
        ((80, 24), [], "cohete-dark"),
        ((120, 40), [], "cohete-dark"),
        ((120, 40), ["t"], "cohete-light"),
        ((200, 50), ["t"], "cohete-dark"),
        ((80, 24), ["G", "h", "enter"], "cohete-dark"),
        ((200, 50), ["G", "h", "enter"], "cohete-dark"),
        ((80, 24), ["question_mark"], "cohete-dark"),
    ],
    ids=[
        "panes-80",
        "panes-120",
        "table-120-light",
        "table-200",
        "device-80",
        "device-200",
        "help",
    ],
)
def test_screens(
    snap_compare: SnapCompare, size: tuple[int, int], keys: list[str], theme: str
) -> None:
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=False)
    app.theme = theme
    assert snap_compare(app, terminal_size=size, run_before=pressing(keys))
