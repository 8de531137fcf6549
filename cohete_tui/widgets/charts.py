"""The last minutes of a device as charts."""

from __future__ import annotations

from dataclasses import dataclass

from textual_plotext import PlotextPlot

from cohete.fleet.state import Device
from cohete.fleet.words import UNKNOWN

WINDOW_S = 300.0
_MAX_POINTS = 240


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows: series by name in the legend, unit, and fixed limits if it has any."""

    title: str
    unit: str
    series: tuple[tuple[str, str], ...]
    low: float | None = None
    high: float | None = None


CHARTS: tuple[Chart, ...] = (
    Chart("Load", "%", (("gpu", "gpu_percent"), ("cpu", "cpu_percent")), 0, 100),
    Chart("Memory", "%", (("ram", "ram_percent"),), 0, 100),
    Chart("Temperature", "C", (("hottest", "temperature_c"),)),
    Chart("Power", "W", (("total", "power_w"),)),
)
_COLOURS = ("blue+", "orange+", "green+")


class HistoryChart(PlotextPlot):
    """One chart over the last `WINDOW_S` seconds, on the axis all of them share."""

    DEFAULT_CSS = """
    HistoryChart { height: 10; width: 1fr; border: round $border; padding: 0;
        border-title-color: $secondary; background: $surface; }
    """

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.border_title = chart.title

    def draw(self, device: Device, now_s: float) -> None:
        """Plot what is known; the newest value stands in the title."""
        plot = self.plt
        plot.clear_figure()
        history = device.history
        times = [when - now_s for when in history.times()]
        inside = [nth for nth, when in enumerate(times) if when >= -WINDOW_S]
        step = max(1, len(inside) // _MAX_POINTS)
        newest: list[str] = []
        drawn = False
        for (label, name), colour in zip(self.chart.series, _COLOURS, strict=False):
            values = history.values(name)
            kept = [nth for nth in inside[::step] if values[nth] == values[nth]]
            last = values[-1] if values else float("nan")
            text = UNKNOWN if last != last else f"{last:.4g} {self.chart.unit}"
            newest.append(f"{label} {text}" if len(self.chart.series) > 1 else text)
            if len(kept) > 1:
                drawn = True
                plot.plot(
                    [times[nth] for nth in kept],
                    [values[nth] for nth in kept],
                    marker="braille",
                    color=colour,
                )
        plot.xlim(-WINDOW_S, 0)
        plot.xticks([-300, -240, -180, -120, -60, 0], ["-5m", "-4m", "-3m", "-2m", "-1m", "now"])
        if self.chart.low is not None and self.chart.high is not None:
            plot.ylim(self.chart.low, self.chart.high)
            plot.yticks([0, 50, 100])
        elif not drawn:
            plot.ylim(0, 1)
            plot.yticks([])
        plot.frame(False)
        self.border_title = f"{self.chart.title}  {', '.join(newest)}"
        self.refresh()
