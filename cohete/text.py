"""What a device prints is hostile: reduce it to bounded, printable text once, where it enters."""

from __future__ import annotations

ESCAPE_GLYPH = "\u241b"
"""Stands where an ESC was, so that a person sees that somebody tried."""

_REPLACEMENT = "\ufffd"
_KNOWN = {"\t": " ", "\x1b": ESCAPE_GLYPH, "\x9b": ESCAPE_GLYPH}


def sanitise(text: str, limit: int = 512) -> str:
    """One printable line of at most `limit` characters.

    Control characters (C0, DEL, C1), bidirectional and zero-width marks, line separators, tags,
    lone surrogates and unassigned characters become a visible stand-in; a tab becomes a space.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "\u2026"
    return text if text.isprintable() else "".join(map(_printable, text))


def sanitise_lines(text: str, limit: int = 16_384) -> str:
    """The same for text of several lines: line feeds stay, carriage returns before them go."""
    lines = text[:limit].replace("\r\n", "\n").split("\n")
    return "\n".join(sanitise(line, limit) for line in lines)


def decode(raw: bytes) -> str:
    """Bytes of a device as text; what is no UTF-8 becomes U+FFFD. Never raises."""
    return raw.decode("utf-8", "replace")


def _printable(char: str) -> str:
    return char if char.isprintable() else _KNOWN.get(char, _REPLACEMENT)
