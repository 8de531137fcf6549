"""This machine as a device: when Cohete runs on the Jetson itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from cohete.errors import CommandError, LinkError
from cohete.links.base import MAX_OUTPUT_BYTES, Completed, LineSink, LineSplitter, StreamEnd
from cohete.text import decode, sanitise

_READ_BYTES = 65_536
_STDERR_TAIL_BYTES = 2_048
_GRACE_S = 1.0
_ENVIRONMENT_KEYS = ("PATH", "HOME", "USER", "LANG")


def is_jetson(root: Path = Path("/")) -> bool:
    """Whether this machine is a Jetson: it has NVIDIA's release file or a tegra device tree."""
    if (root / "etc/nv_tegra_release").exists():
        return True
    try:
        return b"nvidia,tegra" in (root / "proc/device-tree/compatible").read_bytes()
    except OSError:
        return False


class LocalLink:
    """Commands run as processes of this machine, each in a process group that ends with us."""

    def __init__(self, name: str = "this machine") -> None:
        self._name = name
        self._streams: set[LocalStream] = set()

    @property
    def description(self) -> str:
        return "this machine"

    async def open(self) -> None:
        """Nothing to connect."""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        process = await self._start(argv)
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await asyncio.gather(
                    _bounded(process.stdout), _bounded(process.stderr)
                )
                await process.wait()
        except TimeoutError:
            raise CommandError(
                f"`{sanitise(argv[0], 40)}` did not finish within {timeout_s:g} s", where=self._name
            ) from None
        finally:
            await asyncio.shield(_end(process))
        truncated = max(len(stdout), len(stderr)) >= MAX_OUTPUT_BYTES
        return Completed(process.returncode, stdout, stderr, truncated)

    async def stream(self, argv: Sequence[str], sink: LineSink) -> LocalStream:
        stream = LocalStream(await self._start(argv), sink)
        self._streams.add(stream)
        return stream

    async def _start(self, argv: Sequence[str]) -> asyncio.subprocess.Process:
        environment = {key: os.environ[key] for key in _ENVIRONMENT_KEYS if key in os.environ}
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env=environment,
                # As a login over SSH does.
                cwd=environment.get("HOME"),
            )
        except OSError as error:
            raise LinkError(
                f"cannot run {sanitise(argv[0], 40)}: {error.strerror}", where=self._name
            ) from None

    def abort(self) -> None:
        for stream in self._streams:
            stream.close()

    async def close(self) -> None:
        streams, self._streams = self._streams, set()
        await asyncio.gather(*(stream.end() for stream in streams))


class LocalStream:
    """A process whose lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process, sink: LineSink) -> None:
        self._process = process
        self._reader = asyncio.create_task(self._read(sink))

    async def _read(self, sink: LineSink) -> StreamEnd:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        splitter = LineSplitter()
        errors = asyncio.create_task(self._tail(self._process.stderr))
        try:
            return await self._lines(splitter, sink, errors)
        finally:
            errors.cancel()

    async def _lines(
        self, splitter: LineSplitter, sink: LineSink, errors: asyncio.Task[str]
    ) -> StreamEnd:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(_READ_BYTES):
            lines = splitter.feed(data)
            if lines:
                sink(lines)
        status = await self._process.wait()
        return StreamEnd(status, await errors)

    async def _tail(self, stderr: asyncio.StreamReader) -> str:
        tail = b""
        while data := await stderr.read(_READ_BYTES):
            tail = (tail + data)[-_STDERR_TAIL_BYTES:]
        return sanitise(" ".join(decode(tail).split()), 200)

    async def wait(self) -> StreamEnd:
        """Until the process ends."""
        await asyncio.wait([self._reader])
        return StreamEnd(None, "stopped") if self._reader.cancelled() else self._reader.result()

    def close(self) -> None:
        """Ask the process and all it started to end."""
        _signal(self._process, signal.SIGTERM)

    async def end(self) -> None:
        """The same, and make sure of it."""
        await _end(self._process)
        # A grandchild that left the group may hold the pipe open.
        await asyncio.wait([self._reader], timeout=_GRACE_S)
        self._reader.cancel()
        await asyncio.wait([self._reader])


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """What a process prints, up to a bound; the rest is read and dropped."""
    assert stream is not None
    kept = b""
    while data := await stream.read(_READ_BYTES):
        kept += data[: MAX_OUTPUT_BYTES - len(kept)]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process group: TERM, then KILL for what does not listen. Never waits for long."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    _signal(process, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    # The leader may be gone while what it started goes on in its group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
