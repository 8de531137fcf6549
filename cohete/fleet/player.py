"""Plays a recording into a store: every screen shows that time as it showed the present."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cohete import tegra
from cohete.clock import Clock, SystemClock
from cohete.config.spec import DeviceSpec, Reach
from cohete.config.target import Target, parse_target
from cohete.device.identity import facts_from_dict
from cohete.errors import ConfigError
from cohete.fleet.state import Device, Refusal, State
from cohete.fleet.store import FleetStore
from cohete.links.replay import read_log
from cohete.telemetry.recording import (
    EVENT,
    FACTS,
    GPU,
    LINE,
    MAGIC,
    STATE,
    DeviceEntry,
    Header,
    Record,
    RecordingError,
    RecordingFile,
)
from cohete.text import sanitise
from cohete.threads import OneThread

TICK_S = 0.1
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0)
_EVERY_LINE_UP_TO = 5.0
"""At higher speeds only the last line of each device in a tick is looked at."""


class Source(Protocol):
    """What can be played."""

    header: Header
    begin_ms: int
    end_ms: int

    def between(self, after_ms: int, to_ms: int, *, lines: bool = True) -> Iterator[Record]: ...

    def known_at(self, time_ms: int) -> list[Record]: ...

    def events(self, to_ms: int) -> list[Record]: ...

    def event_after(self, time_ms: int) -> int | None: ...

    def close(self) -> None: ...


class PlayedClock:
    """The time of the recording; it moves when the player says so."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def time(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise RuntimeError("nobody waits for the time of a recording")


class PlayedStore(FleetStore):
    """A store whose events are those of the recording: it makes none of its own."""

    def event(self, device: Device | None, kind: str, text: str, hint: str = "") -> None:
        """It was recorded when it happened."""


class LogSource:
    """A plain tegrastats log as a recording of one device. Blocks while it is read."""

    def __init__(self, path: Path) -> None:
        try:
            began_s, samples = read_log(path)
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise RecordingError(f"cannot read it: {reason}", where=str(path)) from None
        if not samples:
            raise RecordingError(
                "this is no recording, and there is no tegrastats line in it", where=str(path)
            )
        self.begin_ms = int(began_s * 1000)
        self.header = Header(path.stem, self.begin_ms, (DeviceEntry(path.stem, path.name),))
        self._lines = [
            Record(LINE, 0, self.begin_ms + int(at_s * 1000), text) for at_s, text in samples
        ]
        self.end_ms = self._lines[-1].time_ms

    def between(self, after_ms: int, to_ms: int, *, lines: bool = True) -> Iterator[Record]:
        if lines:
            yield from (r for r in self._lines if after_ms < r.time_ms <= to_ms)

    def known_at(self, time_ms: int) -> list[Record]:
        return [r for r in self._lines if r.time_ms <= time_ms][-1:]

    def events(self, to_ms: int) -> list[Record]:
        return []

    def event_after(self, time_ms: int) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is open."""


def open_source(path: Path) -> Source:
    """A recording, or a plain tegrastats log. Raises RecordingError. Blocks."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise RecordingError(f"cannot read it: {reason}", where=str(path)) from None
    return RecordingFile(path) if begins == MAGIC else LogSource(path)


