"""Times and spans as people write them: `2h`, `90s`, `14:30`, `2026-11-20 14:30`. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from cohete.errors import CoheteError

_SPAN = re.compile(r"(\d{1,7})(ms|s|m|min|h|d)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


def parse_span_ms(text: str) -> int:
    """`90s`, `5m`, `2h`, `7d` in milliseconds. Raises CoheteError."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise CoheteError(f"{text!r} is no span of time", hint="As in 30s, 5m, 2h or 7d.")
    return int(match[1]) * _UNIT_MS[match[2]]


def parse_when_ms(text: str, now: datetime) -> int:
    """A moment in UTC milliseconds: `now`, a span ago, a time of the day, or a date and time.

    Without an offset it is in the time zone of `now`; a time of the day is the last one there
    was. Raises CoheteError.
    """
    text = text.strip()
    if text.lower() == "now":
        return round(now.timestamp() * 1000)
    if _SPAN.fullmatch(text.lower()):
        return round(now.timestamp() * 1000) - parse_span_ms(text)
    clock = _CLOCK.fullmatch(text)
    try:
        if clock is not None:
            then = now.replace(
                hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0
            )
            then -= timedelta(days=1) if then > now else timedelta()
        else:
            then = datetime.fromisoformat(text)
            then = then if then.tzinfo is not None else then.replace(tzinfo=now.tzinfo)
        return round(then.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise CoheteError(
            f"{text!r} is no time", hint="As in 2h (ago), 14:30, 2026-11-20 14:30, or now."
        ) from None
