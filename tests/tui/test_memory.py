"""Weeks in front of the same dashboard: what was shown once is not kept."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from textual._styles_cache import StylesCache
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


async def test_what_closed_screens_drew_is_gone() -> None:
    def drawn() -> int:
        gc.collect()
        return sum(isinstance(each, StylesCache) for each in gc.get_objects())

    async with dashboard(mixed_store(), (120, 40)) as (pilot, _, __):
        before = 0
        for nth in range(6):
            for key in ("enter", "escape", "i", "escape", "question_mark", "escape"):
                await pilot.press(key)
                await pilot.pause()
                await settle(pilot)
            if nth == 1:
                before = drawn()
        assert drawn() <= before + 5
