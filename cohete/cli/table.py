"""A plain table of words: columns as wide as their widest cell, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Titles and rows as lines. A title that ends with a space aligns its column to the left."""
    widths = [
        max(len(title.rstrip()), *(len(row[nth]) for row in rows), 0)
        for nth, title in enumerate(titles)
    ]
    lines = []
    for cells in ([title.rstrip() for title in titles], *rows):
        parts = [
            cell.ljust(width) if title.endswith(" ") else cell.rjust(width)
            for cell, width, title in zip(cells, widths, titles, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
