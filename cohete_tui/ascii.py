"""Everything that is drawn in plain ASCII, for terminals and fonts that have nothing else."""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "●": "*", "◐": "~", "✕": "x", "⊘": "!", "…": ".", "✓": "+", "–": "-", "·": "-",
    "▇": "#", "░": ".", "│": "|", "▲": "^", "▼": "v", "▾": "v", "▸": ">", "→": ">", "←": "<",
    "↑": "^", "↓": "v", "↗": "^", "↘": "v", "▁": "_", "▂": "_", "▃": "-", "▄": "-", "▅": "=",
    "▆": "=", "█": "#", "─": "-", "━": "-", "┃": "|", "▶": ">", "⏸": "=", "◆": "*",
    "○": "o", "◔": "c", "◑": "%", "⏎": "<", "×": "x", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
}  # fmt: skip
_POOR_TERMINALS = frozenset({"linux", "vt100", "vt102", "vt220", "dumb", "ansi", "cons25"})


class _Table(dict[int, str]):
    """A translation table that has an answer for every character."""

    def __missing__(self, code: int) -> str:
        if code < 0x80:
            sign = chr(code)
        elif 0x2500 <= code <= 0x257F:
            sign = "+"
        elif 0x2580 <= code <= 0x259F:
            sign = "#"
        elif 0x2800 <= code <= 0x28FF:
            sign = " " if code == 0x2800 else "*"
        else:
            sign = "?" * cell_len(chr(code))
        self[code] = sign
        return sign


_TABLE = _Table({ord(sign): plain for sign, plain in _SIGNS.items()})


def plain(text: str) -> str:
    """The same number of cells in ASCII."""
    return text if text.isascii() else text.translate(_TABLE)


class AsciiFilter(LineFilter):
    """Translates all that leaves for the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(plain(text), style, control) for text, style, control in segments]


def needs_ascii(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this terminal has no more: the Linux console, old ones, or a locale without UTF-8."""
    if environ.get("TERM", "") in _POOR_TERMINALS:
        return True
    return locale.getpreferredencoding(do_setlocale=False).upper().replace("-", "") != "UTF8"
