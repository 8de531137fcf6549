"""Weeks in front of the same dashboard: what was shown once is not kept."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from textual.dom import DOMNode

from tests.tui.support import dashboard, mixed_store, settle


@pytest.mark.parametrize("keys", [
    ["e"], ["enter"], ["P"], ["L"], ["i"], ["asterisk", "C"], ["question_mark"], ["colon"],
    ["slash", "x"], ["ctrl+p"], ["t"], ["b"], ["enter", "e"],
])  # fmt: skip
async def test_screens_that_were_closed_are_gone(keys: list[str]) -> None:
    store = mixed_store()
    async with dashboard(store, (120, 40)) as (pilot, app, _):
        await pilot.press("g")
        for _ in range(3):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
                await settle(pilot)
            await pilot.press("escape", "escape")
            await pilot.pause()
            await settle(pilot)
        gc.collect()
        left = Counter(
            type(node).__name__
            for node in gc.get_objects()
            if isinstance(node, DOMNode) and node is not app and not node.is_attached
        )
        # Notices stay until their time is over.
        del left["Toast"]
        assert not left
