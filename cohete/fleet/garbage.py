"""How Python looks for garbage while a fleet is watched: seldom through what stays, often enough
through what comes and goes."""

from __future__ import annotations

import gc
import sys

from cohete.clock import Clock

THRESHOLDS = (1_000, 100, 3)
"""A thousand new objects are looked through in 3 ms; with ten thousand at once a key waited for 20
to 40. Samples come and go without cycles and hardly count; a screen that is closed leaves some ten
thousand objects in cycles, and thirty of them are the most that wait."""
SETTLED_S = 60.0
LOOK_S = 1.0
NEW_BLOCKS = 20_000
"""Some 2 MB, a screen that was opened: with so much more than after the last time it is looked
through again. Python itself would wait until there is a quarter as much of it as of all that stays,
and memory is in pieces by then."""
NEW_PART = 30
"""Of a large fleet a thirtieth of what stays: it takes longer to look through, and moves more."""
NEW_S = 60.0
"""It is not left longer than this."""
PERIOD_S = 900.0


async def keep_tidy(clock: Clock) -> None:
    """Until cancelled: once a fleet is connected, its connections are looked through no more.

    They are hundreds of objects a board: looking through all of them takes 0.3 s with 300 boards,
    in which no key is answered. Once in a quarter of an hour they are; what came since is when
    there is much of it.
    """
    gc.set_threshold(*THRESHOLDS)
    try:
        await clock.sleep(SETTLED_S)
        while True:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            await _look_through_new(clock, PERIOD_S)
    finally:
        gc.unfreeze()


async def _look_through_new(clock: Clock, for_s: float) -> None:
    begun = looked = clock.monotonic()
    least, patience = sys.getallocatedblocks(), 1
    while clock.monotonic() - begun < for_s:
        await clock.sleep(LOOK_S)
        least = min(least, blocks := sys.getallocatedblocks())
        grown = blocks - least
        if (
            grown >= patience * max(NEW_BLOCKS, least // NEW_PART)
            or clock.monotonic() - looked >= NEW_S
        ):
            gc.collect()
            looked, least = clock.monotonic(), sys.getallocatedblocks()
            # What grows and stays, as when many boards come back, is not looked through each time.
            patience = 1 if blocks - least >= grown / 4 else 2 * patience
