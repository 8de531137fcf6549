"""How a device is reached: the one protocol that SSH, local, replay, serial and tests implement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cohete.errors import CommandError

MAX_OUTPUT_BYTES = 1_048_576
"""What `run` keeps of a command's output; the rest is dropped and `truncated` says so."""

MAX_LINE_BYTES = 16_384
"""A longer line is no sample: it is dropped up to its newline."""

LineSink = Callable[[list[bytes]], None]
"""Takes the lines that arrived together, without their newlines, at once and without waiting."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. Output is raw: whoever shows it sanitises it (`cohete.text`)."""

    exit_status: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream ended: the command's exit status (None: the connection went) and last words."""

    exit_status: int | None
    stderr: str


class Stream(Protocol):
    """A command that goes on printing lines."""

    async def wait(self) -> StreamEnd:
        """Until it ends. Raises LinkError where the connection was lost."""
        ...

    def close(self) -> None:
        """Stop the command on the device; returns at once."""
        ...


class Link(Protocol):
    """One device, reachable. Argv lists only: nothing is ever passed to a shell unquoted."""

    @property
    def description(self) -> str:
        """How this device is reached, in words a person reads."""
        ...

    async def open(self) -> None:
        """Connect. Raises LinkError (try again) or LinkRefused (a person has to act)."""
        ...

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command to its end. Raises CommandError on time-out, LinkError on loss."""
        ...

    async def stream(self, argv: Sequence[str], sink: LineSink) -> Stream:
        """Start a command whose lines go to `sink` as they come."""
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...

    async def close(self) -> None:
        """End everything that runs and let go. Never raises."""
        ...


@runtime_checkable
class Putter(Protocol):
    """A link that can also take files."""

    async def put(self, local: str, remote: str, sent: Callable[[int, int], None]) -> None:
        """Send a file, from where it was cut off. Raises LinkError, CommandError."""
        ...


async def put_over(link: object, local: str, remote: str, sent: Callable[[int, int], None]) -> None:
    """Send a file over a link. Raises LinkError, CommandError; the latter where it takes none."""
    if not isinstance(link, Putter):
        raise CommandError("files cannot be copied over this kind of link")
    await link.put(local, remote, sent)


class LineSplitter:
    """Cuts a byte stream into lines; over-long lines are dropped and counted, never half taken."""

    __slots__ = ("_dropping", "_rest", "dropped")

    def __init__(self) -> None:
        self._rest = b""
        self._dropping = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Whole lines that `data` completes, without line ends."""
        if self._dropping:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return []
            self._dropping = False
        elif self._rest:
            data = self._rest + data
        *lines, rest = data.split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            self.dropped += 1
            self._dropping = True
            rest = b""
        self._rest = rest
        if len(data) > MAX_LINE_BYTES:
            self.dropped += sum(len(line) > MAX_LINE_BYTES for line in lines)
            lines = [line for line in lines if len(line) <= MAX_LINE_BYTES]
        return [line.rstrip(b"\r") for line in lines] if b"\r" in data else lines
