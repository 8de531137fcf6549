"""How fast the terminal takes what is drawn, so that a slow link stays usable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from textual.app import App
    from textual.driver import Driver

SLOW_WRITE_S = 0.05
"""A write that takes longer than this waited for the terminal."""

FORGET_S = 10.0
"""A link that was not slow for so long is fast again."""

_ROW_BYTES = 300.0
_SHARE = 0.5
"""Part of a slow link that may be filled by itself; the rest is for keys."""


class LinkMeter:
    """Counts bytes handed over and taken; written by the terminal's thread, read by the screen."""

    def __init__(
        self, max_kbps: float | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_kbps = max_kbps
        self._monotonic = monotonic
        self._handed = 0
        self._taken = 0
        self._rate: float | None = None
        self._slow_at = -FORGET_S
        self._row_bytes = _ROW_BYTES
        self._mark = 0

    @property
    def is_behind(self) -> bool:
        """Whether something handed over was not taken yet."""
        return self._handed > self._taken

    @property
    def slow_kbps(self) -> float | None:
        """Kilobytes a second of a link that is slow; None while it keeps up."""
        if self._rate is None or self._monotonic() - self._slow_at > FORGET_S:
            return None
        return self._rate / 1000

    def hand_over(self, count: int) -> None:
        """Bytes are on their way to the terminal."""
        self._handed += count

    def taken(self, count: int, seconds: float) -> None:
        """The terminal took bytes in that time."""
        self._taken += count
        if seconds > SLOW_WRITE_S:
            rate = count / seconds
            self._rate = rate if self._rate is None else 0.7 * self._rate + 0.3 * rate
            self._slow_at = self._monotonic()

    def rows_allowed(self, tick_s: float) -> int | None:
        """How many rows a screen may draw by itself in this tick; None is all of them."""
        limits = [kbps for kbps in (self.slow_kbps, self.max_kbps) if kbps is not None]
        if not limits:
            return None
        if self.is_behind:
            return 0
        share = _SHARE if self.slow_kbps is not None else 1.0
        return max(1, int(min(limits) * 1000 * share * tick_s / self._row_bytes))

    def drawn(self, rows: int) -> None:
        """So many rows were drawn since the last call: what one costs is learned."""
        count, self._mark = self._handed - self._mark, self._handed
        if rows >= 5 and count:
            self._row_bytes = 0.8 * self._row_bytes + 0.2 * max(20.0, count / rows)


class MeteredFile:
    """A terminal whose writes are timed."""

    def __init__(self, file: IO[str], meter: LinkMeter) -> None:
        self._file = file
        self._meter = meter

    def write(self, text: str) -> int:
        """Write and wait until it is taken."""
        begin = time.monotonic()
        count = self._file.write(text)
        self._file.flush()
        # What is drawn is mostly ASCII and box signs; close enough for a rate.
        self._meter.taken(len(text), time.monotonic() - begin)
        return count

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        """Of the terminal."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """As the terminal says."""
        return self._file.isatty()


def metered_driver(meter: LinkMeter) -> type[Driver] | None:
    """The terminal driver with a meter in it; None where there is none to put it in."""
    if sys.platform == "win32":
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class MeteredDriver(LinuxDriver):
        def __init__(
            self,
            app: App[object],
            *,
            debug: bool = False,
            mouse: bool = True,
            size: tuple[int, int] | None = None,
        ) -> None:
            super().__init__(app, debug=debug, mouse=mouse, size=size)
            if self._file is not None:
                self._file = cast("IO[str]", MeteredFile(self._file, meter))  # type: ignore[assignment]

        def write(self, data: str) -> None:
            meter.hand_over(len(data))
            super().write(data)

    return MeteredDriver
