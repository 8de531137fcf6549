"""A recording in place of a fleet, and the recording of a fleet."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cohete.errors import CoheteError

if TYPE_CHECKING:
    from cohete.fleet.alerting import AlertKeeper
    from cohete.fleet.breakers import DeviceBreaker
    from cohete.fleet.changing import Changes
    from cohete.fleet.player import Player
    from cohete.fleet.recorder import Recorder
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete.links.base import Link
    from cohete.telemetry.past import Past


class ReplaySession:
    """A recording that is played, as a session of the dashboard."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.store: FleetStore = player.store
        self.changes: Changes | None = None
        self.alerts: AlertKeeper | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.player.run(), name="player")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self.player.close)

    def breaker_of(self, device: Device) -> DeviceBreaker | None:
        return None

    async def accept_key(self, device: Device) -> None:
        """Nobody is asked in a recording."""

    def retry(self, device_id: str) -> None:
        """Nobody is called in a recording."""

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None:
        """A recording's past is the recording."""
        return None

    def link(self, device: Device) -> Link:
        raise CoheteError("a recording cannot be asked for more than it holds", where=device.id)

    def shell_argv(self, device: Device) -> list[str]:
        raise CoheteError("a recording has no shell", where=device.id)


async def open_replay(path: Path) -> ReplaySession:
    """A recording that is ready to start. Raises CoheteError."""
    from cohete.fleet.player import Player, open_source

    return ReplaySession(Player(await asyncio.to_thread(open_source, path)))


class Recordings:
    """The recording that runs, if one does."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def badge(self) -> str:
        """What the header says; empty while nothing is recorded."""
        recorder = self._recorder
        if recorder is None or recorder.problem is not None:
            return ""
        written = recorder.bytes_written
        return f"REC {written / 1e6:.1f}MB" if written >= 1e6 else f"REC {written / 1e3:.0f}kB"

    @property
    def is_running(self) -> bool:
        """Whether something is recorded now."""
        return bool(self.badge)

    async def start(self, store: FleetStore, path: Path | None = None) -> Path:
        """Begin a recording; without a path, in a new file here. Raises CoheteError."""
        from cohete.fleet.recorder import Recorder

        if path is None:
            now = datetime.fromtimestamp(store.clock.time())  # noqa: DTZ006 - a name for whoever looks
            path = Path(f"cohete-{now:%Y%m%d-%H%M%S}.cohete")
        recorder = Recorder(store, path)
        await recorder.open()
        self._recorder = recorder
        self._task = asyncio.create_task(recorder.run(), name="recorder")
        return path

    async def stop(self) -> Path | None:
        """End the recording; its file, or None where none ran."""
        recorder, task = self._recorder, self._task
        self._recorder = self._task = None
        if recorder is None or task is None:
            return None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return recorder.path
