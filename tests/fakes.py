"""A link that does what a test says, and a way to watch a fleet of them on a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.errors import CoheteError, LinkError
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.fleet.supervisor import Settings, Supervisor
from cohete.links.base import Completed, LineSink, StreamEnd
from tests import lines

FACTS = b"""
@@cohete model
NVIDIA Jetson Orin Nano Developer Kit

@@cohete compatible
nvidia,p3768-0000+p3767-0003\0nvidia,p3767-0003\0

@@cohete meminfo
MemTotal:        7789568 kB
MemAvailable:    5000000 kB

@@cohete nvpmodel
NV Power Mode: 15W
0
"""


class FakeStream:
    def __init__(self, sink: LineSink) -> None:
        self.sink = sink
        self.end: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()

    async def wait(self) -> StreamEnd:
        return await asyncio.shield(self.end)

    def close(self) -> None:
        self.finish(StreamEnd(None, ""))

    def finish(self, end: StreamEnd) -> None:
        if not self.end.done():
            self.end.set_result(end)


class FakeBoard:
    """The far side: what opening does, which lines come, what commands answer."""

    def __init__(self) -> None:
        self.errors: list[CoheteError] = []
        self.refuse: CoheteError | None = None
        self.hang_open = False
        self.facts = FACTS
        self.opened = 0
        self.closed = 0
        self.commands: list[tuple[str, ...]] = []
        self.streams: list[FakeStream] = []
        self.sudo_end: StreamEnd | None = None

    @property
    def stream(self) -> FakeStream:
        return self.streams[-1]

    def say(self, *texts: str) -> None:
        self.stream.sink([text.encode() for text in texts])

    def lose(self) -> None:
        self.stream.finish(StreamEnd(None, ""))


class FakeLink:
    description = "a fake"
    fingerprint = "SHA256:fake"

    def __init__(self, board: FakeBoard) -> None:
        self._board = board
        self._streams: list[FakeStream] = []

    async def open(self) -> None:
        board = self._board
        board.opened += 1
        if board.hang_open:
            await asyncio.Event().wait()
        if board.refuse is not None:
            raise board.refuse
        if board.errors:
            raise board.errors.pop(0)

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        self._board.commands.append(tuple(argv))
        return Completed(0, self._board.facts, b"")

    async def stream(self, argv: Sequence[str], sink: LineSink) -> FakeStream:
        stream = FakeStream(sink)
        self._board.commands.append(tuple(argv))
        self._streams.append(stream)
        if "nvidia-smi" not in argv:
            self._board.streams.append(stream)
        if "sudo" in argv and self._board.sudo_end is not None:
            stream.finish(self._board.sudo_end)
        return stream

    def abort(self) -> None:
        for stream in self._streams:
            stream.finish(StreamEnd(None, ""))

    async def close(self) -> None:
        self.abort()
        self._board.closed += 1


def spec(device_id: str = "a", **changes: object) -> DeviceSpec:
    return DeviceSpec(device_id, Target("host"), **changes)  # type: ignore[arg-type]


class FakeFleet:
    """`async with FakeFleet("a", "b") as fleet: ...`: a supervisor over fake boards."""

    def __init__(self, *names: str, specs: Sequence[DeviceSpec] = ()) -> None:
        self.clock = ManualClock()
        self.specs = list(specs) or [spec(name) for name in names or ("a",)]
        self.boards = {spec.id: FakeBoard() for spec in self.specs}
        self.store = FleetStore(self.specs, self.clock)
        self.supervisor = Supervisor(
            self.store,
            lambda spec: FakeLink(self.boards[spec.id]),
            self.clock,
            Settings(facts_ttl_s=60, seed=1),
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def board(self) -> FakeBoard:
        return next(iter(self.boards.values()))

    def state(self) -> State:
        """State of the first device, now."""
        return self.device.state

    @property
    def device(self) -> Device:
        return self.store.devices[0]

    async def __aenter__(self) -> FakeFleet:
        self._task = asyncio.create_task(self.supervisor.run())
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def live(self, line: str = lines.ORIN_R36) -> None:
        """Every board prints a sample."""
        for board in self.boards.values():
            if board.streams:
                board.say(line)
        await self.clock.advance(0)

    async def run_for(self, seconds: int, line: str = lines.ORIN_R36) -> None:
        """A sample a second."""
        for _ in range(seconds):
            await self.clock.advance(1)
            await self.live(line)


LOST = LinkError("no route to host", where="a", hint="Is the board on?")
