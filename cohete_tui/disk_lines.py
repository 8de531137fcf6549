"""The disks of a board as lines: which they are, how healthy, how fast they wear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cohete_tui.draw import Line, wrap

if TYPE_CHECKING:
    from cohete.storage.reading import DiskState


def disk_lines(found: Sequence[DiskState], problem: str, cells: int) -> list[Line]:
    """Two lines a disk, more where something is wrong with it."""
    lines: list[Line] = [[(text, "warn")] for text in wrap(problem, cells, 2)]
    for each in found:
        disk = each.disk
        about = " ".join((str(disk.kind), disk.size_words, disk.model))
        lines.append([(f"{disk.name} ", ""), (about[: max(0, cells - len(disk.name) - 1)], "dim")])
        style = "dim" if each.why else ""
        lines += [[(f"  {text}", style)] for text in wrap(each.words, max(8, cells - 2), 3)]
        for words in each.health.problems:
            lines += [[(f"! {text}", "danger")] for text in wrap(words, max(8, cells - 2), 2)]
    if not found and not problem:
        lines.append([("No disk here tells its health (NVMe, SATA, USB).", "dim")])
    return lines
