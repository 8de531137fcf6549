"""A program in the foreground of the terminal, while the dashboard steps aside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from cohete.errors import CoheteError

if TYPE_CHECKING:
    from textual.app import App


async def run_in_terminal(app: App[None], argv: Sequence[str], title: str) -> int:
    """Run a program in this terminal and come back; its exit status. Raises CoheteError.

    Samples go on arriving meanwhile; nothing is drawn.
    """
    try:
        with app.batch_update(), app.suspend():
            sys.stdout.write(f"\r\n{title}\r\n\r\n")
            sys.stdout.flush()
            process = await asyncio.create_subprocess_exec(*argv)
            return await process.wait()
    except SuspendNotSupported:
        raise CoheteError("a shell needs a terminal of its own") from None
    except OSError as error:
        raise CoheteError(
            f"cannot run {argv[0]}: {(error.strerror or 'unknown reason').lower()}",
            hint="Is the OpenSSH client installed?",
        ) from None
