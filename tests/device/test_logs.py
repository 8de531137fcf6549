"""A log is bounded, printable and can be searched."""

from __future__ import annotations

import pytest

from cohete.device.logs import LogLines, explain


def test_the_last_lines_are_held_and_counted() -> None:
    log = LogLines(limit=3)
    log.add([b"one", b"two", b"three", b"f\x1b[31mour\xff"])
    assert list(log) == ["two", "three", "f\u241b[31mour\ufffd"]
    assert (log.count, log.first) == (4, 1)
    log.add([b"x" * 50_000])
    assert len(log[2]) == 2000


def test_search_goes_round_both_ways() -> None:
    log = LogLines()
    log.add([b"a oom", b"b", b"c OOM kill", b"d"])
    assert log.find("oom", 0, 1) == 0
    assert log.find("oom", 1, 1) == 2
    assert log.find("oom", 3, 1) == 0
    assert log.find("OOM", 1, -1) == 0
    assert log.find("none", 0, 1) is None
    assert log.find("", 0, 1) is None
    assert LogLines().find("a", 0, 1) is None


@pytest.mark.parametrize(
    ("stderr", "status", "expected"),
    [
        ("dmesg: read kernel buffer failed: Operation not permitted", 1, "adm USER on the board"),
        ("No journal files: insufficient permissions.", 1, "permissions. Reading"),
        ("sh: 1: journalctl: not found", 127, "no such command"),
        ("", 3, "it ended with status 3"),
    ],
)  # fmt: skip
def test_why_there_is_no_log(stderr: str, status: int, expected: str) -> None:
    assert expected in explain(stderr, status)
