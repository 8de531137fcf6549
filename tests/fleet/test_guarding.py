"""One program guards a board: while it lives, and no longer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from cohete.claim import DeviceClaims
from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.fleet.chosen import ChosenProfiles
from cohete.fleet.guarding import ANOTHER, FILE, RETRY_S, GuardGate, Guards
from cohete.fleet.standing import Standing, Taken
from cohete.fleet.store import FleetStore

OTHER = """
import sys
from pathlib import Path
from cohete.claim import DeviceClaims
claims = DeviceClaims(Path(sys.argv[1]))
print(*[claims.take(name) for name in sys.argv[2:]], flush=True)
sys.stdin.read()
"""
TAKEN = Taken("a", "limit:x:0", "set the power mode to 15W", "MAXN", 1.0)


def other(path: Path, *names: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path), *names], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_first_guards_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "state" / "guards.lock"
    first = other(path, "a", "b")
    assert line_of(first) == b"True True\n"
    claims = DeviceClaims(path)
    assert [claims.take("a"), claims.take("c")] == [False, True]
    # Killed: the next one may.
    first.kill()
    first.communicate()
    assert claims.take("a")
    second = other(path, "a", "b", "c")
    assert line_of(second) == b"False True False\n"
    claims.drop()
    third = other(path, "a", "b", "c")
    assert line_of(third) == b"True False True\n"
    for process in (second, third):
        process.kill()
        process.communicate()


class Watched:
    """Two boards somebody wants to guard, and what the keepers were told to resume."""

    def __init__(self, folder: Path, gate: GuardGate) -> None:
        self.clock = ManualClock()
        self.specs = [DeviceSpec(name, Target(f"10.0.0.{name}")) for name in ("a", "b")]
        self.store = FleetStore(self.specs, self.clock)
        self.gate, self.standing = gate, Standing(folder)
        self.claims = DeviceClaims(folder / FILE)
        self.resumed: list[list[Taken]] = []
        self.guards = Guards(
            self.store, gate, self.claims, self.standing, (self._resume,), self.clock
        )

    def _resume(self, stands: Iterable[Taken]) -> list[Taken]:
        found = list(stands)
        self.resumed.append(found)
        # Nothing is done on a board before it is known what was left there.
        assert not self.gate.guarded & {taken.device for taken in found}
        return [taken for taken in found if taken.owner == "switch:gone"]

    @property
    def refusals(self) -> list[str]:
        return [self.gate.refusal(spec) for spec in self.specs]


async def test_a_board_is_taken_over_with_what_was_left_there(tmp_path: Path) -> None:
    # The same board, whatever it is called there.
    first = other(tmp_path / FILE, "10.0.0.a 22")
    assert line_of(first) == b"True\n"
    watched = Watched(tmp_path, GuardGate())
    await watched.guards.take()
    assert watched.refusals == [ANOTHER, ""]
    assert watched.resumed == [[]]
    gone = Taken("a", "switch:gone", "w", "", 2.0)
    for taken in (TAKEN, gone):
        watched.standing.write(taken)
    running = asyncio.create_task(watched.guards.run())
    await watched.clock.advance(RETRY_S)
    assert watched.refusals == [ANOTHER, ""]
    first.kill()
    first.communicate()
    async with asyncio.timeout(5):
        while watched.gate.refusal(watched.specs[0]):
            await watched.clock.advance(RETRY_S)
            # The notes are read in a thread.
            await asyncio.to_thread(lambda: None)
    assert watched.resumed[1:] == [[TAKEN, gone]]
    assert watched.standing.before("a", TAKEN.owner, "") == "MAXN"
    (event,) = watched.store.events
    assert event.text == "left by an earlier Cohete: w (switch:gone)"
    running.cancel()
    await asyncio.wait([running])
    watched.claims.drop()


async def test_who_only_reads_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path, GuardGate(read_only=True))
    await watched.guards.take()
    assert watched.refusals == ["Cohete runs read-only"] * 2
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("error", [PermissionError, NotADirectoryError, OSError])
def test_a_place_that_cannot_be_written_guards_nobody_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("os.open", refuse)
    assert DeviceClaims(tmp_path / "guards.lock").take("a")


def test_another_board_of_the_same_name_is_another_board(tmp_path: Path) -> None:
    specs = [DeviceSpec("cam", Target(host)) for host in ("10.0.0.1", "10.0.0.2")]
    first, second = (Standing(tmp_path, places={"cam": spec.place}) for spec in specs)
    asyncio.run(first.note(Taken("cam", "breaker:mode", "w", "MAXN", 1.0)))
    assert second.of(["cam"]) == []
    asyncio.run(second.drop("cam", "breaker:mode"))
    (kept,) = first.of(["cam"])
    assert kept.before == "MAXN"
    assert DeviceSpec("x", Target("10.0.0.1", "nvidia", 22)).place == specs[0].place
    behind = DeviceSpec("x", Target("10.0.0.1"), jumps=(Target("bastion"),))
    assert behind.place not in (specs[0].place, specs[1].place)


async def test_a_profile_that_was_set_is_remembered_and_heard_of(tmp_path: Path) -> None:
    watched = Watched(tmp_path, GuardGate())
    places = {spec.id: spec.place for spec in watched.specs}
    chosen = ChosenProfiles(tmp_path, watched.clock, places)
    guards = Guards(
        watched.store, watched.gate, watched.claims, watched.standing, (), watched.clock, chosen
    )
    await chosen.choose("a", "small")
    await guards.take()
    # Its own choice is no news, and what a command sets meanwhile is.
    assert watched.store["a"].profile_name == ""
    watched.clock.step(1)
    await ChosenProfiles(tmp_path, watched.clock, places).choose("b", "big")
    running = asyncio.create_task(guards.run())
    await watched.clock.advance(RETRY_S)
    async with asyncio.timeout(5):
        while not watched.store["b"].profile_name:
            await asyncio.to_thread(lambda: None)
    assert watched.store["b"].profile_name == "big"
    running.cancel()
    await asyncio.wait([running])
    again = Watched(tmp_path, GuardGate(guarded=set()))
    anew = ChosenProfiles(tmp_path, again.clock, places)
    await Guards(
        again.store, again.gate, watched.claims, again.standing, (), again.clock, anew
    ).take()
    assert [device.profile_name for device in again.store] == ["small", "big"]
    watched.claims.drop()
