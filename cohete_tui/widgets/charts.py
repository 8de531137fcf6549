"""The last minutes of a device as charts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textual.color import Color
from textual_plotext import PlotextPlot

from cohete.fleet.state import Device, State
from cohete.fleet.words import UNKNOWN, span

WINDOW_S = 300.0
_MAX_POINTS = 240
_TICKS = ((-300, "-5m"), (-240, "-4m"), (-180, "-3m"), (-120, "-2m"), (-60, "-1m"), (0, "now"))
_THEME_COLOURS = ("primary", "warning", "success")


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows: series by legend and name, unit, decimals, and its value axis.

    `limits` fix the axis; without them it fits the values but spans at least `span`, so that
    noise does not look like news.
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


class HistoryChart(PlotextPlot):
    """One chart over the last `WINDOW_S` seconds, on the axis all of them share."""

    DEFAULT_CSS = """
    HistoryChart { height: 100%; width: 1fr; border: round $border; padding: 0;
        border-title-color: $secondary; background: $surface; }
    """

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.border_title = chart.title

    def draw(self, device: Device, now_s: float) -> None:
        """Plot what is known; the newest value stands in the title."""
        chart = self.chart
        plot = self.plt
        plot.clear_figure()
        times = [when - now_s for when in device.history.times()]
        inside = [nth for nth, when in enumerate(times) if when >= -WINDOW_S]
        step = max(1, len(inside) // _MAX_POINTS)
        several = len(chart.series) > 1
        newest: list[str] = []
        drawn: list[float] = []
        for (label, name), role in zip(chart.series, _THEME_COLOURS, strict=False):
            values = device.history.values(name)
            kept = [nth for nth in inside[::step] if not math.isnan(values[nth])]
            last = values[-1] if values and not math.isnan(values[-1]) else None
            text = UNKNOWN if last is None else f"{last:.{chart.decimals}f}{chart.unit}"
            newest.append(f"{label} {text}" if several else text)
            if len(kept) > 1:
                points = [values[nth] for nth in kept]
                drawn += points
                plot.plot(
                    [times[nth] for nth in kept],
                    points,
                    marker="braille",
                    color=Color.parse(self.app.theme_variables[role]).rgb,
                    label=label if several else None,
                )
        plot.xlim(-WINDOW_S, 0)
        plot.xticks([at for at, _ in _TICKS], [word for _, word in _TICKS])
        low, high = chart.limits or _axis(drawn, chart.span)
        plot.ylim(low, high)
        middle = (low + high) / 2
        plot.yticks([low, middle, high], [f"{value:5.0f}" for value in (low, middle, high)])
        plot.frame(False)
        age_s = None if device.state is State.LIVE else device.age_s(now_s)
        age = "" if age_s is None else f", {span(age_s)} ago"
        self.border_title = f"{chart.title}  {', '.join(newest)}{age}"
        self.refresh()


def _axis(values: list[float], least: float) -> tuple[float, float]:
    """Whole numbers around the values, at least `least` apart."""
    if not values:
        return 0.0, least
    low, high = min(values), max(values)
    lacking = max(0.0, least - (high - low)) / 2
    bottom, top = math.floor(low - lacking), math.ceil(high + lacking)
    # An even span, so that the tick in the middle is a whole number too.
    return float(bottom), float(top + (top - bottom) % 2)
