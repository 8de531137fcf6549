"""What is sent to a terminal: less than Textual sends, and the same to see."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.sparing import SparingChops, SparingLayout
from cohete_tui.widgets.paint import differences
from tests.boards import until
from tests.tui.support import StillSession, mixed_store

WIDTH, HEIGHT = 24, 4
CONSOLE = Console(color_system="truecolor", force_terminal=True, legacy_windows=False)
STYLES = [
    None,
    Style(),
    Style(bold=True),
    Style(color="#102030"),
    Style(bgcolor="#405060"),
    Style(color="#102030", bgcolor="#405060"),
    Style(color="#ff0000", bgcolor="#405060", bold=True),
    Style(color="red", reverse=True),
    Style(color="default", bgcolor="default"),
]


@st.composite
def _lines(draw: st.DrawFn, signs: str = "ab ─▇") -> list[Strip]:
    pieces = st.tuples(st.text(signs, min_size=1, max_size=6), st.sampled_from(STYLES))
    lines = draw(st.lists(st.lists(pieces, max_size=6), min_size=HEIGHT, max_size=HEIGHT))
    return [
        Strip([Segment(text, style) for text, style in line]).adjust_cell_length(WIDTH)
        for line in lines
    ]


def shown(*outputs: str) -> list[list[object]]:
    """What a terminal shows after these, cell by cell with its style."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    for output in outputs:
        # pyte scrolls at a line feed in the last line; Textual ends lines without meaning it.
        stream.feed(output.replace("\n", ""))
    return [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


def layout(lines: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))


@given(_lines("ab ─▇漢"))
def test_a_whole_screen_looks_as_textual_draws_it(lines: list[Strip]) -> None:
    plain = layout(lines).render_segments(CONSOLE)
    sparing = SparingLayout([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))
    assert shown(sparing.render_segments(CONSOLE)) == shown(plain)


@given(_lines(), _lines(), st.integers(1, WIDTH - 1))
def test_what_changed_makes_the_old_screen_the_new_one(
    before: list[Strip], after: list[Strip], cut: int
) -> None:
    spans = [
        (y, begin, end)
        for y, (old, new) in enumerate(zip(before, after, strict=True))
        for begin, end in differences([*old], [*new])
    ]
    chops = [dict(zip((0, cut), line.divide([cut, WIDTH]), strict=True)) for line in after]
    update = SparingChops(chops, spans, [[cut, WIDTH]] * HEIGHT)
    first = layout(before).render_segments(CONSOLE)
    expected = shown(layout(after).render_segments(CONSOLE))
    assert shown(first, update.render_segments(CONSOLE)) == expected


def test_a_change_at_the_right_is_not_sent_from_the_left() -> None:
    style = Style(color="#102030", bgcolor="#405060")
    line = Strip([Segment("x" * 20, style), Segment("abcd", style)])
    update = SparingChops([{0: line}], [(0, 22, 24)], [[24]])
    text = update.render_segments(CONSOLE)
    assert text == "\x1b[0m\x1b[1;23H\x1b[38;2;16;32;48;48;2;64;80;96mcd\x1b[0m"


def test_a_style_is_told_once_and_then_only_what_is_different() -> None:
    one, other = Style(color="#102030", bgcolor="#405060"), Style(color="red", bgcolor="#405060")
    line = Strip([Segment("a", one), Segment("b", one), Segment("c", other), Segment("d", None)])
    text = SparingChops([{0: line}], [(0, 0, 4)], [[4]]).render_segments(CONSOLE)
    assert text.endswith("mab\x1b[31mc\x1b[0md\x1b[0m")


def test_differences_are_the_cells_that_changed() -> None:
    bold = Style(bold=True)
    old = Strip([Segment("GPU "), Segment("10%", bold), Segment(" " * 20), Segment("3s")])
    new = Strip([Segment("GPU "), Segment("12%", bold), Segment(" " * 20), Segment("4s")])
    assert differences([*old], [*old]) == []
    assert differences([*old], [*new]) == [(4, 7), (27, 29)]
    moved = Strip([Segment("GPU "), Segment("7%", bold), Segment(" " * 21), Segment("3s")])
    assert differences([*old], [*moved]) == [(4, 27)]


async def test_what_was_cut_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cohete_tui.app.FORGET_S", 0.01)
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=True)
    async with app.run_test():
        Segment("wide …" * 3).split_cells(5)
        await until(lambda: not Segment._split_cells.cache_info().currsize)
