"""A device's past as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from textual.color import Color
from textual.widget import Widget
from textual_plotext import PlotextPlot

from cohete.fleet.words import UNKNOWN
from cohete_tui.window import Points, Window

LEVEL_ROOM = 40.0
"""A level further away than this from what is drawn would press it flat."""

ROLES = ("primary", "warning", "success", "error", "accent", "secondary")
"""Theme colours of the lines of a chart, in order."""


def role_of(nth: int) -> str:
    """The theme colour of a line."""
    return ROLES[nth % len(ROLES)]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows: series by legend and name, unit, decimals, and its value axis.

    The axis spans at least `limits`; without them it fits the values but spans at least `span`, so
    that noise does not look like news.
    """

    title: str
    unit: str
    series: tuple[tuple[str, str], ...]
    decimals: int = 0
    limits: tuple[float, float] | None = None
    span: float = 1.0


CHARTS: tuple[Chart, ...] = (
    Chart("Load", "%", (("GPU", "gpu_percent"), ("CPU", "cpu_percent")), limits=(0, 100)),
    Chart("Memory", "%", (("RAM", "ram_percent"),), limits=(0, 100)),
    Chart("Temperature", "C", (("hottest", "temperature_c"),), decimals=1, span=8.0),
    Chart("Power", "W", (("total", "power_w"),), decimals=1, span=4.0),
)


COMPARED: tuple[Chart, ...] = (
    Chart("GPU", "%", (("GPU", "gpu_percent"),), limits=(0, 100)),
    Chart("CPU", "%", (("CPU", "cpu_percent"),), limits=(0, 100)),
    Chart("Memory", "%", (("RAM", "ram_percent"),), limits=(0, 100)),
    Chart("Temperature", "C", (("hottest", "temperature_c"),), decimals=1, span=8.0),
    Chart("Power", "W", (("total", "power_w"),), decimals=1, span=4.0),
)
"""Where each line is a device, a chart holds one quantity."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What all charts of a screen show: when, the values by device, events, a word on both."""

    window: Window
    points: Mapping[str, Points]
    event_seconds: tuple[float, ...] = ()
    note: str = ""
    levels: Mapping[str, tuple[tuple[float, str], ...]] = field(default_factory=dict)
    """By the title of a chart, values that mean something, each with its theme colour."""


class HistoryChart(PlotextPlot):
    """One chart over a stretch of time, on the axis all of them share."""

    DEFAULT_CSS = """
    HistoryChart { height: 100%; width: 1fr; border: round $border; padding: 0;
        border-title-color: $secondary; background: $surface; }
    """

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.border_title = chart.title

    def on_unmount(self) -> None:
        let_go(self)

    def draw(self, shown: Shown) -> None:
        """Plot what is known; the title has the newest value, or the one at the crosshair."""
        chart, window = self.chart, shown.window
        # Where the theme takes the terminal's own colours, so do axes and background.
        self.theme = "clear" if self.app.native_ansi_color else "auto"
        plot = self.plt
        plot.clear_figure()
        lines = [
            (label if len(shown.points) == 1 else device, points, name)
            for device, points in shown.points.items()
            for label, name in chart.series
        ]
        several = len(lines) > 1
        read: list[str] = []
        drawn: list[float] = []
        for nth, (label, points, name) in enumerate(lines):
            values = points.values[name]
            kept = [at for at, value in enumerate(values) if not math.isnan(value)]
            at_s = -window.back_s if window.cross_s is None else -window.cross_s
            value = points.at(name, at_s, window.span_s / 20 + 5)
            text = UNKNOWN if value is None else f"{value:.{chart.decimals}f}{chart.unit}"
            read.append(f"{label} {text}" if several else text)
            if any(window.holds(points.seconds[at]) for at in kept[1:]):
                drawn += [values[at] for at in kept]
                plot.plot(
                    [points.seconds[at] for at in kept],
                    [values[at] for at in kept],
                    marker="braille",
                    color=self._colour(role_of(nth)),
                    label=label if several and len(shown.points) == 1 else None,
                )
        for at_s in shown.event_seconds:
            plot.vline(at_s, self._colour("warning"))
        if window.cross_s is not None:
            plot.vline(-window.cross_s, self._colour("foreground"))
        plot.xlim(-window.back_s - window.span_s, -window.back_s)
        ticks = window.ticks()
        plot.xticks([at for at, _ in ticks], [word for _, word in ticks])
        levels = [
            (value, role)
            for value, role in shown.levels.get(chart.title, ())
            if not drawn or min(drawn) - LEVEL_ROOM <= value <= max(drawn) + LEVEL_ROOM
        ]
        if chart.limits is None:
            low, high = _axis([*drawn, *(value for value, _ in levels)], chart.span)
        else:
            # A board may print anything, and plotext fails where nothing of a line is inside.
            low, high = min(*chart.limits, *drawn), max(*chart.limits, *drawn)
        for value, role in levels:
            plot.hline(value, self._colour(role))
        plot.ylim(low, high)
        middle = (low + high) / 2
        plot.yticks([low, middle, high], [f"{value:5.0f}" for value in (low, middle, high)])
        plot.frame(False)
        when = f", {shown.note}" if shown.note else ""
        self.border_title = f"{chart.title}  {', '.join(read)}{when}"
        self.refresh()

    def _colour(self, role: str) -> tuple[int, int, int] | int | str:
        return theme_colour(self, role)


def theme_colour(widget: Widget, role: str) -> tuple[int, int, int] | int | str:
    """As plotext wants it; a terminal's own colour stays one of its sixteen."""
    colour = Color.parse(widget.app.theme_variables[role])
    if colour.ansi is None:
        return colour.rgb
    return "default" if colour.ansi < 0 else colour.ansi


def let_go(plot: PlotextPlot) -> None:
    """textual-plotext subscribes for good, and the app would keep every chart it ever showed."""
    plot.app.theme_changed_signal.unsubscribe(plot)


def _axis(values: list[float], least: float) -> tuple[float, float]:
    """Whole numbers around the values, at least `least` apart."""
    if not values:
        return 0.0, least
    low, high = min(values), max(values)
    lacking = max(0.0, least - (high - low)) / 2
    bottom, top = math.floor(low - lacking), math.ceil(high + lacking)
    # An even span, so that the tick in the middle is a whole number too.
    return float(bottom), float(top + (top - bottom) % 2)
