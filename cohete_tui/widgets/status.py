"""One line of context: the fleet and its totals on the left, badges and the time on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from textual.strip import Strip
from textual.widget import Widget

from cohete.fleet.store import FleetStore, Totals
from cohete.fleet.words import percent, watts
from cohete_tui.draw import MARK, Line, Span, cut, fit, spread, width
from cohete_tui.ordering import FleetOrder
from cohete_tui.widgets.paint import Painter

NAME_MAX = 16


def totals_line(totals: Totals) -> Line:
    """How many devices are how; what needs somebody comes first."""
    parts: list[Span] = []
    for count, word, style in (
        (totals.refused, "refused", "danger"),
        (totals.lost, "lost", "danger"),
        (totals.breaker_open, "open", "danger"),
        (totals.hot, "hot", "danger"),
        (totals.over_budget, "over budget", "danger"),
        (totals.stale, "stale", "warn"),
        (totals.connecting, "connecting", "dim"),
    ):
        if count:
            parts.append((f"{count} {word}", style))
    parts.append((f"{totals.live} live", "good" if totals.live else "dim"))
    return [span for part in parts for span in (("  ", ""), part)]


def resources_line(totals: Totals) -> Line:
    """Memory and power of what is live."""
    line: Line = []
    if totals.ram_total_mb:
        line.append((f"  RAM {percent(100 * totals.ram_used_mb / totals.ram_total_mb)}", ""))
    if totals.power_mw is not None:
        partly = f" on {totals.measured_power}" if totals.measured_power < totals.live else ""
        line.append((f"  {watts(totals.power_mw)}{partly}", ""))
    return line


@dataclass(frozen=True, slots=True)
class Status:
    """What the header shows: a store, and how it is looked at."""

    store: FleetStore
    marked: int = 0
    new_events: int = 0
    slow_kbps: float | None = None
    paused_s: float | None = None
    rate_s: float | None = None
    badges: tuple[str, ...] = ()


def chips(status: Status, order: FleetOrder) -> Line:
    """What is shown of the fleet and how, where it is not as it comes."""
    line: Line = []
    if status.paused_s is not None:
        minutes, seconds = divmod(int(status.paused_s), 60)
        line.append((f"PAUSED {minutes:02}:{seconds:02}  ", "warn"))
    if status.marked:
        line.append((f"{MARK} {status.marked} marked  ", "accent"))
    if status.new_events:
        line.append((f"{status.new_events} new in events  ", "warn"))
    if order.faults_only:
        line.append((f"faults only shows {len(order.matching)}  ", "accent"))
    if order.query.text:
        line.append((f"/{order.query.text} shows {len(order.matching)}  ", "accent"))
    if order.group_by:
        line.append((f"by {order.group_by}  ", "accent"))
    if order.sort.name != "trouble" or order.reverse:
        arrow = "▲" if order.reverse else "▼"
        line.append((f"by {order.sort.name}{arrow}  ", "accent"))
    if status.rate_s is not None:
        line.append((f"every {status.rate_s:g}s  ", "dim"))
    if status.slow_kbps is not None:
        line.append((f"slow link {status.slow_kbps:.0f} kB/s  ", "warn"))
    return [*line, *((f"{badge}  ", "warn") for badge in status.badges)]


class FleetHeader(Widget):
    """Fleet name, totals, what is filtered, how it is ordered, and the clock."""

    DEFAULT_CSS = "FleetHeader { height: 1; width: 1fr; background: $panel; }"

    def __init__(self, order: FleetOrder, status: Callable[[], Status]) -> None:
        super().__init__()
        self._painter = Painter(self)
        self._order = order
        self._status = status
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
        status = self._status()
        store = status.store
        clock = datetime.fromtimestamp(store.clock.time()).strftime("%H:%M")  # noqa: DTZ006 - the wall clock of whoever looks
        totals = store.totals()
        view = chips(status, self._order)
        time: Line = [(f"{clock} ", "")]
        name: Line = [(f"  {fit(store.name, min(NAME_MAX, len(store.name)))}", "title")]
        brand: Line = [(" cohete", "accent")]
        cells = self.size.width
        counts = totals_line(totals)
        # What leaves first when room is short: the brand's name, power and memory, the clock.
        for left, right in (
            ([*brand, *name, *counts, *resources_line(totals)], [*view, *time]),
            ([*name, *counts, *resources_line(totals)], [*view, *time]),
            ([*name, *counts], [*view, *time]),
            (counts, [*view, *time]),
            (counts, view),
        ):
            if width(left) + width(right) + (2 if right else 0) <= cells:
                return spread(left, right, cells)
        # Both ends are too much: what was asked for stays readable beside what needs somebody.
        return spread(counts, cut([("  ", ""), *view], max(0, cells - width(counts))), cells)
