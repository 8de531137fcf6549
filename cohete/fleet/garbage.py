"""How Python looks for garbage while a fleet is watched: seldom through what stays, often enough
through what comes and goes; and what the C library keeps of it is given back."""

from __future__ import annotations

import gc
from collections.abc import Callable

from cohete.clock import Clock

THRESHOLDS = (10_000, 10, 3)
"""Samples come and go without cycles and hardly count; a screen that is closed leaves some ten
thousand objects in cycles, and thirty of them are the most that wait."""
SETTLED_S = 60.0
TRIM_S = 60.0
TRIMS = 15
"""So many times between two looks through everything: a quarter of an hour."""


async def keep_tidy(clock: Clock) -> None:
    """Until cancelled: once a fleet is connected, its connections are looked through no more.

    They are hundreds of objects a board: looking through all of them takes 0.3 s with 300 boards,
    in which no key is answered. Once in a quarter of an hour they are, for those that were lost
    meanwhile. Every minute the C library's free pages go back to the system.
    """
    gc.set_threshold(*THRESHOLDS)
    give_back = trimmer()
    try:
        await clock.sleep(SETTLED_S)
        while True:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            for _ in range(TRIMS):
                give_back()
                await clock.sleep(TRIM_S)
    finally:
        gc.unfreeze()


def trimmer() -> Callable[[], object]:
    """glibc's `malloc_trim(0)`, which gives back what is free between what is used; where the C
    library has none, something that does nothing."""
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda: None
    return lambda: trim(0)
