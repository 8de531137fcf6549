"""Places and boxes: whatever is where, a click there finds it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cohete_tui.layouts import Layout, PaneLayout, TableLayout
from cohete_tui.ordering import GROUPINGS, FleetOrder, Group
from tests.tui.support import spec, store_of


def order_of(sizes: list[int], by: str, folded: int) -> FleetOrder:
    store = store_of(
        [
            spec(f"d{site:02}-{nth:02}", site=f"s{site}" if site else None, tags=(f"t{site}",))
            for site, size in enumerate(sizes)
            for nth in range(size)
        ]
    )
    order = FleetOrder(store)
    order.group(by)
    groups = [row for row in order.rows if isinstance(row, Group)]
    for group in groups[:folded]:
        order.fold(group, folded=True)
    return order


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.sampled_from(GROUPINGS),
    st.integers(0, 3),
    st.integers(20, 220),
    st.sampled_from([PaneLayout, TableLayout]),
)
def test_boxes_cover_the_rows_and_clicks_find_them(
    sizes: list[int], by: str, folded: int, cells: int, kind: type[PaneLayout | TableLayout]
) -> None:
    order = order_of(sizes, by, folded)
    layout: Layout = kind()
    layout.arrange(order.rows, cells)
    seen: set[int] = set()
    for y in range(layout.height()):
        for place, line in layout.row(y):
            x, top, width, height = layout.box(place)
            assert top <= y < top + height
            assert line == y - top
            assert width == layout.cells(place)
            assert layout.place_at(x, y) == place
            assert place in layout.places(y, y)
            seen.add(place)
    assert seen == set(range(len(order.rows)))
    assert layout.place_at(0, layout.height()) is None
    assert list(layout.places(0, layout.height())) == list(range(len(order.rows)))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(76, 220))
def test_down_and_down_reaches_the_end(sizes: list[int], cells: int) -> None:
    order = order_of(sizes, "site", 0)
    layout = PaneLayout()
    layout.arrange(order.rows, cells)
    place: int | None = 0 if order.rows else None
    bottom = -1
    while place is not None:
        _, y, _, height = layout.box(place)
        assert y > bottom - 1
        bottom = y + height
        place = layout.neighbour(place, 0, 1)
    assert bottom in (layout.height(), -1)
