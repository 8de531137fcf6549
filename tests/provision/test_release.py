"""Releases of Jetson Linux, and what to do about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.provision.release import judge


@pytest.mark.claim("PS-07")
@pytest.mark.parametrize(
    ("l4t", "supported", "words", "advice"),
    [
        ("36.4.3", True, "L4T 36.4.3, JetPack 6", "36.5.0 is the newest of its line."),
        ("36.5.0", True, "L4T 36.5.0, JetPack 6", ""),
        ("36.5.2", True, "L4T 36.5.2, JetPack 6", ""),
        ("35.6.4", True, "L4T 35.6.4, JetPack 5", ""),
        ("35.1", True, "L4T 35.1, JetPack 5", "35.6.4 is the newest of its line."),
        ("38.4.0", True, "L4T 38.4.0, JetPack 7.0", ""),
        ("40.0.0", True, "L4T 40.0.0 is newer than what is known here", ""),
        ("34.1.1", False, "L4T 34.1.1 was a preview", "Flash a release: sdkmanager does."),
        ("28.2.1", False, "L4T 28.2.1 is no longer maintained",
         "Flash a newer JetPack: sdkmanager does."),
        ("32.7.6", False, "L4T 32.7.6, JetPack 4: watched and changed, not set up",
         "JetPack 5 and later are set up; a Nano has none."),
    ],
)  # fmt: skip
def test_each_line(l4t: str, supported: bool, words: str, advice: str) -> None:
    judged = judge(l4t)
    assert (judged.is_supported, judged.words, judged.advice) == (supported, words, advice)


@pytest.mark.claim("PS-07")
def test_a_board_that_tells_nothing() -> None:
    assert not judge(None).is_supported
    assert "/etc/nv_tegra_release is missing" in judge(None).advice


@given(st.text(max_size=30))
def test_nothing_raises(text: str) -> None:
    assert judge(text).words
