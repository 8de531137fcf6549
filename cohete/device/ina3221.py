"""Power from the board's own sensor chip, as often as ten times a second. Pure.

Formats, `path:value`: hwmon files of the INA3221 (JetPack 5 and later), where `in1_label` names a
rail, `in1_input` is its voltage in mV, `curr1_input` its current in mA, and channels above 3 are
sums of the chip and no rails; industrial I/O files (JetPack 4), where `rail_name_0` names one and
`in_power0_input` is its power in mW.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from cohete.tegra.rules import module_power_mw
from cohete.tegra.stats import Rail

_LINE = re.compile(
    rb"/sys/class/hwmon/(hwmon\d{1,3})/(?:in([123])_(label|input)|curr([123])_input):(.{1,48})",
)
_IIO_LINE = re.compile(
    rb"/sys/bus/i2c/drivers/ina3221x/([0-9a-f-]{1,12}/iio[:_a-z]{0,12}\d{0,3})/"
    rb"(?:(rail_name)_|in_power)([012])(?:_input)?:(.{1,48})",
)
_NAME = re.compile(r"[A-Za-z0-9_.]{1,32}", re.ASCII)
FROZEN_SAMPLES, FROZEN_S = 20, 5.0
"""So many readings over so long, all the same: no sensor of a running board is so calm."""
MAX_RAILS = 32
MAX_SAMPLES = 100_000


class Reader:
    """Puts lines together into readings; a reading ends where the next begins."""

    def __init__(self) -> None:
        self._names: dict[tuple[bytes, bytes], str] = {}
        self._values: dict[tuple[bytes, bytes, bool], int] = {}
        self._milliwatts: dict[tuple[bytes, bytes], int] = {}

    def take(self, line: bytes) -> list[Rail] | None:
        """A line; the rails of a reading where it ends one. Never raises."""
        if line.strip() == MARK:
            rails = self._rails()
            self._values.clear()
            self._milliwatts.clear()
            return rails or None
        if len(self._names) > MAX_RAILS:
            return None
        if (match := _IIO_LINE.fullmatch(line.strip())) is not None:
            chip, part, channel, value = match.groups()
            if part is not None:
                self._name(chip, channel, value)
            elif value.isdigit() and len(value) < 10:
                self._milliwatts[chip, channel] = int(value)
            return None
        if (match := _LINE.fullmatch(line.strip())) is None:
            return None
        chip, channel, part, current, value = match.groups()
        if part == b"label":
            self._name(chip, channel, value)
        elif value.lstrip(b"-").isdigit() and len(value) < 10:
            self._values[chip, channel or current, part is None] = int(value)
        return None

    def _name(self, chip: bytes, channel: bytes, value: bytes) -> None:
        name = value.decode("ascii", "replace").strip()
        if _NAME.fullmatch(name) and name != "NC":
            self._names[chip, channel] = name

    def _rails(self) -> list[Rail]:
        found = []
        for (chip, channel), name in self._names.items():
            if (milliwatts := self._milliwatts.get((chip, channel))) is not None:
                found.append(Rail(name, milliwatts))
                continue
            millivolts = self._values.get((chip, channel, False))
            milliamps = self._values.get((chip, channel, True))
            if millivolts is not None and milliamps is not None:
                found.append(Rail(name, round(millivolts * milliamps / 1000)))
        return found


MARK = b"@@sample"


@dataclass(slots=True)
class PowerTrace:
    """What was measured: module totals in W with their times, and the highest of each rail."""

    seconds: list[float] = field(default_factory=list)
    watts: list[float] = field(default_factory=list)
    most_w: dict[str, float] = field(default_factory=dict)
    source: str = "sensor"
    """Where it comes from: the sensor's own files, or tegrastats."""
    _rails: tuple[int, ...] = ()
    _same: int = 0

    def add(self, at_s: float, rails: Iterable[Rail]) -> None:
        """A reading. The total is by the module's rule: no rail counts twice."""
        kept = list(rails)
        values = tuple(rail.cur_mw for rail in kept)
        self._same = self._same + 1 if values == self._rails else 0
        self._rails = values
        for rail in kept:
            watts = rail.cur_mw / 1000
            self.most_w[rail.name] = max(self.most_w.get(rail.name, watts), watts)
        total = module_power_mw(kept)
        if total is not None and len(self.watts) < MAX_SAMPLES:
            self.seconds.append(at_s)
            self.watts.append(total / 1000)

    @property
    def is_frozen(self) -> bool:
        """Whether every rail read the same for so long that the sensor seems to stand still."""
        since = len(self.seconds) - 1 - self._same
        return (
            self._same >= FROZEN_SAMPLES
            and since >= 0
            and self.seconds[-1] - self.seconds[since] >= FROZEN_S
        )

    @property
    def mean_w(self) -> float | None:
        """The mean of all samples; None without any."""
        return statistics.fmean(self.watts) if self.watts else None

    @property
    def peak_w(self) -> float | None:
        """The highest sample: what a mean hides."""
        return max(self.watts, default=None)

    def percentile_w(self, share: float) -> float | None:
        """The value that this share (0 to 1) of the samples does not exceed."""
        ordered = sorted(self.watts)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    @property
    def interval_s(self) -> float | None:
        """The time between two samples as it really was: the median."""
        gaps = [b - a for a, b in zip(self.seconds, self.seconds[1:], strict=False)]
        return statistics.median(gaps) if gaps else None
