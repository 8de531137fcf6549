"""Nothing a device says can move the cursor, write the clipboard or hide itself."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from cohete.text import ESCAPE_GLYPH, decode, sanitise, sanitise_lines

_FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_one_printable_line_comes_out(text: str) -> None:
    clean = sanitise(text, 80)
    assert len(clean) <= 80
    assert not {unicodedata.category(char) for char in clean} & _FORBIDDEN


@given(st.binary())
def test_any_bytes_become_printable(raw: bytes) -> None:
    clean = sanitise(decode(raw))
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in clean)


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=100))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert sanitise(text) == text


def test_an_escape_is_visible() -> None:
    assert sanitise("\x1b]0;owned\x07") == f"{ESCAPE_GLYPH}]0;owned\ufffd"
    assert sanitise("a\u202eb\u2066c\u200bd") == "a\ufffdb\ufffdc\ufffdd"
    assert sanitise("a\tb") == "a b"


def test_lines_stay_lines() -> None:
    assert sanitise_lines("a\r\nb\x1b[2J\rc") == f"a\nb{ESCAPE_GLYPH}[2J\ufffdc"
