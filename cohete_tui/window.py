"""The stretch of time that charts show: zoom, pan, and a moment to read values at. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cohete.fleet.recent import SERIES
from cohete.fleet.state import Device
from cohete.telemetry.past import Past

SPANS_S = (60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
"""One minute to one day."""

MEMORY_S = 900.0
"""What is kept in memory; for more the disk is asked."""

POINTS = 240
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Window:
    """`span_s` seconds that end `back_s` seconds ago; `cross_s` ago is the moment to read."""

    span_s: float = 300.0
    back_s: float = 0.0
    cross_s: float | None = None

    @property
    def needs_disk(self) -> bool:
        """Whether it reaches further back than memory does."""
        return self.back_s + self.span_s > MEMORY_S

    def holds(self, seconds: float) -> bool:
        """Whether this moment, in seconds before now (negative), is in the stretch."""
        return -self.back_s - self.span_s <= seconds <= -self.back_s

    def zoom(self, step: int) -> Window:
        """A shorter or a longer stretch with the same end."""
        at = min(range(len(SPANS_S)), key=lambda nth: abs(SPANS_S[nth] - self.span_s))
        span_s = SPANS_S[max(0, min(len(SPANS_S) - 1, at + step))]
        return replace(self, span_s=span_s, cross_s=None)

    def pan(self, step: int) -> Window:
        """Half a stretch back or forth; never into the future, never further than a week."""
        back_s = min(7 * 86_400.0, max(0.0, self.back_s - step * self.span_s / 2))
        return replace(self, back_s=back_s, cross_s=None)

    def cross(self, step: int) -> Window:
        """The moment to read, a fortieth of the stretch back or forth; it begins at the end."""
        at_s = self.back_s if self.cross_s is None else self.cross_s
        at_s -= step * self.span_s / 40
        return replace(self, cross_s=min(self.back_s + self.span_s, max(self.back_s, at_s)))

    def ticks(self) -> list[tuple[float, str]]:
        """Where labels stand on the axis (seconds before now, negative) and what they say."""
        step = self.span_s / _TICKS
        places = [-self.back_s - self.span_s + nth * step for nth in range(_TICKS + 1)]
        return [(at, ago(-at)) for at in places]


@dataclass(frozen=True, slots=True)
class Points:
    """Values by series at `seconds` before now (negative), NaN where unknown."""

    seconds: Sequence[float]
    values: dict[str, Sequence[float]]

    def at(self, name: str, seconds: float, within_s: float) -> float | None:
        """The value nearest to a moment; None where none is near or it is unknown."""
        if not self.seconds:
            return None
        nearest = min(range(len(self.seconds)), key=lambda nth: abs(self.seconds[nth] - seconds))
        value = self.values[name][nearest]
        near = abs(self.seconds[nearest] - seconds) <= within_s
        return value if near and not math.isnan(value) else None


def from_memory(device: Device, now_s: float, window: Window) -> Points:
    """What memory holds of a device in a window, thinned to some POINTS."""
    times = [when - now_s for when in device.history.times()]
    end, begin = -window.back_s, -window.back_s - window.span_s
    inside = [nth for nth, when in enumerate(times) if begin <= when <= end + 1]
    inside = inside[:: max(1, len(inside) // POINTS)]
    values: dict[str, Sequence[float]] = {}
    for name in SERIES:
        every = device.history.values(name)
        values[name] = [every[nth] for nth in inside]
    return Points([times[nth] for nth in inside], values)


def from_disk(past: Past, now_ms: int, ram_total_mb: int | None) -> Points:
    """What was kept of a device; the share of memory needs to know how much there is."""

    def scaled(name: str, divisor: float) -> list[float]:
        kept: Iterable[int | None] = past.means.get(name, [None] * len(past.times_ms))
        return [math.nan if value is None else value / divisor for value in kept]

    return Points(
        [(time_ms - now_ms) / 1000 for time_ms in past.times_ms],
        {
            "temperature_c": scaled("hottest_mc", 1000),
            "power_w": scaled("power_mw", 1000),
            "ram_percent": scaled("ram_mb", (ram_total_mb or math.nan) / 100),
            "gpu_percent": scaled("gpu_percent", 1),
            "cpu_percent": scaled("cpu_permille", 10),
        },
    )


def ago(seconds: float) -> str:
    """`now`, `-30s`, `-5m`, `-1.5h`."""
    if seconds < 0.5:
        return "now"
    for size_s, unit in ((3600, "h"), (60, "m")):
        if seconds >= size_s:
            return f"-{seconds / size_s:.3g}{unit}"
    return f"-{seconds:.0f}s"
