"""A program in the foreground of the terminal, while the dashboard steps aside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from cohete.errors import CoheteError

if TYPE_CHECKING:
    from textual.app import App

# Ctrl+C and ctrl+\.
_FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


SSH_FAILED = 255
"""What ssh ends with where it failed itself; else it is what the last command over there did."""


AT_ONCE_S = 2.0
"""Nobody did anything in a shell that failed so soon."""


async def run_in_terminal(
    app: App[None], argv: Sequence[str], title: str, *, is_failure: Callable[[int], bool] = bool
) -> int:
    """Run a program in this terminal and come back; its exit status. Raises CoheteError.

    Samples go on arriving meanwhile; nothing is drawn. What a program said that failed can be read
    before the dashboard covers it. What was typed for the program and not read by it goes with it:
    on the dashboard the same letters would be keys.
    """
    try:
        with app.batch_update(), app.suspend(), _keyboard_signals_ignored():
            sys.stdout.write(f"\r\n{title}\r\n\r\n")
            sys.stdout.flush()
            begun_s = time.monotonic()
            status = await _end_of(_begin(argv))
            if is_failure(status) or (status and time.monotonic() - begun_s < AT_ONCE_S):
                _drop_what_was_typed()
                name = Path(argv[0]).name
                sys.stdout.write(f"\r\n{name} ended with status {status}. Enter comes back.\r\n")
                sys.stdout.flush()
                await _end_of(_begin(("sh", "-c", "read _")))
            _drop_what_was_typed()
            return status
    except SuspendNotSupported:
        raise CoheteError("a shell needs a terminal of its own") from None
    except OSError as error:
        raise CoheteError(
            f"cannot run {argv[0]}: {(error.strerror or 'unknown reason').lower()}",
            hint="Is the OpenSSH client installed?",
        ) from None


def _begin(argv: Sequence[str]) -> int:
    # The only way to begin a program that heeds what this process ignores.
    return os.posix_spawnp(argv[0], list(argv), os.environ, setsigdef=_FROM_THE_KEYBOARD)


async def _end_of(pid: int) -> int:
    waiting = asyncio.create_task(asyncio.to_thread(os.waitpid, pid, 0))
    try:
        _, status = await asyncio.shield(waiting)
    except asyncio.CancelledError:
        # The dashboard ends, and its terminal is no longer there for both.
        os.kill(pid, signal.SIGHUP)
        raise
    return os.waitstatus_to_exitcode(status)


@contextlib.contextmanager
def _keyboard_signals_ignored() -> Iterator[None]:
    """As system(3) has it: what is pressed is for the program that runs.

    Ignored by the kernel, not by a handler: one that is told late, when the program has ended
    already, would end the dashboard.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _FROM_THE_KEYBOARD}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
            signal.siginterrupt(number, False)


def _drop_what_was_typed() -> None:
    import termios

    if (stdin := sys.__stdin__) is not None:
        with contextlib.suppress(OSError, ValueError, termios.error):
            termios.tcflush(stdin.fileno(), termios.TCIFLUSH)
