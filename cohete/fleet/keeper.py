"""Keeps the fleet's history: takes samples off the store and hands them to the disk by minutes.

Each device is written at its own second of the minute, so that the disk never gets all of them at
once. What was not written yet when the program is killed is lost: a minute at most.
"""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cohete.fleet.store import FleetStore, Sample
from cohete.tegra import TegraStats
from cohete.telemetry.codec import Chunk
from cohete.telemetry.files import HistoryFiles, Limits, NewChunk
from cohete.telemetry.query import Past, past
from cohete.telemetry.series import BASIC, UNKNOWN, columns_of, row_of

T = TypeVar("T")

STEP_S = 1.0
_SLOTS = 60
_SWEEP_S = 600.0
_MAX_ROWS = 6_000
"""Samples of a device that are held at most: a minute at 100 per second."""

Shape = tuple[list[str], list[str]]


class _Held:
    """The minute of one device that is not written yet: rows of 32-bit integers."""

    __slots__ = ("columns", "rows", "shape", "times_ms")

    def __init__(self, shape: Shape, columns: tuple[str, ...]) -> None:
        self.shape = shape
        self.columns = columns
        self.times_ms = array("q")
        self.rows = array("i")

    def chunk(self) -> Chunk:
        width = len(self.columns)
        return Chunk(
            list(self.times_ms),
            {
                name: [None if value == UNKNOWN else value for value in self.rows[nth::width]]
                for nth, name in enumerate(self.columns)
            },
        )


class HistoryKeeper:
    """Owns the history of a running fleet. Trouble becomes an event, never an error."""

    def __init__(self, store: FleetStore, folder: Path, limits: Limits | None = None) -> None:
        self.files = HistoryFiles(folder, limits)
        self._store = store
        self._held: dict[int, _Held] = {}
        self._finished: list[tuple[int, _Held]] = []
        self._slot: dict[int, int] = {}
        self._rolled: dict[int, int] = {}
        # One thread, so that whatever is cancelled here, the files see one job after the other.
        self._thread = ThreadPoolExecutor(1, "history")

    async def run(self) -> None:
        """Until cancelled; then what is held is written."""
        store = self._store
        clock = store.clock
        tap = store.open_tap()
        swept_at = clock.monotonic() - _SWEEP_S
        try:
            if not await self._in_thread(self.files.claim):
                text = "another cohete keeps the history; this one only reads it"
                store.event(None, "history", text)
                tap.samples.clear()
                return
            while True:
                await clock.sleep(STEP_S)
                self._collect(tap.take())
                now_s = clock.time()
                self._finish(index for index in list(self._held) if self._is_due(index, now_s))
                if clock.monotonic() - swept_at >= _SWEEP_S:
                    swept_at = clock.monotonic()
                    await self._in_thread(lambda: self.files.sweep(int(clock.time() * 1000)))
                await self._write(int(now_s * 1000))
        finally:
            store.close_tap(tap)
            self._collect(tap.take())
            self._finish(list(self._held))
            await asyncio.shield(self._last_words())

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past:
        """What is on disk of a device, read beside the writing, whoever writes."""

        def read() -> Past:
            with contextlib.closing(HistoryFiles(self.files.folder, self.files.limits)) as files:
                return past(files, device_id, from_ms, to_ms, step_ms, BASIC)

        return await asyncio.to_thread(read)

    async def _last_words(self) -> None:
        await self._write(None)
        await self._in_thread(self.files.close)
        self._thread.shutdown(wait=False)

    def _collect(self, samples: list[Sample]) -> None:
        clock = self._store.clock
        offset_s = clock.time() - clock.monotonic()
        for index, at_s, stats, gpu_percent in samples:
            held = self._held.get(index)
            shape = _shape(stats)
            if held is None or held.shape != shape:
                # Another tegrastats prints other fields: a chunk has one set of columns.
                self._finish((index,))
                held = self._held[index] = _Held(shape, columns_of(stats))
            if len(held.times_ms) < _MAX_ROWS:
                held.times_ms.append(int((at_s + offset_s) * 1000))
                held.rows.extend(row_of(stats, gpu_percent))

    def _is_due(self, index: int, now_s: float) -> bool:
        slot = int(now_s - index % _SLOTS) // _SLOTS
        return self._slot.setdefault(index, slot) != slot

    def _finish(self, indexes: Iterable[int]) -> None:
        """No more samples for these chunks: they wait to be written."""
        for index in indexes:
            held = self._held.pop(index, None)
            self._slot.pop(index, None)
            if held is not None:
                self._finished.append((index, held))

    async def _write(self, now_ms: int | None) -> None:
        finished, self._finished = self._finished, []
        if not finished:
            return
        names = {index: self._store.devices[index].id for index, _ in finished}
        due = {} if now_ms is None else self._due_for_rolling(names, now_ms)

        def work() -> None:
            self.files.add([NewChunk(names[index], held.chunk()) for index, held in finished])
            for name in due.values():
                self.files.roll_up(name, now_ms or 0)

        await self._in_thread(work)

    def _due_for_rolling(self, names: dict[int, str], now_ms: int) -> dict[int, str]:
        """Devices whose turn it is to have their hours condensed: once an hour, each at its own
        minute of it."""
        due: dict[int, str] = {}
        for index, name in names.items():
            turn = (now_ms // 60_000 - index % 60) // 60
            if self._rolled.get(index) != turn:
                self._rolled[index] = turn
                due[index] = name
        return due

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # What was handed over is written, also where whoever waits for it is cancelled.
        job = asyncio.get_running_loop().run_in_executor(self._thread, work)
        done = await asyncio.shield(job)
        troubles, self.files.troubles = self.files.troubles, []
        for trouble in troubles:
            self._store.event(None, "history", trouble)
        return done


def _shape(stats: TegraStats) -> Shape:
    return [zone.name for zone in stats.zones], [rail.name for rail in stats.rails]
