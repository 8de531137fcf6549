"""What disks say of their health through nvme-cli and smartmontools, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.storage.health import Health, Reading, health_from, trend_words, wear_per_day
from cohete.storage.records import KEPT, Records, read_records, write_records

NVME_1 = {
    "critical_warning": 0, "temperature": 311, "avail_spare": 100, "spare_thresh": 10,
    "percent_used": 3, "data_units_read": 10, "data_units_written": "12345678",
    "power_on_hours": 5123, "unsafe_shutdowns": 41, "media_errors": 0,
}  # fmt: skip
NVME_2 = {
    "critical_warning": {"value": 5, "available_spare": 1, "reliability_degraded": 1},
    "temperature": 351, "available_spare": 4, "available_spare_threshold": 10,
    "percentage_used": 104, "data_units_written": 2, "media_errors": "17",
}  # fmt: skip
SMART = {
    "smart_status": {"passed": True}, "temperature": {"current": 44},
    "power_on_time": {"hours": 900},
    "nvme_smart_health_information_log": {
        "critical_warning": 0, "available_spare": 99, "available_spare_threshold": 5,
        "percentage_used": 1, "data_units_written": 3000, "media_errors": 0,
        "unsafe_shutdowns": 7,
    },
}  # fmt: skip


def said(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.claim("SM-04")
def test_both_programs_and_both_generations_of_one() -> None:
    first = health_from(b"NVMe warning\n" + said(NVME_1), b"")
    assert first == Health(3, 100, 10, 0, 0, 38.0, 5123, 41, 12345678 * 512_000)
    assert first.problems == ()
    assert first.words == "3 % worn, spare 100 %, 6.3 TB written, 38 C, 5123 h on"
    second = health_from(said(NVME_2), b"")
    assert second.problems == (
        "the spare is below its threshold",
        "its reliability is degraded",
        "104 % of its life is used",
        "17 times data could not be read or written",
    )
    third = health_from(b"sudo: a password is required", said(SMART))
    assert (third.wear_percent, third.temperature_c, third.passed) == (1, 44.0, True)
    failing = health_from(b"", said({"smart_status": {"passed": False}}))
    assert failing.problems == ("its own check says that it fails",)
    assert health_from(b"", b"").words == "unknown"
    assert not health_from(b"", b"").is_known


@pytest.mark.claim("SM-04")
@pytest.mark.parametrize("bit", range(8))
def test_every_warning_is_told(bit: int) -> None:
    (problem,) = Health(critical_warning=1 << bit).problems
    assert problem


@pytest.mark.claim("SM-04")
def test_wear_is_followed_over_time(tmp_path: Path) -> None:
    day = 86_400.0
    readings = [
        Reading(nth * day, Health(wear_percent=nth // 2, media_errors=0)) for nth in range(21)
    ]
    assert wear_per_day(readings) == pytest.approx(0.5)
    assert trend_words(readings) == "worn out in about 180 days at this rate"
    assert wear_per_day(readings[:1]) is None
    assert trend_words(readings[:2]) == ""
    worse = [*readings, Reading(21 * day, Health(wear_percent=10, media_errors=3))]
    assert trend_words(worse).endswith(", 3 new media errors")
    records = Records(device="cam/1")
    for reading in readings:
        kept = records.add_health("S64E", reading)
    assert kept == readings
    write_records(tmp_path, records)
    again = read_records(tmp_path, "cam/1")
    assert again == records
    # Looked at again and again within an hour, it is one reading.
    for nth in range(5):
        kept = again.add_health("S64E", Reading(20 * day + 60 * nth, Health(wear_percent=10)))
    assert len(kept) == 22
    for nth in range(2 * KEPT):
        kept = again.add_health("S64E", Reading((30 + nth) * day, Health(wear_percent=10)))
    assert len(kept) == KEPT
    (tmp_path / "storage" / "cam%2F1.json").write_text("{")
    assert read_records(tmp_path, "cam/1") == Records(device="cam/1")


@given(st.binary(max_size=300), st.dictionaries(
    st.sampled_from([*NVME_1, *SMART, "nvme_smart_health_information_log"]),
    st.none() | st.integers() | st.text(max_size=6) | st.dictionaries(
        st.sampled_from(["value", "current", "passed"]), st.integers() | st.booleans()),
))  # fmt: skip
def test_nothing_raises(noise: bytes, document: dict[str, object]) -> None:
    for health in (health_from(noise, noise), health_from(said(document), said(document))):
        assert health.words
        assert all(problem.isprintable() for problem in health.problems)
