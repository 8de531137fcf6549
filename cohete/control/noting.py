"""Something that is done to a board without a plan of steps: written down as every change is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cohete.control.audit import AuditLog
from cohete.control.change import Change
from cohete.control.outcome import Outcome
from cohete.errors import CoheteError


@dataclass(slots=True)
class Noted:
    """What came of it; whoever does it fills it in."""

    outcome: Outcome = Outcome.UNKNOWN
    found: str = ""
    words: str = ""


@asynccontextmanager
async def noted(log: AuditLog, change: Change) -> AsyncIterator[Noted]:
    """In the log before it begins, and when it is over, however that is. Raises AuditError."""
    number = await asyncio.to_thread(log.begin, change)
    what = Noted()
    try:
        yield what
    except CoheteError as error:
        what.outcome, what.words = Outcome.FAILED, error.what
        raise
    finally:
        await asyncio.to_thread(
            log.end, number, change.device, what.outcome.value, what.found, what.words
        )
