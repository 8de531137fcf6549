"""How Python looks for garbage while a fleet is watched: seldom through what stays, often enough
through what comes and goes."""

from __future__ import annotations

import gc
import sys

from cohete.clock import Clock

THRESHOLDS = (10_000, 10, 3)
"""Samples come and go without cycles and hardly count; a screen that is closed leaves some ten
thousand objects in cycles, and thirty of them are the most that wait."""
SETTLED_S = 60.0
NEW_S = 20.0
"""How often what is new is looked through: Python itself would wait until there is a quarter as
much of it as of all that stays, and memory is in pieces by then."""
PERIOD_S = 900.0
RELEASE_S = 300.0
"""How often what the C library holds free goes back: a pause or a rush leaves tens of MB there."""


async def keep_tidy(clock: Clock) -> None:
    """Until cancelled: once a fleet is connected, its connections are looked through no more.

    They are hundreds of objects a board: looking through all of them takes 0.3 s with 300 boards,
    in which no key is answered. Once in a quarter of an hour they are, for those that were lost
    meanwhile; what came since is, three times a minute. What was freed goes back to the system.
    """
    gc.set_threshold(*THRESHOLDS)
    try:
        await clock.sleep(SETTLED_S)
        while True:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            for nth in range(round(PERIOD_S / NEW_S)):
                if nth % round(RELEASE_S / NEW_S) == 0:
                    release()
                await clock.sleep(NEW_S)
                gc.collect()
    finally:
        gc.unfreeze()


def release() -> None:
    """Give back what the C library holds free, where it can be told to (glibc). Takes 3 to 9 ms."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
