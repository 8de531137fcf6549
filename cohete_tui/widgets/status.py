"""One line of context: the fleet and its totals on the left, badges and the time on the right."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.strip import Strip
from textual.widget import Widget

from cohete.fleet.store import FleetStore, Totals
from cohete.fleet.words import percent, watts
from cohete_tui.draw import Line, cut, spread, width
from cohete_tui.ordering import FleetOrder
from cohete_tui.widgets.paint import PAINT_CLASSES, Painter


def totals_line(totals: Totals) -> Line:
    """The totals: what needs somebody first, each with its word."""
    parts: list[tuple[str, str]] = []
    for count, word, style in (
        (totals.refused, "refused", "danger"),
        (totals.lost, "lost", "danger"),
        (totals.hot, "hot", "danger"),
        (totals.stale, "stale", "warn"),
        (totals.connecting, "connecting", "dim"),
    ):
        if count:
            parts.append((f"{count} {word}", style))
    parts.append((f"{totals.live} live", "good" if totals.live else "dim"))
    if totals.ram_total_mb:
        parts.append((f"RAM {percent(100 * totals.ram_used_mb / totals.ram_total_mb)}", ""))
    if totals.power_mw is not None:
        partly = totals.measured_power < totals.live
        of = f" on {totals.measured_power}" if partly else ""
        parts.append((f"{watts(totals.power_mw)}{of}", ""))
    line: Line = []
    for part in parts:
        line += [("  ", ""), part]
    return line


class FleetHeader(Widget):
    """Fleet name, totals, what is filtered, how it is ordered, and the clock."""

    COMPONENT_CLASSES: ClassVar[set[str]] = PAINT_CLASSES
    DEFAULT_CSS = "FleetHeader { height: 1; width: 1fr; background: $panel; }"

    def __init__(self, store: FleetStore, order: FleetOrder, *, badges: tuple[str, ...]) -> None:
        super().__init__()
        self._painter = Painter(self)
        self._store = store
        self._order = order
        self._badges = badges
        self._line: Line = []

    def update(self) -> None:
        """Draw again if what it says has changed."""
        line = self._content()
        if line != self._line:
            self._line = line
            self.refresh()

    def render_line(self, y: int) -> Strip:
        return self._painter.strip(self._line or self._content(), self.size.width)

    def notify_style_update(self) -> None:
        self._painter.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        self._line = []

    def _content(self) -> Line:
        order = self._order
        clock = datetime.fromtimestamp(self._store.clock.time()).strftime("%H:%M")  # noqa: DTZ006 - the wall clock of whoever looks
        left: Line = [(" cohete", "accent")]
        if self._store.name:
            left.append((f"  {self._store.name}", "title"))
        left += totals_line(self._store.totals())
        right: Line = []
        if order.filter_text:
            right.append((f"/{order.filter_text} {len(order.devices)}  ", "accent"))
        if order.sort.name != "trouble":
            right.append((f"by {order.sort.name}  ", "dim"))
        right += [(f"{badge}  ", "warn") for badge in self._badges]
        right.append((f"{clock} ", ""))
        cells = self.size.width
        if width(left) + width(right) > cells:
            right = [(f"{clock} ", "")]
        return spread(cut(left, cells), right, cells)
