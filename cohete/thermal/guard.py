"""Work that stops while a board is too hot and goes on once it has cooled.

breaker = ThermalCircuitBreaker(limits, clock)
breaker.feed(zones)                      # whoever reads temperatures, as often as they come

async with breaker.guard():              # waits until work may run; ends it if it gets too hot
    await infer()

await breaker.run(infer)                 # pauses it at its awaits, and lets it go on

@breaker.guarded(on_open=OnOpen.RESTART)
async def job() -> None: ...
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar

from cohete.clock import Clock
from cohete.errors import CoheteError
from cohete.tegra.stats import Zone
from cohete.thermal.breaker import BLIND_S, Breaker, BreakerState, step
from cohete.thermal.policy import Limits

_log = logging.getLogger("cohete.thermal")
_log.addHandler(logging.NullHandler())

TICK_S = 0.5
T = TypeVar("T")
P = ParamSpec("P")
Transition = Callable[[Breaker, Breaker], None]


class ThermalExceeded(CoheteError):
    """Work was ended because the board is too hot, or its temperature unknown."""


class OnOpen(StrEnum):
    """What becomes of running work when the breaker opens."""

    PAUSE = "pause"
    """It is held at its next await, and goes on from there."""
    CANCEL = "cancel"
    """It is cancelled; whoever waits for it gets ThermalExceeded."""
    RESTART = "restart"
    """It is cancelled, and begun anew once the board has cooled."""


class ThermalCircuitBreaker:
    """A breaker that work can wait on. Feed it temperatures; it opens by itself without any."""

    def __init__(
        self, limits: Limits, clock: Clock, *, on_transition: Transition | None = None
    ) -> None:
        self.limits = limits
        self._clock = clock
        now = clock.monotonic()
        # Before the first temperature nothing is known, so nothing may run.
        self.breaker = Breaker(now, now, BreakerState.COOLING, "no temperature yet")
        self._is_new = True
        self._on_transition = on_transition
        self._changed = asyncio.Event()

    @property
    def allows_work(self) -> bool:
        """Whether work may run now."""
        return self.breaker.allows_work

    def feed(self, zones: Sequence[Zone], *, fresh: bool = True) -> Breaker:
        """Take the zones that were just read, and decide."""
        before = self.breaker
        self.breaker = step(before, self.limits, self._clock.monotonic(), zones, fresh=fresh)
        if self._is_new and self.breaker.zone:
            self._is_new = False
            if self.breaker.state is not BreakerState.OPEN:
                # A board that was never seen too hot needs no cooling first.
                self.breaker = step(_closed(before), self.limits, self._clock.monotonic(), zones)
        if self.breaker.state is not before.state:
            self._changed.set()
            self._changed = asyncio.Event()
            if self._on_transition is not None:
                self._on_transition(before, self.breaker)
        return self.breaker

    async def watch(self, read: Callable[[], Awaitable[Sequence[Zone]]]) -> None:
        """Feed it from `read` at the policy's interval, until cancelled.

        A reading that fails or takes too long is a missing one.
        """
        while True:
            zones: Sequence[Zone] = ()
            try:
                async with asyncio.timeout(BLIND_S):
                    zones = await read()
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no temperature
                _log.debug("no temperature", exc_info=error)
            self.feed(zones, fresh=bool(zones))
            await self._clock.sleep(self.limits.interval_s)

    async def allowed(self) -> None:
        """Wait until work may run."""
        while not self.breaker.allows_work:
            await self._changed.wait()

    async def opened(self) -> None:
        """Wait until work may not run: also because nobody feeds it any more."""
        while self.breaker.allows_work:
            tick = asyncio.ensure_future(self._clock.sleep(TICK_S))
            change = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({tick, change}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                tick.cancel()
                change.cancel()
            if self._clock.monotonic() - self.breaker.seen_s >= BLIND_S:
                self.feed((), fresh=False)

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Waits until work may run, then ends the body if the breaker opens.

        Raises ThermalExceeded in place of what the body was doing.
        """
        await self.allowed()
        body = asyncio.current_task()
        assert body is not None
        watcher = asyncio.create_task(self.opened())
        ended = False

        def end(task: asyncio.Task[None]) -> None:
            nonlocal ended
            if not task.cancelled() and not body.done():
                ended = True
                body.cancel()

        watcher.add_done_callback(end)
        try:
            yield
        except asyncio.CancelledError:
            if ended and body.uncancel() == 0:
                raise self._exceeded() from None
            raise
        finally:
            watcher.remove_done_callback(end)
            watcher.cancel()

    async def run(
        self, work: Callable[[], Coroutine[Any, Any, T]], on_open: OnOpen = OnOpen.PAUSE
    ) -> T:
        """Run work while it may run. Raises ThermalExceeded where it is cancelled."""
        if on_open is OnOpen.PAUSE:
            await self.allowed()
            watcher = asyncio.create_task(self._watch_over())
            try:
                return await _Pausing(work(), self)
            finally:
                watcher.cancel()
        while True:
            try:
                async with self.guard():
                    return await work()
            except ThermalExceeded:
                if on_open is OnOpen.CANCEL:
                    raise

    async def _watch_over(self) -> None:
        """Opens it, while work runs, where nobody feeds it any more."""
        while True:
            await self.opened()
            await self.allowed()

    def guarded(
        self, on_open: OnOpen = OnOpen.PAUSE
    ) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """The same as a decorator of a coroutine function."""

        def decorate(
            function: Callable[P, Coroutine[Any, Any, T]],
        ) -> Callable[P, Coroutine[Any, Any, T]]:
            @functools.wraps(function)
            async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
                return await self.run(lambda: function(*args, **kwargs), on_open)

            return wrapped

        return decorate

    def _exceeded(self) -> ThermalExceeded:
        return ThermalExceeded(
            f"work was stopped: {self.breaker.reason}",
            hint=f"It may run again at {self.limits.cooldown_c:g} C.",
        )


def _closed(breaker: Breaker) -> Breaker:
    return Breaker(breaker.since_s, breaker.seen_s)


class _Pausing(Awaitable[T]):
    """A coroutine that is not woken while the breaker is open."""

    def __init__(self, work: Coroutine[Any, Any, T], breaker: ThermalCircuitBreaker) -> None:
        self._work = work
        self._breaker = breaker

    def __await__(self) -> Generator[Any, Any, T]:
        work = self._work
        error: BaseException | None = None
        value: Any = None
        try:
            while True:
                try:
                    waits_for = work.send(value) if error is None else work.throw(error)
                except StopIteration as done:
                    result: T = done.value
                    return result
                error = value = None
                try:
                    value = yield waits_for
                    if not self._breaker.allows_work:
                        yield from self._breaker.allowed().__await__()
                except BaseException as thrown:  # noqa: BLE001 - it is the work's to handle
                    error = thrown
        finally:
            work.close()
