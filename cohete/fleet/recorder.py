"""Records a running fleet into one file: what devices print, how they are, what happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from cohete.device.identity import Facts, facts_as_dict
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.telemetry.recording import (
    EVENT,
    FACTS,
    FLEET,
    GPU,
    LINE,
    STATE,
    DeviceEntry,
    Header,
    Record,
    RecordingError,
    RecordingWriter,
    in_order,
)
from cohete.text import decode
from cohete.threads import OneThread

STEP_S = 0.5
BLOCK_S = 2.0
KEYFRAME_S = 60.0
MAX_BLOCK_RECORDS = 20_000

_Shown = tuple[State, str, str, str, bool]


class Recorder:
    """One recording of a fleet. Two seconds are lost at most, whatever happens."""

    def __init__(self, store: FleetStore, path: Path) -> None:
        self.path = path
        self.began_s = store.clock.time()
        self.bytes_written = 0
        self.problem: RecordingError | None = None
        self._store = store
        self._thread = OneThread("recorder")
        self._writer: RecordingWriter | None = None
        self._records: list[Record] = []
        self._shown: dict[int, _Shown] = {}
        self._facts: dict[int, Facts | None] = {}
        self._gpu: dict[int, float] = {}
        self._last_event = store.events[-1].number if store.events else 0
        self._written_ms = int(self.began_s * 1000)

    async def open(self) -> None:
        """Create the file. Raises RecordingError."""
        store = self._store
        devices = tuple(
            DeviceEntry(
                d.id, str(d.spec.target), d.spec.tags, d.spec.site, d.spec.interval_ms,
                d.spec.memory_budget_mb,
            )
            for d in store
        )  # fmt: skip
        header = Header(store.name, self._written_ms, devices)
        self._writer = await self._thread.run(lambda: RecordingWriter(self.path, header))

    async def run(self) -> None:
        """Until cancelled, or until the file cannot be written; then `problem` says why."""
        assert self._writer is not None
        writer = self._writer
        clock = self._store.clock
        tap = self._store.open_tap(lines=True)
        keyed_at = wrote_at = clock.monotonic()
        try:
            await self._keyframe(writer)
            while True:
                await clock.sleep(STEP_S)
                self._collect(tap.take_lines())
                now = clock.monotonic()
                if now - wrote_at >= BLOCK_S or len(self._records) > MAX_BLOCK_RECORDS:
                    wrote_at = now
                    await self._block(writer)
                if now - keyed_at >= KEYFRAME_S:
                    keyed_at = now
                    await self._keyframe(writer)
        except RecordingError as error:
            self.problem = error
            self._store.event(None, "recording", str(error))
        finally:
            self._store.close_tap(tap)
            self._collect(tap.take_lines())
            await asyncio.shield(self._end(writer))

    async def _end(self, writer: RecordingWriter) -> None:
        try:
            if self.problem is None:
                await self._block(writer)
            await self._thread.run(writer.close)
        except (RecordingError, OSError) as error:
            self.problem = self.problem or RecordingError(str(error))
        self._thread.close()

    def _collect(self, lines: list[tuple[int, float, bytes]]) -> None:
        """Lines that came, and what else changed since the last time."""
        store = self._store
        clock = store.clock
        now_ms = int(clock.time() * 1000)
        offset_s = clock.time() - clock.monotonic()
        for device in store:
            self._rare(device, now_ms)
        for index, at_s, line in lines:
            text = decode(line).replace("\n", " ").replace("\r", " ")
            self._records.append(Record(LINE, index, int((at_s + offset_s) * 1000), text))
        for event in store.events:
            if event.number > self._last_event:
                self._last_event = event.number
                index = store[event.device].index if event.device in store else FLEET
                data = json.dumps({"kind": event.kind, "text": event.text, "hint": event.hint})
                self._records.append(Record(EVENT, index, int(event.wall_s * 1000), data))
        self._records.sort(key=in_order)

    def _rare(self, device: Device, now_ms: int) -> None:
        index = device.index
        shown = _shown(device)
        known = self._shown.get(index)
        if known != shown:
            self._shown[index] = shown
            at_ms = now_ms
            if known is not None and known[0] is not device.state:
                clock = self._store.clock
                at_ms = int((device.since - clock.monotonic() + clock.time()) * 1000)
            self._records.append(Record(STATE, index, at_ms, self._state_text(device)))
        if device.facts is not None and self._facts.get(index) is not device.facts:
            self._facts[index] = device.facts
            self._records.append(Record(FACTS, index, now_ms, _facts_text(device.facts)))
        if device.gpu_fallback is not None and self._gpu.get(index) != device.gpu_fallback_at:
            self._gpu[index] = device.gpu_fallback_at
            self._records.append(Record(GPU, index, now_ms, str(device.gpu_fallback)))

    async def _block(self, writer: RecordingWriter) -> None:
        records, self._records = self._records, []
        first_ms, self._written_ms = self._written_ms, int(self._store.clock.time() * 1000)
        if records:
            first_ms = min(first_ms, records[0].time_ms)
            last_ms = max(self._written_ms, records[-1].time_ms)
            await self._thread.run(lambda: writer.data(first_ms, last_ms, records))
            self.bytes_written = writer.bytes_written

    async def _keyframe(self, writer: RecordingWriter) -> None:
        now_ms = int(self._store.clock.time() * 1000)
        records: list[Record] = []
        for device in self._store:
            records.append(Record(STATE, device.index, now_ms, self._state_text(device)))
            if device.facts is not None:
                records.append(Record(FACTS, device.index, now_ms, _facts_text(device.facts)))
        await self._thread.run(lambda: writer.keyframe(now_ms, records))

    def _state_text(self, device: Device) -> str:
        clock = self._store.clock
        next_s = device.next_try_at
        return json.dumps(
            {
                "state": str(device.state),
                "error": device.error,
                "hint": device.hint,
                "refusal": None if device.refusal is None else str(device.refusal),
                "fingerprint": device.fingerprint,
                "next_try_ms": None
                if next_s is None
                else int((next_s - clock.monotonic() + clock.time()) * 1000),
                "with_root": device.with_root,
                "sudo_note": device.sudo_note,
            }
        )


def _shown(device: Device) -> _Shown:
    return (device.state, device.error, device.fingerprint, device.sudo_note, device.with_root)


def _facts_text(facts: Facts) -> str:
    return json.dumps(facts_as_dict(facts))
