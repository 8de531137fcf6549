"""One task a device: connect, stream, identify, notice silence, come back. None delays another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import Awaitable
from dataclasses import dataclass

from cohete import tegra
from cohete.clock import Clock
from cohete.config.spec import Reach
from cohete.device.facts import DEFAULT_TTL_S, FactCache, read_facts
from cohete.errors import CoheteError, CommandError, ConfigError, LinkError, LinkRefused
from cohete.fleet.backoff import STABLE_S, cap_s, delay_s
from cohete.fleet.state import Device, State, Try
from cohete.fleet.store import FleetStore
from cohete.hardware import Family
from cohete.links.base import Link, Stream, StreamEnd
from cohete.links.commands import gpu_utilization, tegrastats
from cohete.links.opener import Opener
from cohete.links.places import Places
from cohete.text import decode

_log = logging.getLogger("cohete.fleet")
_log.addHandler(logging.NullHandler())

WATCH_PERIOD_S = 0.25
BACKLOG_LINES = 3
"""More lines than this at once are a backlog after an outage: only the newest is the present."""

GPU_PERIOD_S = 2
FACTS_PER_S = 200
"""How many devices a second are asked for their facts when a fleet starts."""

_TIMED_OUT = 124
_NO_SUCH_COMMAND = (126, 127)


@dataclass(frozen=True, slots=True)
class Settings:
    """Timings of a supervisor, in seconds."""

    facts_ttl_s: float = DEFAULT_TTL_S
    max_connecting: int = 64
    seed: int | None = None


def stale_after_s(interval_s: float) -> float:
    """Three missed samples, at least 3 s."""
    return max(3 * interval_s, 3.0)


def lost_after_s(interval_s: float) -> float:
    """Twice as long: a stall of 3 s is never a loss, a loss is noticed within 10 s at 1 Hz."""
    return 2 * stale_after_s(interval_s)


class Supervisor:
    """Owns the tasks of a fleet; `run` until cancelled."""

    def __init__(
        self,
        store: FleetStore,
        opener: Opener,
        clock: Clock,
        settings: Settings | None = None,
    ) -> None:
        self._store = store
        self._opener = opener
        self._clock = clock
        self._settings = settings or Settings()
        self._rng = random.Random(self._settings.seed)  # noqa: S311 - jitter, not a secret
        # Hosts that failed before queue apart from those that were never tried.
        self._first_tries = Places(self._settings.max_connecting)
        self._retries = Places(self._settings.max_connecting)
        self._watched: dict[int, _Watched] = {}
        self._cap_s = cap_s(len(store))
        self._wake: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Keep every enabled device connected until cancelled; leaves nothing behind."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_silence())
            for device in self._store:
                if device.spec.enabled:
                    self._wake[device.id] = asyncio.Event()
                    group.create_task(self._keep(device), name=f"device {device.id}")

    def retry(self, device_id: str) -> None:
        """Try a lost or refused device now: a person asked, or its host was seen."""
        wake = self._wake.get(device_id)
        if wake is not None:
            wake.set()

    def link(self, device: Device) -> Link:
        """The connection to a device, for reading more of it. Raises LinkError without one."""
        watched = self._watched.get(device.index)
        if watched is None or watched.gone:
            raise LinkError(
                "it is not connected", where=device.id, hint="i shows why, and what was tried."
            )
        return watched.link

    async def _keep(self, device: Device) -> None:
        failures = 0
        while True:
            self._wake[device.id].clear()
            try:
                await self._session(device)
            except (LinkRefused, ConfigError) as error:
                self._store.refuse(device, error)
                # A key pressed while this try was under way does not ask for another one.
                self._wake[device.id].clear()
                await self._wake[device.id].wait()
                failures = 0
                self._store.set_state(device, State.CONNECTING)
                continue
            except Exception as caught:  # noqa: BLE001 - one device must never end the others
                stayed = device.live_since is not None and (
                    self._clock.monotonic() - device.live_since >= STABLE_S
                )
                failures = 0 if stayed else failures + 1
                self._lost(device, _as_error(caught, device))
            await self._pause(device, failures)

    async def _pause(self, device: Device, failures: int) -> None:
        delay = delay_s(failures, self._cap_s, self._rng)
        device.next_try_at = self._clock.monotonic() + delay
        self._store.touch(device)
        await _first_of(self._clock.sleep(delay), self._wake[device.id].wait())
        device.next_try_at = None

    def _lost(self, device: Device, error: CoheteError) -> None:
        known = device.state is State.LOST and device.error == error.what
        self._store.set_state(device, State.LOST, error.what, error.hint)
        if not known and not device.is_flapping(self._clock.monotonic()):
            self._store.event(device, "lost", error.what, error.hint)

    async def _session(self, device: Device) -> None:
        """From connecting to the end of the connection, which is always an error."""
        device.attempts += 1
        link = self._opener(device.spec)
        device.description = link.description
        self._store.touch(device)
        try:
            places = self._retries if device.attempts > 1 else self._first_tries
            async with places.take():
                await self._open(device, link)
            device.fingerprint = getattr(link, "fingerprint", "")
            await self._stream(device, link)
        finally:
            await asyncio.shield(link.close())

    async def _open(self, device: Device, link: Link) -> None:
        begin = self._clock.monotonic()
        error = "it was given up"
        try:
            await link.open()
            error = ""
        except CoheteError as failed:
            error = failed.what
            raise
        finally:
            took_s = self._clock.monotonic() - begin
            # Try after try fails for the same reason: the words are kept once.
            device.tried(Try(self._clock.time(), took_s, sys.intern(error)))

    async def _stream(self, device: Device, link: Link) -> None:
        watched = self._watched[device.index] = _Watched(device, link, self._clock.monotonic())
        facts = FactCache(lambda: read_facts(link), self._clock, self._settings.facts_ttl_s)
        side = asyncio.create_task(self._keep_facts(device, facts, watched))
        try:
            while True:
                await self._one_stream(device, link, watched)
        finally:
            del self._watched[device.index]
            await _cancelled(side)

    async def _one_stream(self, device: Device, link: Link, watched: _Watched) -> None:
        """One run of tegrastats. Returns where it should simply be started anew."""
        sudo = device.spec.sudo and not device.sudo_note
        stream = await link.stream(
            tegrastats(device.spec.interval_ms, sudo=sudo), lambda lines: self._take(device, lines)
        )
        before = device.samples
        device.with_root = sudo
        watched.stream = stream
        watched.heard_at = self._clock.monotonic()
        end = await stream.wait()
        watched.stream = None
        if watched.gone:
            raise LinkError(watched.gone, where=device.id, hint="It is tried again by itself.")
        if end.exit_status is None:
            raise LinkError(
                "the connection was lost", where=device.id, hint="It is tried again by itself."
            )
        if sudo and device.samples == before:
            device.sudo_note = _why_no_sudo(end)
            return
        if end.exit_status == _TIMED_OUT and device.samples > before:
            return
        raise _ended(device, end)

    def _take(self, device: Device, lines: list[bytes]) -> None:
        """Lines arrived: the hot path. No waiting, no callbacks."""
        watched = self._watched.get(device.index)
        if watched is not None:
            watched.heard_at = self._clock.monotonic()
        for tap in self._store.line_taps:
            now = self._clock.monotonic()
            tap.lines.extend((device.index, now, line) for line in lines)
        if len(lines) > BACKLOG_LINES:
            device.dropped_lines += len(lines) - 1
            lines = lines[-1:]
        for line in lines:
            stats = tegra.parse(line.decode("utf-8", "replace"))
            if stats is None or not (stats.cores or stats.zones or stats.rails):
                # A line torn after its memory is no news of the board.
                device.noise_lines += 1
            else:
                self._store.apply(device, stats)
                if watched is not None and not watched.has_sample.is_set():
                    watched.has_sample.set()

    async def _keep_facts(self, device: Device, cache: FactCache, watched: _Watched) -> None:
        """Facts once the first sample is in, then as often as they expire."""
        await watched.has_sample.wait()
        # A large fleet that starts all at once connects first, and asks who everybody is then.
        spread_s = len(self._store) / FACTS_PER_S
        if spread_s > 0.1:
            await self._clock.sleep(self._rng.uniform(0, spread_s))
        gpu: asyncio.Task[None] | None = None
        try:
            while True:
                with contextlib.suppress(CommandError, LinkError):
                    aged = await cache.get()
                    self._store.apply_facts(device, aged.facts)
                    if gpu is None and _needs_other_gpu_source(device):
                        gpu = asyncio.create_task(self._keep_gpu(device, watched.link))
                await self._clock.sleep(cache.ttl_s * self._rng.uniform(1.0, 1.2))
        finally:
            if gpu is not None:
                await _cancelled(gpu)

    async def _keep_gpu(self, device: Device, link: Link) -> None:
        """Thor: tegrastats prints no GPU load, nvidia-smi does."""

        def take(lines: list[bytes]) -> None:
            text = decode(lines[-1]).strip()
            if text.isascii() and text.isdigit() and int(text[:4]) <= 100:
                self._store.apply_gpu(device, int(text))

        with contextlib.suppress(LinkError):
            while True:
                stream = await link.stream(gpu_utilization(GPU_PERIOD_S), take)
                end = await stream.wait()
                if end.exit_status != _TIMED_OUT:
                    return

    async def _watch_silence(self) -> None:
        """The one timer of the fleet: who has been silent for too long."""
        before = self._clock.monotonic()
        while True:
            await self._clock.sleep(WATCH_PERIOD_S)
            now = self._clock.monotonic()
            asleep_s = now - before - WATCH_PERIOD_S
            before = now
            if asleep_s > 1:
                # This machine was suspended or stalled: nobody could be heard meanwhile.
                for watched in self._watched.values():
                    watched.heard_at = watched.started_at = now
            for watched in list(self._watched.values()):
                # Nearly every device, nearly every time: a sample came just now.
                if now - watched.device.stats_at > watched.quiet_s and not watched.gone:
                    self._judge(watched, now)

    def _judge(self, watched: _Watched, now: float) -> None:
        device = watched.device
        limit_s = lost_after_s(device.interval_s)
        since_sample = now - max(device.stats_at, watched.started_at)
        if device.spec.reach is Reach.REPLAY:
            # A recording keeps the pauses it was made with.
            return
        if watched.stream is None:
            # Between two streams: starting one has its own time limit.
            pass
        elif now - watched.heard_at > limit_s:
            watched.gone = f"silent for {limit_s:g} s"
        elif since_sample > 2 * limit_s:
            watched.gone = f"no sample for {2 * limit_s:g} s, only lines that are none"
        if watched.gone:
            watched.link.abort()
        elif device.state is State.LIVE and since_sample > stale_after_s(device.interval_s):
            self._store.set_state(
                device, State.STALE, "no sample for some time", "Waiting for the next one."
            )


class _Watched:
    """What the watchdog needs of a connected device."""

    __slots__ = (
        "device",
        "gone",
        "has_sample",
        "heard_at",
        "link",
        "quiet_s",
        "started_at",
        "stream",
    )

    def __init__(self, device: Device, link: Link, now_s: float) -> None:
        self.device = device
        self.link = link
        self.stream: Stream | None = None
        self.started_at = self.heard_at = now_s
        self.gone = ""
        self.quiet_s = stale_after_s(device.interval_s)
        self.has_sample = asyncio.Event()


def _as_error(caught: Exception, device: Device) -> CoheteError:
    """What ended a try as something a person can read; surprises go to the log as well."""
    if isinstance(caught, CoheteError):
        return caught
    _log.error("unexpected error with %s", device.id, exc_info=caught)
    kind = type(caught).__name__
    return LinkError(f"unexpected {kind}", where=device.id, hint="This is a bug; please report it.")


def _needs_other_gpu_source(device: Device) -> bool:
    module = device.facts.module if device.facts else None
    return (
        module is not None
        and module.family is Family.THOR
        and device.stats is not None
        and device.stats.gpu_percent is None
    )


def _why_no_sudo(end: StreamEnd) -> str:
    if "password" in end.stderr:
        return "the sudo rule for tegrastats is missing on this device"
    return f"sudo tegrastats failed: {end.stderr or f'exit {end.exit_status}'}"


def _ended(device: Device, end: StreamEnd) -> LinkError:
    if end.exit_status in _NO_SUCH_COMMAND:
        return LinkError(
            "tegrastats was not found",
            where=device.id,
            hint="Is this a Jetson? It ships with Jetson Linux (L4T).",
        )
    words = f": {end.stderr}" if end.stderr else ""
    return LinkError(
        f"tegrastats ended with status {end.exit_status}{words}",
        where=device.id,
        hint="Run `tegrastats` on the board to see why.",
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task; what went wrong in it is raised, its cancellation is not."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


async def _first_of(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
