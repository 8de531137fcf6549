"""Leaks of a fleet: the memory of large programs, followed from reading to reading of the facts."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from cohete.clock import Clock
from cohete.device.activity import Program
from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore
from cohete.memory.leak import Leak, find_leak

PERIOD_S = 5.0
KEPT = 120
"""Readings of a program: two hours, where facts are read once a minute."""
FOLLOWED = 4
"""Programs of a board, the largest: a leak ends among them."""
JUDGED_EVERY = 6
"""Readings between two judgements: a leak takes an hour to show, and a fleet has many programs."""
ADVICE = "Restart it before memory runs out, and look at what it keeps."


@dataclass(slots=True)
class Followed:
    """One program: when it was read (s), what it held (MiB), the leak that was told."""

    name: str
    times_s: array[float] = field(default_factory=lambda: array("d"))
    rss_mb: array[float] = field(default_factory=lambda: array("f"))
    readings: int = 0
    told: Leak | None = None

    def add(self, at_s: float, rss_mb: float) -> None:
        """Take a reading; the oldest goes."""
        self.readings += 1
        self.times_s.append(at_s)
        self.rss_mb.append(rss_mb)
        del self.times_s[:-KEPT], self.rss_mb[:-KEPT]


class LeakKeeper:
    """Follows the large programs of every device until cancelled. It only tells, once a program."""

    def __init__(self, store: FleetStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._read_at: dict[str, float] = {}
        self._followed: dict[str, dict[int, Followed]] = {}
        """Of each device, by the number of the process."""

    async def run(self) -> None:
        """Look for new readings."""
        while True:
            await self._clock.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Take in every device whose facts were read since."""
        for device in self._store:
            if device.facts is not None and self._read_at.get(device.id) != device.facts_at:
                self._read_at[device.id] = device.facts_at
                self._take(device, device.facts.programs[:FOLLOWED])

    def _take(self, device: Device, programs: tuple[Program, ...]) -> None:
        before = self._followed.get(device.id, {})
        now = self._followed[device.id] = {}
        for program in programs:
            followed = before.get(program.pid)
            if followed is None or followed.name != program.name:
                # The same number with another name is another program.
                followed = Followed(program.name)
            now[program.pid] = followed
            followed.add(device.facts_at, program.rss_mb)
            if followed.told is None and followed.readings % JUDGED_EVERY == 0:
                self._judge(device, program, followed)

    def _judge(self, device: Device, program: Program, followed: Followed) -> None:
        leak = find_leak(followed.times_s, followed.rss_mb)
        if leak is None:
            return
        followed.told = leak
        text = f"{program.name} (pid {program.pid}) {leak.words}"
        self._store.event(device, "leak", text, ADVICE)
