"""The fan curve of a board: how fast its fan is to turn at which heat, and where it is now."""

from __future__ import annotations

from textual_plotext import PlotextPlot

from cohete.power.fan import FanState
from cohete_tui.widgets.charts import let_go, theme_colour

FULL = 255


class FanChart(PlotextPlot):
    """PWM (0 to 255) over temperature (C) as the active profile has it."""

    DEFAULT_CSS = """
    FanChart { height: 1fr; min-height: 8; width: 1fr; border: round $border; padding: 0;
        border-title-color: $secondary; background: $surface; }
    """

    def on_unmount(self) -> None:
        let_go(self)

    def draw(self, fan: FanState | None, now_c: float | None) -> None:
        """Plot the curve and the place the board is at; hidden where there is no curve."""
        curve = fan.curve if fan is not None else None
        self.display = curve is not None and bool(curve.points)
        if fan is None or curve is None or not curve.points:
            return
        self.theme = "clear" if self.app.native_ansi_color else "auto"
        plot = self.plt
        plot.clear_figure()
        low, high = _range(curve.points[0].temperature_c, curve.points[-1].temperature_c)
        heats = [low + nth * (high - low) / 60 for nth in range(61)]
        plot.plot(
            heats,
            [curve.pwm_at(heat) or 0.0 for heat in heats],
            marker="braille",
            color=theme_colour(self, "primary"),
        )
        title = f"Fan, {curve.profile}"
        if now_c is not None:
            plot.vline(now_c, theme_colour(self, "warning"))
            title = f"{title}  PWM {curve.pwm_at(now_c):.0f} wanted"
            if fan.pwm is not None:
                plot.plot([now_c], [fan.pwm], marker="●", color=theme_colour(self, "warning"))
                title = f"{title}, is {fan.pwm}"
        plot.xlim(low, high)
        ticks = [low, (low + high) / 2, high]
        plot.xticks(ticks, [f"{tick:.0f}C" for tick in ticks])
        plot.ylim(0, FULL)
        plot.yticks([0, 128, FULL], ["    0", "  128", "  255"])
        plot.frame(False)
        self.border_title = title
        self.refresh()


def _range(coldest_c: float, hottest_c: float) -> tuple[float, float]:
    """Where boards are; a file may describe 0 to 105 C."""
    return max(20.0, coldest_c), min(110.0, max(hottest_c, 60.0))
