"""The line of keys: what works here, what stays when room is short, and the mouse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cohete_tui.draw import width
from cohete_tui.screens.help import HelpScreen
from cohete_tui.widgets.keybar import ALWAYS, KeyBar, fitting, line_of
from tests.tui.support import dashboard, mixed_store, settle, text_of
from tests.tui.test_events import on

KEYS = st.lists(st.tuples(st.text("ab", max_size=3), st.text("⏎xy", min_size=1, max_size=5),
                          st.text("word ", min_size=1, max_size=9)), max_size=14)  # fmt: skip


@given(KEYS, st.integers(0, 120))
def test_the_last_stay_and_the_rest_keeps_its_order(
    keys: list[tuple[str, str, str]], cells: int
) -> None:
    shown = fitting(keys, cells)
    assert shown[-ALWAYS:] == keys[-ALWAYS:]
    assert shown[:-ALWAYS] == keys[: len(shown[:-ALWAYS])]
    assert width(line_of(shown)) <= cells + 1 or len(shown) <= ALWAYS
    if width(line_of(keys)) <= cells:
        assert shown == keys


async def test_keys_are_those_of_the_screen_and_can_be_clicked() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, _):
        last = text_of(app).splitlines()[-1]
        assert last.startswith("⏎ open t view / filter")
        assert last.endswith(": command ? help q quit")
        await pilot.press("slash")
        await settle(pilot)
        assert "enter keep" in text_of(app).splitlines()[-1] or "⏎ keep" in text_of(app)
        await pilot.press("escape", "enter")
        await pilot.pause()
        await settle(pilot)
        assert text_of(app).splitlines()[-1].startswith("esc back n next")
        assert await pilot.click(KeyBar, offset=(text_of(app).splitlines()[-1].index("? h"), 0))
        await pilot.pause()
        assert on(app, HelpScreen)
