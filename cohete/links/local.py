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
                stdout, stderr = await process.communicate()
        except TimeoutError:
            raise CommandError(
                f"`{sanitise(argv[0], 40)}` did not finish within {timeout_s:g} s", where=self._name
            ) from None
        finally:
            _end(process)
        return Completed(
            process.returncode,
            stdout[:MAX_OUTPUT_BYTES],
            stderr[:MAX_OUTPUT_BYTES],
            len(stdout) > MAX_OUTPUT_BYTES,
        )

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
        for stream in streams:
            stream.close()
            await stream.wait()


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
        return await asyncio.shield(self._reader)

    def close(self) -> None:
        """End the process and all it started."""
        _end(self._process)


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
