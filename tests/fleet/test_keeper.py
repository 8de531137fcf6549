"""The fleet's history as it is kept: exact, a minute at a time, told as an event when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from cohete.claim import Claim
from cohete.clock import ManualClock
from cohete.fleet.keeper import STEP_S, TAKES, HistoryKeeper
from cohete.fleet.store import FleetStore, Tap
from cohete.tegra import parse
from cohete.telemetry.chunk import Chunk
from cohete.telemetry.files import HOUR_MS, HistoryFiles, NewChunk
from cohete.telemetry.past import Past
from cohete.telemetry.query import past
from tests import lines
from tests.boards import until
from tests.history import closed_history  # noqa: F401 - a fixture
from tests.tui.support import feed, store_of


async def kept(store: FleetStore, folder: Path, lines_by_second: list[str]) -> Past:
    """Feed `a` a line a second while its history is kept; what can be read afterwards."""
    clock = store.clock
    assert isinstance(clock, ManualClock)
    keeper = HistoryKeeper(store, folder)
    task = asyncio.create_task(keeper.run())
    await clock.advance(0)
    for line in lines_by_second:
        # The disk is written by a thread, in real time; here the clock waits for it.
        await until(lambda: clock.sleeping > 0)
        feed(store, "a", line)
        await clock.advance(1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    now_ms = int(clock.time() * 1000)
    return past(HistoryFiles(folder), "a", now_ms - HOUR_MS, now_ms + 1000, 1)


async def test_every_sample_is_kept(tmp_path: Path) -> None:
    store = store_of(["a", "b"])
    printed = [lines.ORIN_R36.replace("12479mW", f"{11000 + nth}mW") for nth in range(150)]
    found = await kept(store, tmp_path, printed)
    assert len(found.times_ms) == 150
    parsed = [parse(line) for line in printed]
    assert found.means["power_mw"] == [stats.power_mw for stats in parsed if stats]
    assert len(set(found.means["power_mw"])) == 150
    assert set(found.means["hottest_mc"]) == {53968}
    assert "zone_mc.tj" in found.means
    gaps = {b - a for a, b in zip(found.times_ms, found.times_ms[1:], strict=False)}
    assert gaps == {1000}


async def test_samples_are_taken_while_a_slow_disk_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    add = HistoryFiles.add

    def slow(files: HistoryFiles, chunks: Sequence[NewChunk]) -> None:
        begun.set()
        assert goes_on.wait(20)
        add(files, chunks)

    monkeypatch.setattr(HistoryFiles, "add", slow)
    taps: list[Tap] = []
    opened = FleetStore.open_tap

    def open_tap(store: FleetStore) -> Tap:
        taps.append(opened(store))
        return taps[-1]

    monkeypatch.setattr(FleetStore, "open_tap", open_tap)
    store = store_of(["a"])
    clock = store.clock
    assert isinstance(clock, ManualClock)
    task = asyncio.create_task(HistoryKeeper(store, tmp_path).run())
    fed = 0
    while not begun.is_set():
        await until(lambda: clock.sleeping > 0)
        feed(store, "a", lines.ORIN_R36)
        fed += 1
        await clock.advance(1)
    for _ in range(30):
        feed(store, "a", lines.ORIN_R36)
        fed += 1
        # A few at a time: no key waits for the samples of a whole second.
        await clock.advance(STEP_S / TAKES)
        assert not taps[0].samples
        await clock.advance(1 - STEP_S / TAKES)
    goes_on.set()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    now_ms = int(clock.time() * 1000)
    found = past(HistoryFiles(tmp_path), "a", now_ms - HOUR_MS, now_ms + 1000, 1)
    assert len(found.times_ms) == fed


async def test_another_tegrastats_begins_another_chunk(tmp_path: Path) -> None:
    store = store_of(["a"])
    found = await kept(store, tmp_path, [*[lines.ORIN_R36] * 5, *[lines.NANO] * 5])
    assert len(found.times_ms) == 10
    assert found.means["zone_mc.tj"][:5] == [53968] * 5
    assert found.means["zone_mc.tj"][5:] == [None] * 5
    assert found.means["emc_percent"] is not None


async def test_a_second_program_only_reads(tmp_path: Path) -> None:
    claim = Claim(tmp_path)
    assert claim.take()
    first = HistoryFiles(tmp_path)
    first.add([NewChunk("a", Chunk.of([1_000, 2_000], {"power_mw": [5, 7]}))])
    store = store_of(["a"])
    keeper = HistoryKeeper(store, tmp_path)
    await keeper.run()
    assert "only reads it" in store.events[0].text
    assert (await keeper.past("a", 0, 9_000, 1)).means == {"power_mw": [5, 7]}
    first.close()
    assert not Claim(tmp_path).take()
    claim.drop()
    assert Claim(tmp_path).take()


async def test_a_reading_that_is_given_up_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    go_on = threading.Event()

    def slow(files: HistoryFiles, device_id: str, *_: object) -> Past:
        begun.append(device_id)
        go_on.wait(10)
        return Past([], {}, {}, {})

    monkeypatch.setattr("cohete.telemetry.query.past", slow)
    keeper = HistoryKeeper(store_of(["a"]), tmp_path)
    readings = [
        asyncio.create_task(keeper.past(name, 0, 9_000, 1)) for name in ("a", "b", "c", "d")
    ]
    await until(lambda: begun == ["a"])
    for reading in readings[:3]:
        reading.cancel()
    await asyncio.wait(readings[:3])
    go_on.set()
    await readings[3]
    assert begun == ["a", "d"]


async def test_trouble_is_an_event_and_watching_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = store_of(["a"])
    clock = store.clock
    assert isinstance(clock, ManualClock)
    task = asyncio.create_task(HistoryKeeper(store, blocked / "history").run())
    await clock.advance(0)
    for _ in range(2000):
        feed(store, "a", lines.NANO)
        await clock.advance(1)
        if store.events and store.events[-1].kind == "history":
            break
        # The disk works in a thread of its own, in real time.
        await asyncio.sleep(0.001)
    told = [event.text for event in store.events if event.kind == "history"]
    assert told
    assert "history cannot be written for now" in told[0]
    task.cancel()
    await asyncio.wait([task])
