"""A device's past as series: the tier that fits the step, gaps filled from the others. Blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cohete.telemetry.codec import Chunk
from cohete.telemetry.files import MINUTE_MS, HistoryFiles, condensed


@dataclass(frozen=True, slots=True)
class Past:
    """Points in the order of time; by name mean, lowest and highest. None is unknown."""

    times_ms: list[int]
    means: dict[str, list[int | None]]
    lows: dict[str, list[int | None]]
    highs: dict[str, list[int | None]]


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
    names = [name for name in points.columns if name[-1] not in "<>"]
    return Past(
        points.times_ms,
        {name: points.columns[name] for name in names},
        {name: points.columns[f"{name}<"] for name in names},
        {name: points.columns[f"{name}>"] for name in names},
    )


_WIDTH_MS = {"raw": 0, "minutes": MINUTE_MS, "tens": 10 * MINUTE_MS}


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
    minutes: set[int] = set()
    for tier in tiers:
        width = max(1, _WIDTH_MS[tier] // MINUTE_MS)
        covered: set[int] = set()
        for stored in files.read(device, from_ms, to_ms, (tier,), only):
            chunk = stored.chunk
            free = [
                nth
                for nth, time_ms in enumerate(chunk.times_ms)
                if not any(time_ms // MINUTE_MS + more in minutes for more in range(width))
            ]
            covered |= {chunk.times_ms[nth] // MINUTE_MS + more
                        for nth in free for more in range(width)}  # fmt: skip
            if len(free) == len(chunk.times_ms):
                kept.append(chunk)
            elif free:
                kept.append(
                    Chunk(
                        [chunk.times_ms[nth] for nth in free],
                        {
                            name: [values[nth] for nth in free]
                            for name, values in chunk.columns.items()
                        },
                    )
                )
        minutes |= covered
    return kept
