"""Bars, sparklines and columns as styled text of an exact width. Pure: no widget, no terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""Text and the name of its style; "" is plain."""

Line = list[Span]

MARK = "✓"
FULL, TRACK, BUDGET = "▇", "░", "│"
SPARKS = "▁▂▃▄▅▆▇█"
WARN_SHARE, DANGER_SHARE = 0.85, 0.95


def width(line: Iterable[Span]) -> int:
    """Terminal cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """`text` in exactly `cells` cells, cut with … where it is longer."""
    length = cell_len(text)
    if length > cells:
        return set_cell_size(text, max(0, cells - 1)) + ("…" if cells else "")
    pad = " " * (cells - length)
    return pad + text if right else text + pad


def spread(left: Line, right: Line, cells: int) -> Line:
    """`left` and `right` at the two ends of a line; the left part gives way."""
    room = cells - width(right)
    if room < 0:
        return cut(right, cells)
    kept = cut(left, room)
    return [*kept, (" " * (room - width(kept)), ""), *right]


def cut(line: Line, cells: int) -> Line:
    """The beginning of a line that fits into `cells`."""
    kept: Line = []
    room = cells
    for text, style in line:
        if room <= 0:
            break
        kept.append((text if cell_len(text) <= room else fit(text, room), style))
        room -= cell_len(kept[-1][0])
    return kept


def pad(line: Line, cells: int) -> Line:
    """A line cut or filled to exactly `cells`."""
    kept = cut(line, cells)
    missing = cells - width(kept)
    return [*kept, (" " * missing, "")] if missing else kept


def bar(
    share: float | None, cells: int, *, style: str = "bar", budget: float | None = None
) -> Line:
    """A bar of `cells`; None draws an empty track. `budget` (0 to 1) is marked inside it."""
    if cells <= 0:
        return []
    filled = 0 if share is None else round(min(1.0, max(0.0, share)) * cells)
    marks = [FULL] * filled + [TRACK] * (cells - filled)
    styles = [style] * filled + ["track"] * (cells - filled)
    if budget is not None:
        at = min(cells - 1, int(min(1.0, max(0.0, budget)) * cells))
        marks[at], styles[at] = BUDGET, "budget"
    return merged(zip(marks, styles, strict=True))


def merged(spans: Iterable[Span]) -> Line:
    """Neighbours of the same style as one span; plain blanks go with what stands before them.

    No style has a ground of its own, so blanks look the same in each; every change of style costs
    some forty bytes on the way to the terminal.
    """
    line: Line = []
    for text, style in spans:
        if line and (line[-1][1] == style or (not style and text.isspace())):
            line[-1] = (line[-1][0] + text, line[-1][1])
        elif text:
            line.append((text, style))
    return line


def wrap(text: str, cells: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of `cells`; … where something is missing."""
    if lines <= 0 or not text:
        return []
    return textwrap.wrap(text, max(8, cells), max_lines=lines, placeholder=" …")


def sparkline(values: Sequence[float], cells: int, *, low: float, high: float) -> str:
    """The last `cells` values as blocks between `low` and `high`; NaN leaves a gap."""
    room = max(high - low, 1e-9)
    marks = []
    for value in values[-cells:]:
        if math.isnan(value):
            marks.append(" ")
            continue
        step = int((value - low) / room * len(SPARKS))
        marks.append(SPARKS[min(len(SPARKS) - 1, max(0, step))])
    return "".join(marks).rjust(cells)


def fill_style(share: float | None) -> str:
    """The style of a memory bar: it stands out where the pool is nearly full."""
    if share is None or share < WARN_SHARE:
        return "bar"
    return "warn" if share < DANGER_SHARE else "danger"
