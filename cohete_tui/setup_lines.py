"""The setup wizard's list as lines: how every step is, and what the one at the cursor does."""

from __future__ import annotations

from dataclasses import dataclass

from cohete_tui.draw import Line, fit, wrap

_GLYPHS = {
    "done": ("✓", "good"), "to do": ("○", ""), "skipped": ("–", "dim"), "cannot": ("!", "warn"),
    "looking": ("…", "dim"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """How a step is: one of done, to do, skipped, cannot, looking; and in words."""

    state: str
    words: str = ""
    lines: tuple[str, ...] = ()
    """What it would run or write."""


OPTIONS = {
    "packages": "Names of packages of the board's own sources, with blanks between them.",
    "disk": "The NVMe that models are for, as in nvme0n1.",
    "ssh": "The name for ssh, as in: ssh jetson.",
    "swap": "GB of the swap file.",
    "sudo": "For which of power, clocks, fan, memory, storage, setup; others are taken out.",
    "swappiness": "0 to 200; the kernel's own is 60.",
}
"""What is asked where a step has a choice, by its name."""


def step_row(title: str, shown: Shown, cells: int) -> Line:
    """A step in the list."""
    glyph, style = _GLYPHS[shown.state]
    style_of_words = "" if style == "good" else style
    words = fit(shown.words or shown.state, max(8, cells - 22))
    return [(f"{glyph} ", style), (fit(title, 18), ""), ("  ", ""), (words, style_of_words)]


def step_lines(about: str, shown: Shown, cells: int) -> list[Line]:
    """What it is for, how it is, and what would run."""
    style = _GLYPHS[shown.state][1]
    lines: list[Line] = [[(part, "")] for part in wrap(about, cells, 3)]
    if shown.words:
        lines += [[(part, style)] for part in wrap(f"{shown.state}: {shown.words}", cells, 4)]
    for text in shown.lines:
        lines += [[(part, "dim")] for part in wrap(text, cells, 2)]
    return lines
