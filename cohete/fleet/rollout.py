"""One action on many devices: some at a time, a canary first, stopped where it goes wrong.

What was done is kept in a file while it runs, so that a rollout whose program died can go on: the
devices that were well are passed over, and every action does nothing where it is already so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cohete.clock import Clock
from cohete.control.outcome import Outcome, Result
from cohete.errors import ConfigError

_log = logging.getLogger("cohete.fleet")

_HARMLESS = frozenset({Outcome.REBOOT_NEEDED})
"""Not as wanted, and nothing broke: no reason to keep from the next device."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day, in minutes after midnight (local); it may pass midnight."""

    begin_min: int
    end_min: int

    def holds(self, minute: int) -> bool:
        """Whether that minute of a day lies in it."""
        if self.begin_min <= self.end_min:
            return self.begin_min <= minute < self.end_min
        return minute >= self.begin_min or minute < self.end_min

    def __str__(self) -> str:
        return "-".join(f"{at // 60:02}:{at % 60:02}" for at in (self.begin_min, self.end_min))


@dataclass(frozen=True, slots=True)
class Rules:
    """How a rollout goes.

    `at_once` devices at a time; `canary` of them first and alone; no further one is begun once
    `stop_after` have failed, or `stop_share` (0 to 1) of all, or outside the `window`.
    """

    at_once: int = 8
    canary: int = 1
    stop_after: int = 1
    stop_share: float | None = None
    window: Window | None = None

    def stops(self, failed: int, count: int) -> bool:
        """Whether so many failures of so many devices are too many."""
        if self.stop_share is not None:
            return failed > 0 and failed >= self.stop_share * count
        return failed >= self.stop_after


Apply = Callable[[str], Awaitable[Result]]


@dataclass(slots=True)
class Rollout:
    """A rollout while it runs and after; `results` by device, in the order they came."""

    devices: tuple[str, ...]
    rules: Rules
    clock: Clock
    record: RolloutFile | None = None
    results: dict[str, Result] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    stopped: str = ""
    """Why no further device was begun; empty while none was kept from it."""

    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def waiting(self) -> list[str]:
        """Devices that were not begun."""
        return [
            name for name in self.devices if name not in self.results and name not in self.running
        ]

    @property
    def is_well(self) -> bool:
        """Whether every device is as wanted."""
        return len(self.results) == len(self.devices) and all(
            result.outcome.is_well for result in self.results.values()
        )

    async def run(self, apply: Apply) -> None:
        """To its end. Cancelled, it lets those that run write down how they were interrupted."""
        await self._write()
        canary = self.waiting[: self.rules.canary] if len(self.devices) > 1 else []
        if canary:
            await self._all(canary, apply)
            if not self.stopped and not all(self._fine(name) for name in canary):
                self.stopped = "the canary failed"
        if not self.stopped:
            await self._all(self.waiting, apply)
        await self._write()

    async def _all(self, names: Iterable[str], apply: Apply) -> None:
        left = iter(list(names))

        async def worker() -> None:
            while await self._may_begin():
                name = next(left, None)
                if name is None:
                    return
                self.running.add(name)
                try:
                    self.results[name] = await apply(name)
                except Exception as error:  # noqa: BLE001 - one board must never end the others
                    _log.error("rollout on %s", name, exc_info=error)
                    words = f"unexpected {type(error).__name__}; look at the board"
                    self.results[name] = Result(name, "", Outcome.UNKNOWN, words)
                finally:
                    self.running.discard(name)
                await self._write()

        async with asyncio.TaskGroup() as group:
            for _ in range(self.rules.at_once):
                group.create_task(worker())

    async def _may_begin(self) -> bool:
        if not self.stopped and self.rules.stops(self._failed(), len(self.devices)):
            failed = self._failed()
            self.stopped = f"{failed} failed" if failed > 1 else "one failed"
        if not self.stopped and not self._in_window():
            self.stopped = f"the window {self.rules.window} is over"
        return not self.stopped

    def _in_window(self) -> bool:
        if self.rules.window is None:
            return True
        now = datetime.fromtimestamp(self.clock.time())  # noqa: DTZ006 - a window is local time
        return self.rules.window.holds(now.hour * 60 + now.minute)

    def _failed(self) -> int:
        return sum(not self._fine(name) for name in self.results)

    def _fine(self, name: str) -> bool:
        result = self.results.get(name)
        return result is not None and (result.outcome.is_well or result.outcome in _HARMLESS)

    async def _write(self) -> None:
        if self.record is None:
            return
        async with self._writing:
            done = [name for name, result in self.results.items() if result.outcome.is_well]
            try:
                await asyncio.to_thread(self.record.write, self.devices, done)
            except OSError as error:
                self.stopped = self.stopped or f"how far it came cannot be kept: {error.strerror}"


class RolloutFile:
    """What a rollout is for and how far it came, as a small file. Blocking: use a thread."""

    def __init__(
        self,
        path: Path,
        action: Mapping[str, object],
        devices: Iterable[str] = (),
        done: Iterable[str] = (),
    ) -> None:
        self.path = path
        self._action = dict(action)
        # What an earlier part of the same rollout was for, and did.
        self._devices = list(devices)
        self._done = list(done)

    @classmethod
    def new(cls, folder: Path, clock: Clock, action: Mapping[str, object]) -> RolloutFile:
        """A file of its own for a rollout that begins now."""
        stamp = datetime.fromtimestamp(clock.time()).strftime("%Y%m%d-%H%M%S")  # noqa: DTZ006
        return cls(folder / "rollouts" / f"{stamp}-{secrets.token_hex(2)}.json", action)

    @property
    def name(self) -> str:
        """How it is called on the command line."""
        return self.path.stem

    def write(self, devices: Iterable[str], done: Iterable[str]) -> None:
        """Replace what it says, all or nothing. Raises OSError."""
        self._devices = list(dict.fromkeys([*self._devices, *devices]))
        self._done = list(dict.fromkeys([*self._done, *done]))
        document = {"action": self._action, "devices": self._devices, "done": self._done}
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(document), encoding="utf-8")
        part.replace(self.path)

    @property
    def is_over(self) -> bool:
        """Whether every device it was for is as wanted."""
        return set(self._devices) <= set(self._done)

    def remove(self) -> None:
        """Nothing is left to do, or nobody wants it any more."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A rollout that did not reach every device."""

    record: RolloutFile
    action: Mapping[str, object]
    devices: tuple[str, ...]
    done: tuple[str, ...]

    @property
    def left(self) -> tuple[str, ...]:
        """Devices that are not as wanted yet."""
        return tuple(name for name in self.devices if name not in self.done)


def unfinished(folder: Path) -> list[Unfinished]:
    """Rollouts that can go on, oldest first; files that are none are passed over."""
    found = []
    for path in sorted((folder / "rollouts").glob("*.json")):
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def find_unfinished(folder: Path, name: str) -> Unfinished:
    """The rollout of that name, or the newest. Raises ConfigError."""
    every = unfinished(folder)
    for each in reversed(every):
        if not name or each.record.name == name:
            return each
    names = ", ".join(each.record.name for each in every)
    raise ConfigError(
        f"there is no rollout {name!r} to go on with" if name else "no rollout waits to go on",
        hint=f"There are: {names}." if names else "",
    )


def _read(path: Path) -> Unfinished:
    document = json.loads(path.read_text(encoding="utf-8"))
    action, devices, done = document["action"], document["devices"], document["done"]
    if not isinstance(action, dict):
        raise TypeError("no action")
    names, well = tuple(map(str, devices)), tuple(map(str, done))
    return Unfinished(RolloutFile(path, action, names, well), action, names, well)
