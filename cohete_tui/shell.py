"""A program in the foreground of the terminal, while the dashboard steps aside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
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
# Those that Python ignores itself, too.
_HEEDED = (*_FROM_THE_KEYBOARD, signal.SIGPIPE, signal.SIGXFSZ)


SSH_FAILED = 255
"""What ssh ends with where it failed itself; else it is what the last command over there did."""
AT_ONCE_S = 2.0
"""Nobody did anything in a shell that failed so soon."""

_front = threading.Lock()


async def run_in_terminal(
    app: App[None], argv: Sequence[str], title: str, *, is_failure: Callable[[int], bool] = bool
) -> None:
    """Run a program in this terminal and come back. Raises CoheteError.

    Samples go on arriving meanwhile; nothing is drawn. What a program said that failed can be read
    before the dashboard covers it. What was typed for the program and not read by it goes with it:
    on the dashboard the same letters would be keys. Asked for twice in one burst it runs once.
    """
    if not _front.acquire(blocking=False):
        return
    try:
        with app.batch_update(), app.suspend(), _keyboard_signals_ignored():
            # Textual does not come back from where something is raised in here.
            failure = await _in_front(argv, title, is_failure)
    except SuspendNotSupported:
        raise CoheteError("a shell needs a terminal of its own") from None
    finally:
        _front.release()
    if failure is not None:
        raise CoheteError(
            f"cannot run {Path(argv[0]).name}: {(failure.strerror or 'unknown reason').lower()}",
            hint="Is the OpenSSH client installed?",
        )


async def _in_front(
    argv: Sequence[str], title: str, is_failure: Callable[[int], bool]
) -> OSError | None:
    try:
        with _terminal_as_it_was():
            sys.stdout.write(f"\r\n{title}\r\n\r\n")
            sys.stdout.flush()
            begun_s = time.monotonic()
            status = await _end_of(_begin(argv))
        if is_failure(status) or (status and time.monotonic() - begun_s < AT_ONCE_S):
            name = Path(argv[0]).name
            sys.stdout.write(f"\r\n{name} ended with status {status}. Enter comes back.\r\n")
            sys.stdout.flush()
            with _terminal_as_it_was():
                await _end_of(_begin(("sh", "-c", "read _")))
    except OSError as error:
        return error
    return None


def _begin(argv: Sequence[str]) -> int:
    # The only way to begin a program that heeds what this process ignores.
    return os.posix_spawnp(argv[0], list(argv), os.environ, setsigdef=_HEEDED)


async def _end_of(pid: int) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def told(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    def wait() -> None:
        _, status = os.waitpid(pid, 0)
        # The loop may be gone: nobody waits for it then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(told, status)

    # Not of the pool, for whose threads a program that ends waits.
    threading.Thread(target=wait, daemon=True).start()
    try:
        return os.waitstatus_to_exitcode(await ended)
    except asyncio.CancelledError:
        # The dashboard ends, and its terminal is no longer there for both.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
        raise


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


@contextlib.contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Whatever a program did to the terminal and left unread there is undone."""
    import termios

    before = None
    terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None else -1
    with contextlib.suppress(OSError, ValueError, termios.error):
        before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError, termios.error):
            if before is not None:
                termios.tcsetattr(terminal, termios.TCSADRAIN, before)
            termios.tcflush(terminal, termios.TCIFLUSH)
