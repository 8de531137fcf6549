"""A recorded tegrastats log as a device: the same lines, at their own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cohete import tegra
from cohete.clock import Clock, SystemClock
from cohete.errors import LinkError
from cohete.links.base import Completed, LineSink, StreamEnd
from cohete.text import decode

MAX_BYTES = 256 * 1024 * 1024
_STAMP = "%m-%d-%Y %H:%M:%S"
_LONGEST_PAUSE_S = 60.0


class ReplayLink:
    """Plays the samples of a file; it answers no commands, so its facts stay unknown."""

    def __init__(self, file: Path, *, interval_s: float = 1.0, clock: Clock | None = None) -> None:
        self._file = file
        self._interval_s = interval_s
        self._clock = clock or SystemClock()
        self._samples: list[tuple[float, bytes]] = []
        self._streams: set[_ReplayStream] = set()

    @property
    def description(self) -> str:
        return f"replay of {self._file.name}"

    async def open(self) -> None:
        try:
            self._samples = await asyncio.to_thread(_load, self._file, self._interval_s)
        except OSError as error:
            raise LinkError(
                f"cannot read the recording: {(error.strerror or 'unreadable').lower()}",
                where=str(self._file),
            ) from None
        if not self._samples:
            raise LinkError("there is no tegrastats line in this file", where=str(self._file))

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return Completed(127, b"", b"a recording answers no commands\n")

    async def stream(self, argv: Sequence[str], sink: LineSink) -> _ReplayStream:
        stream = _ReplayStream(self._samples, sink, self._clock)
        self._streams.add(stream)
        return stream

    def abort(self) -> None:
        for stream in self._streams:
            stream.close()

    async def close(self) -> None:
        streams, self._streams = self._streams, set()
        for stream in streams:
            stream.close()
            await stream.wait()


class _ReplayStream:
    def __init__(
        self, samples: Sequence[tuple[float, bytes]], sink: LineSink, clock: Clock
    ) -> None:
        self._task = asyncio.create_task(self._play(samples, sink, clock))

    async def _play(
        self, samples: Sequence[tuple[float, bytes]], sink: LineSink, clock: Clock
    ) -> StreamEnd:
        try:
            for pause_s, line in samples:
                await clock.sleep(pause_s)
                sink([line])
        except asyncio.CancelledError:
            return StreamEnd(None, "stopped")
        return StreamEnd(0, "the recording is over")

    async def wait(self) -> StreamEnd:
        return await asyncio.shield(self._task)

    def close(self) -> None:
        self._task.cancel()


def read_log(file: Path, interval_s: float = 1.0) -> tuple[float, list[tuple[float, str]]]:
    """When a plain tegrastats log begins (wall seconds, by its stamps in this time zone, else by
    the file's age) and its samples with seconds since then. Blocks; raises OSError."""
    at_s = 0.0
    samples: list[tuple[float, str]] = []
    for pause_s, line in _load(file, interval_s):
        at_s += pause_s
        samples.append((at_s, decode(line)))
    first = tegra.parse(samples[0][1]) if samples else None
    stamp = _stamp(first.time) if first is not None else None
    began_s = stamp.timestamp() if stamp is not None else file.stat().st_mtime - at_s
    return began_s, samples


def _load(file: Path, interval_s: float) -> list[tuple[float, bytes]]:
    """Samples with the pause before each: from their own stamps, else the interval."""
    with file.open("rb") as stream:
        lines = stream.read(MAX_BYTES).split(b"\n")
    samples: list[tuple[float, bytes]] = []
    previous: datetime | None = None
    for line in lines:
        stats = tegra.parse(decode(line))
        if stats is None:
            continue
        stamp = _stamp(stats.time)
        pause_s = interval_s
        if stamp is not None and previous is not None:
            # Stamps have a resolution of one second: two lines with the same one share it.
            pause_s = min((stamp - previous).total_seconds() or interval_s / 2, _LONGEST_PAUSE_S)
        samples.append((max(0.0, pause_s) if samples else 0.0, line))
        previous = stamp or previous
    return samples


def _stamp(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, _STAMP)  # noqa: DTZ007 - device-local, differences only
    except ValueError:
        return None
