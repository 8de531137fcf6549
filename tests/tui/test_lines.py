"""A panel of lines: what it holds is what stands on the screen."""

from __future__ import annotations

from textual.app import App, ComposeResult

from cohete_tui.widgets.lines import LinesPanel
from tests.tui.support import shown


class _Panel(App[None]):
    said = "nothing yet"

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [[(self.said, "")]], classes="plain")


async def test_words_a_layout_found_are_drawn_where_the_height_stays() -> None:
    app = _Panel()
    async with app.run_test(size=(40, 10)) as pilot:
        panel = app.query_one(LinesPanel)
        panel.update()
        await pilot.pause()
        assert "nothing yet" in shown(app.screen)
        app.said = "failed, nothing changed"
        panel.get_content_height(app.size, app.size, 40)
        panel.update()
        await pilot.pause()
        assert "failed, nothing changed" in shown(app.screen)
