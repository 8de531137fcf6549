"""What a device prints is hostile: reduce it to bounded, printable text once, where it enters."""

from __future__ import annotations

ESCAPE_GLYPH = "\u241b"
"""Stands where an ESC was, so that a person sees that somebody tried."""

_REPLACEMENT = "\ufffd"
_INVISIBLE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x00AD,
    0x061C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFD),
    *range(0xD800, 0xE000),
    *range(0xE0000, 0xE0080),
)
_TABLE: dict[int, str] = dict.fromkeys(_INVISIBLE, _REPLACEMENT)
_TABLE[0x09] = " "
_TABLE[0x1B] = ESCAPE_GLYPH
_TABLE[0x9B] = ESCAPE_GLYPH
_LINES_TABLE = _TABLE | {0x0A: "\n"}
_PLAIN = frozenset(chr(code) for code in range(0x20, 0x7F))


def sanitise(text: str, limit: int = 512) -> str:
    """One printable line of at most `limit` characters.

    Control characters (C0, DEL, C1), bidirectional and zero-width marks, line separators,
    tags and lone surrogates become a visible stand-in; a tab becomes a space.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "\u2026"
    if _PLAIN.issuperset(text):
        return text
    return text.translate(_TABLE)


def sanitise_lines(text: str, limit: int = 16_384) -> str:
    """The same for text of several lines: line feeds stay, carriage returns before them go."""
    text = text[:limit].replace("\r\n", "\n")
    return text.translate(_LINES_TABLE)


def decode(raw: bytes) -> str:
    """Bytes of a device as text; what is no UTF-8 becomes U+FFFD. Never raises."""
    return raw.decode("utf-8", "replace")
