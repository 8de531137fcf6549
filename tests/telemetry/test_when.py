"""Times and spans as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.errors import CoheteError
from cohete.telemetry.when import parse_span_ms, parse_when_ms

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-20T14:00:00"),
        ("2h", "2026-11-20T12:00:00"),
        ("90s", "2026-11-20T13:58:30"),
        ("14:30", "2026-11-20T13:30:00"),
        ("16:30", "2026-11-19T15:30:00"),
        ("14:30:05", "2026-11-20T13:30:05"),
        ("2026-11-19", "2026-11-18T23:00:00"),
        ("2026-11-19 10:00", "2026-11-19T09:00:00"),
        ("2026-11-19T10:00:00+00:00", "2026-11-19T10:00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    then = datetime.fromtimestamp(parse_when_ms(text, NOW) / 1000, UTC)
    assert then.replace(tzinfo=None).isoformat() == expected


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2h ago", "0s", "-2h", "2026-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(CoheteError):
        parse_when_ms(text, NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_is_explained(text: str) -> None:
    for parse in (parse_span_ms, lambda text: parse_when_ms(text, NOW)):
        said = ""
        try:
            parse(text)
        except CoheteError as error:
            said = error.what
        assert not said or said.endswith(("is no time", "is no span of time"))
