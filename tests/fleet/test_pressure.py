"""Memory pressure of a fleet: one event when it comes, one when it is over."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from pathlib import Path

import pytest

from cohete import tegra
from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.fleet.pressure import CALM_S, PARTS, PERIOD_S, PressureKeeper
from cohete.fleet.store import FleetStore
from cohete.memory.pressure import Level


@pytest.mark.claim("MM-05")
def test_the_real_collapse_as_events(corpus: Path) -> None:
    clock = ManualClock()
    store = FleetStore([DeviceSpec("nx", Target("nx"))], clock)
    keeper = PressureKeeper(store, clock)
    device = store["nx"]
    lines = (corpus / "tegrastats" / "lama_orin_nx16_oom.txt").read_text().splitlines()
    for line in lines[:7]:
        stats = tegra.parse(line)
        assert stats is not None
        store.apply(device, stats)
        keeper.look()
        clock.step(2.5)
    memory = [event for event in store.events if event.kind == "memory"]
    assert len(memory) == 1
    assert "out of memory in about" in memory[0].text
    assert memory[0].hint == "End or shrink what grows, now."
    assert keeper.by_id["nx"].told is Level.CRITICAL
    calm = tegra.parse(lines[7])
    assert calm is not None
    for _ in range(int(CALM_S) + 10):
        store.apply(device, calm)
        keeper.look()
        clock.step(1)
    assert [event.kind for event in store.events if "memory" in event.kind] == [
        "memory", "memory ok",
    ]  # fmt: skip
    assert {each.told for each in keeper.by_id.values()} == {Level.OK}


def test_a_calm_board_is_not_even_assessed() -> None:
    clock = ManualClock()
    store = FleetStore([DeviceSpec("a", Target("a"))], clock)
    keeper = PressureKeeper(store, clock)
    stats = tegra.parse("RAM 2000/8000MB (lfb 100x4MB) CPU [1%@100]")
    assert stats is not None
    for _ in range(50):
        store.apply(store["a"], stats)
        keeper.look()
        clock.step(1)
    assert [event for event in store.events if event.kind == "memory"] == []


async def test_a_part_of_the_devices_is_looked_at_at_a_time_and_each_once_a_second() -> None:
    clock = ManualClock()
    specs = [DeviceSpec(f"d{nth}", Target(f"d{nth}")) for nth in range(45)]
    store = FleetStore(specs, clock)
    keeper = PressureKeeper(store, clock)
    stats = tegra.parse("RAM 2000/8000MB (lfb 100x4MB) CPU [1%@100]")
    assert stats is not None
    for device in store:
        store.apply(device, stats)
    task = asyncio.create_task(keeper.run())
    looked = [0]
    for _ in range(PARTS):
        await clock.advance(PERIOD_S / PARTS)
        looked.append(sum(len(each.moments) for each in keeper.by_id.values()))
    assert {b - a for a, b in pairwise(looked)} == {4, 5}
    assert {len(each.moments) for each in keeper.by_id.values()} == {1}
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
