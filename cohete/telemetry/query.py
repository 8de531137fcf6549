"""A device's past as series: the tier that fits the step, gaps filled from the others. Blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cohete.telemetry.chunk import Chunk, Flags, Ints
from cohete.telemetry.condense import condensed
from cohete.telemetry.files import MINUTE_MS, HistoryFiles
from cohete.telemetry.past import Past


def past(
    files: HistoryFiles,
    device: str,
    from_ms: int,
    to_ms: int,
    step_ms: int,
    only: Sequence[str] | None = None,
) -> Past:
    """What is known of a device from `from_ms` to before `to_ms`, a point each `step_ms`."""
    if step_ms >= 10 * MINUTE_MS:
        tiers = ("tens", "minutes", "raw")
    elif step_ms >= MINUTE_MS:
        tiers = ("minutes", "raw", "tens")
    else:
        tiers = ("raw", "minutes", "tens")
    chunks = _without_overlap(files, device, from_ms, to_ms, tiers, only)
    points = condensed(chunks, from_ms, to_ms, max(1, step_ms))
    columns = points.columns
    names = [name for name in columns if name[-1:] not in ("<", ">")]
    return Past(
        points.times_ms,
        {name: columns[name] for name in names},
        {name: columns[f"{name}<"] for name in names},
        {name: columns[f"{name}>"] for name in names},
    )


_MINUTES_OF = {"raw": 1, "minutes": 1, "tens": 10}


def _without_overlap(
    files: HistoryFiles,
    device: str,
    from_ms: int,
    to_ms: int,
    tiers: Sequence[str],
    only: Iterable[str] | None,
) -> list[Chunk]:
    """Chunks of all tiers; of a later tier only what no earlier one covers."""
    kept: list[Chunk] = []
    covered: Ints = np.empty(0, np.int64)
    for tier in tiers:
        width = np.arange(_MINUTES_OF[tier])
        told = [covered]
        known = frozenset(covered.tolist())

        def is_told(first_ms: int, last_ms: int, known: frozenset[int] = known) -> bool:
            minutes = range(first_ms // MINUTE_MS, last_ms // MINUTE_MS + 1)
            return len(minutes) <= len(known) and known.issuperset(minutes)

        for stored in files.read(device, from_ms, to_ms, (tier,), only, is_told):
            chunk = stored.chunk
            minutes = (chunk.at_ms // MINUTE_MS)[:, None] + width
            free: Flags = ~np.logical_or.reduce(np.isin(minutes, covered), axis=1)
            if free.any():
                kept.append(chunk if free.all() else chunk.part(free))
                told.append(minutes[free].ravel())
        covered = np.unique(np.concatenate(told))
    return kept
