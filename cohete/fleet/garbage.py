"""How Python looks for garbage while a fleet is watched: seldom through what stays, often enough
through what comes and goes."""

from __future__ import annotations

import gc

from cohete.clock import Clock

THRESHOLDS = (10_000, 10, 3)
"""Samples come and go without cycles and hardly count; a screen that is closed leaves some ten
thousand objects in cycles, and thirty of them are the most that wait."""
SETTLED_S = 60.0
NEW_S = 20.0
"""How often what is new is looked through: Python itself would wait until there is a quarter as
much of it as of all that stays, and memory is in pieces by then."""
PERIOD_S = 900.0


async def keep_tidy(clock: Clock) -> None:
    """Until cancelled: once a fleet is connected, its connections are looked through no more.

    They are hundreds of objects a board: looking through all of them takes 0.3 s with 300 boards,
    in which no key is answered. Once in a quarter of an hour they are, for those that were lost
    meanwhile; what came since is, three times a minute.
    """
    gc.set_threshold(*THRESHOLDS)
    try:
        await clock.sleep(SETTLED_S)
        while True:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            for _ in range(round(PERIOD_S / NEW_S)):
                await clock.sleep(NEW_S)
                gc.collect()
    finally:
        gc.unfreeze()
