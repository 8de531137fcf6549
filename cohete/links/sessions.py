"""What happens on an SSH channel: output collected to a bound, or cut into lines as it comes."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from cohete.errors import LinkError
from cohete.links.base import MAX_OUTPUT_BYTES, Completed, LineSink, LineSplitter, StreamEnd
from cohete.text import decode, sanitise

_STDERR_TAIL_BYTES = 2_048
_Bytes = asyncssh.SSHClientSession[bytes]


class CollectSession(_Bytes):
    """Keeps the output of one command, up to a bound."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Completed] = asyncio.get_running_loop().create_future()
        self._parts: dict[bool, bytearray] = {False: bytearray(), True: bytearray()}
        self._truncated = False
        self._status: int | None = None

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        kept = self._parts[datatype is not None]
        room = MAX_OUTPUT_BYTES - len(kept)
        if len(data) > room:
            self._truncated = True
            data = data[:room]
        kept += data

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if exc is not None and self._status is None:
            self.done.set_exception(LinkError(f"connection lost: {sanitise(str(exc), 120)}"))
            # The caller may have given up waiting; then nobody is left to be told.
            self.done.exception()
        else:
            out, err = self._parts[False], self._parts[True]
            self.done.set_result(Completed(self._status, bytes(out), bytes(err), self._truncated))


class LineSession(_Bytes):
    """Hands over whole lines as they arrive; keeps the tail of stderr for the reason it ended."""

    def __init__(self, sink: LineSink) -> None:
        self.done: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()
        self._sink = sink
        self._splitter = LineSplitter()
        self._stderr = b""
        self._status: int | None = None

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype is not None:
            self._stderr = (self._stderr + data)[-_STDERR_TAIL_BYTES:]
            return
        lines = self._splitter.feed(data)
        if lines:
            self._sink(lines)

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            stderr = sanitise(" ".join(decode(self._stderr).split()), 200)
            self.done.set_result(StreamEnd(self._status, stderr))


class SshStream:
    """A running command on a device."""

    def __init__(self, channel: asyncssh.SSHClientChannel[bytes], session: LineSession) -> None:
        self._channel = channel
        self._session = session

    async def wait(self) -> StreamEnd:
        """Until the command ends or the connection goes."""
        return await asyncio.shield(self._session.done)

    def close(self) -> None:
        """Stop the command: TERM where the server relays signals, and its output is cut off."""
        if not self._session.done.done():
            with contextlib.suppress(OSError):
                self._channel.terminate()
            self._channel.close()