class Player:
    """Moves through a recording: play, pause, seek, speed, next event."""

    def __init__(self, source: Source, clock: Clock | None = None) -> None:
        self.source = source
        self.clock = PlayedClock(source.begin_ms)
        specs = [_spec(entry) for entry in source.header.devices]
        self.store = PlayedStore(specs, self.clock, source.header.fleet)
        self.playing = True
        self.speed = 1.0
        self._real = clock or SystemClock()
        self._thread = OneThread("player")
        self._busy = asyncio.Lock()

    @property
    def now_ms(self) -> int:
        """Where in the recording it is."""
        return self.clock.now_ms

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to play."""
        return self.now_ms >= self.source.end_ms

    async def run(self) -> None:
        """Play until cancelled."""
        await self.seek(self.source.begin_ms)
        before = self._real.monotonic()
        while True:
            await self._real.sleep(TICK_S)
            now = self._real.monotonic()
            passed_s, before = now - before, now
            if self.playing and not self.ended:
                await self.advance(self.now_ms + round(passed_s * 1000 * self.speed))

    async def advance(self, to_ms: int) -> None:
        """Play up to a later moment."""
        async with self._busy:
            to_ms = min(to_ms, self.source.end_ms)
            after_ms = self.now_ms
            records = await self._thread.run(lambda: list(self.source.between(after_ms, to_ms)))
            if self.speed > _EVERY_LINE_UP_TO:
                records = _last_lines(records)
            for record in records:
                self.clock.now_ms = max(self.now_ms, record.time_ms)
                self._tell(record)
            self.clock.now_ms = to_ms

    async def seek(self, to_ms: int) -> None:
        """Jump; the fleet is as it was then, its charts begin there."""
        async with self._busy:
            to_ms = max(self.source.begin_ms, min(self.source.end_ms, to_ms))
            records, events = await self._thread.run(
                lambda: (self.source.known_at(to_ms), self.source.events(to_ms))
            )
            self.clock.now_ms = to_ms
            self.store.reset()
            for record in events:
                self._tell(record)
            for record in records:
                self.clock.now_ms = min(to_ms, record.time_ms)
                self._tell(record)
            self.clock.now_ms = to_ms

    async def next_event(self) -> bool:
        """Jump to when the next thing happened; False where nothing more does."""
        at_ms = await self._thread.run(lambda: self.source.event_after(self.now_ms))
        if at_ms is not None:
            await self.seek(at_ms)
        return at_ms is not None

    def faster(self, step: int) -> None:
        """The next speed up or down."""
        at = min(range(len(SPEEDS)), key=lambda nth: abs(SPEEDS[nth] - self.speed))
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, at + step))]

    def close(self) -> None:
        """Let go of the file."""
        self._thread.close(wait=True)
        self.source.close()

    def _tell(self, record: Record) -> None:
        store = self.store
        if record.kind == EVENT:
            told = _object(record.data)
            device = store.devices[record.device] if record.device >= 0 else None
            store.event_at(
                record.time_ms / 1000, device, _text(told, "kind"), _text(told, "text"),
                _text(told, "hint"),
            )  # fmt: skip
            return
        if record.device < 0:
            return
        device = store.devices[record.device]
        if record.kind == LINE:
            stats = tegra.parse(record.data)
            if stats is not None and (stats.cores or stats.zones or stats.rails):
                store.apply(device, stats)
        elif record.kind == STATE:
            _apply_state(store, device, _object(record.data))
        elif record.kind == FACTS:
            store.apply_facts(device, facts_from_dict(_object(record.data)))
        elif record.kind == GPU and record.data.isdigit():
            store.apply_gpu(device, min(100, int(record.data[:3])))


def _apply_state(store: FleetStore, device: Device, told: dict[str, object]) -> None:
    try:
        state = State(_text(told, "state"))
    except ValueError:
        return
    refusal = _text(told, "refusal")
    device.refusal = Refusal(refusal) if refusal in set(Refusal) else None
    device.fingerprint = _text(told, "fingerprint")
    device.sudo_note = _text(told, "sudo_note")
    device.with_root = told.get("with_root") is True
    next_ms = told.get("next_try_ms")
    device.next_try_at = next_ms / 1000 if isinstance(next_ms, int) else None
    store.set_state(device, state, _text(told, "error"), _text(told, "hint"))


def _last_lines(records: list[Record]) -> list[Record]:
    last = {record.device: nth for nth, record in enumerate(records) if record.kind == LINE}
    return [r for nth, r in enumerate(records) if r.kind != LINE or last[r.device] == nth]


def _object(data: str) -> dict[str, object]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _text(told: dict[str, object], name: str) -> str:
    value = told.get(name)
    return sanitise(value, 300) if isinstance(value, str) else ""


def _spec(entry: DeviceEntry) -> DeviceSpec:
    try:
        target = parse_target(entry.address)
    except ConfigError:
        target = Target(entry.address or entry.id)
    return DeviceSpec(
        entry.id,
        target,
        Reach.REPLAY,
        read_only=True,
        interval_ms=entry.interval_ms,
        tags=entry.tags,
        site=entry.site,
        memory_budget_mb=entry.memory_budget_mb,
    )
