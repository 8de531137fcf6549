"""Keeps the fleet's history: takes samples off the store and hands them to the disk by minutes.

Each device is written at its own second of the minute, so that the disk never gets all of them at
once. What was not written yet when the program is killed is lost: a minute at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cohete.claim import Claim
from cohete.fleet.store import FleetStore, Sample
from cohete.tegra import TegraStats
from cohete.telemetry.past import Limits, Past
from cohete.telemetry.series import BASIC, columns_of, row_of, scales_of
from cohete.threads import OneThread

if TYPE_CHECKING:
    # numpy comes with these: they are loaded in the thread that needs them, after the first paint.
    from cohete.telemetry.chunk import Chunk
    from cohete.telemetry.files import HistoryFiles

T = TypeVar("T")

STEP_S = 1.0
TAKES = 10
"""How often in a step samples are taken: no key waits for those of a thousand boards."""
_SLOTS = 60
_SWEEP_S = 600.0
_MAX_ROWS = 6_000
"""Samples of a device that are held at most: a minute at 100 per second."""

_ROLLED_AT_ONCE = 4
"""Devices whose hours are condensed in one step: 1,000 take four minutes of each hour."""

Shape = tuple[list[str], list[str]]


class _Held:
    """The minute of one device that is not written yet: rows of numbers, NaN is unknown."""

    __slots__ = ("columns", "rows", "shape", "times_ms")

    def __init__(self, shape: Shape, columns: tuple[str, ...]) -> None:
        self.shape = shape
        self.columns = columns
        self.times_ms = array("q")
        # Nine digits at most: what is rounded off is less than what any sensor resolves.
        self.rows = array("f")

    def add(self, time_ms: int, row: list[float | None]) -> None:
        if len(self.times_ms) < _MAX_ROWS:
            self.times_ms.append(time_ms)
            self.rows.extend([math.nan if value is None else value for value in row])

    def chunk(self) -> Chunk:
        from cohete.telemetry.chunk import Chunk

        return Chunk.of_rows(self.times_ms, self.columns, self.rows, scales_of(self.columns))


class HistoryKeeper:
    """Owns the history of a running fleet. Trouble becomes an event, never an error."""

    def __init__(self, store: FleetStore, folder: Path, limits: Limits | None = None) -> None:
        self._store = store
        self._folder = folder
        self._limits = limits
        self._claim = Claim(folder)
        self._files: HistoryFiles | None = None
        self._held: dict[int, _Held] = {}
        self._finished: list[tuple[int, _Held]] = []
        self._slot: dict[int, int] = {}
        self._rolled: dict[int, int] = {}
        self._to_roll: dict[str, None] = {}
        # It ends with this object: what is on disk is read also by one that keeps nothing.
        self._thread = OneThread("history")
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled; then what is held is written."""
        store = self._store
        clock = store.clock
        tap = store.open_tap()
        swept_at = clock.monotonic() - _SWEEP_S
        try:
            if not await self._thread.run(self._claim.take):
                text = "another cohete keeps the history; this one only reads it"
                store.event(None, "history", text)
                tap.samples.clear()
                return
            # Samples are many times as large as the numbers kept of them: they are taken off the
            # store also while a slow disk is written to.
            async with asyncio.TaskGroup() as group:
                writing: asyncio.Task[None] | None = None
                while True:
                    for _ in range(TAKES):
                        await clock.sleep(STEP_S / TAKES)
                        self._collect(tap.take())
                    now_s = clock.time()
                    self._finish(index for index in list(self._held) if self._is_due(index, now_s))
                    if writing is None or writing.done():
                        sweeps = clock.monotonic() - swept_at >= _SWEEP_S
                        swept_at = clock.monotonic() if sweeps else swept_at
                        writing = group.create_task(self._tend(int(now_s * 1000), sweeps=sweeps))
        finally:
            store.close_tap(tap)
            self._collect(tap.take())
            self._finish(list(self._held))
            await asyncio.shield(self._last_words())

    async def _tend(self, now_ms: int, *, sweeps: bool) -> None:
        await self._write(now_ms)
        if sweeps:
            await self._with_files(lambda files: files.sweep(now_ms))

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past:
        """What is on disk of a device, read between what is written, whoever writes.

        A reading that is given up before its turn is not made.
        """

        def read() -> Past:
            from cohete.telemetry.files import HistoryFiles
            from cohete.telemetry.query import past

            with contextlib.closing(HistoryFiles(self._folder, self._limits)) as files:
                return past(files, device_id, from_ms, to_ms, step_ms, BASIC)

        # A thread keeps megabytes of its own once it has read: that of the writing does both. It
        # is handed one reading at a time: a minute to be written is not behind a screen of charts.
        async with self._reading:
            return await self._thread.ask(read)

    async def _last_words(self) -> None:
        await self._write(None)
        if self._files is not None:
            await self._thread.run(self._files.close)
        self._claim.drop()

    def _collect(self, samples: list[Sample]) -> None:
        clock = self._store.clock
        offset_s = clock.time() - clock.monotonic()
        for index, at_s, stats, reading in samples:
            held = self._held.get(index)
            shape = _shape(stats)
            if held is None or held.shape != shape:
                # Another tegrastats prints other fields: a chunk has one set of columns.
                self._finish((index,))
                held = self._held[index] = _Held(shape, columns_of(stats))
            held.add(int((at_s + offset_s) * 1000), row_of(stats, reading))

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
        due = [] if now_ms is None else self._due_for_rolling(names, now_ms)

        def work(files: HistoryFiles) -> None:
            from cohete.telemetry.files import NewChunk

            files.add([NewChunk(names[index], held.chunk()) for index, held in finished])
            for name in due:
                files.roll_up(name, now_ms or 0)

        await self._with_files(work)

    def _due_for_rolling(self, names: dict[int, str], now_ms: int) -> list[str]:
        """Devices whose turn it is to have their hours condensed: once an hour, each at its own
        minute of it, and few at a time."""
        for index, name in names.items():
            turn = (now_ms // 60_000 - index % 60) // 60
            if self._rolled.get(index) != turn:
                self._rolled[index] = turn
                self._to_roll[name] = None
        return [self._to_roll.popitem()[0] for _ in range(min(_ROLLED_AT_ONCE, len(self._to_roll)))]

    async def _with_files(self, work: Callable[[HistoryFiles], T]) -> T:
        """Do this with the files, in their thread; what went wrong becomes events."""

        def job() -> T:
            from cohete.telemetry.files import HistoryFiles

            if self._files is None:
                self._files = HistoryFiles(self._folder, self._limits)
            return work(self._files)

        done = await self._thread.run(job)
        if self._files is not None:
            troubles, self._files.troubles = self._files.troubles, []
            for trouble in troubles:
                self._store.event(None, "history", trouble)
        return done


def _shape(stats: TegraStats) -> Shape:
    return [zone.name for zone in stats.zones], [rail.name for rail in stats.rails]
