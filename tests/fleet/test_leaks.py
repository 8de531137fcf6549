"""Leaks and stalls of a fleet: followed by the facts, told once."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from cohete import tegra
from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.device.activity import Program, programs_from
from cohete.device.identity import Facts, facts_as_dict
from cohete.device.memory import BoardMemory
from cohete.fleet.leaks import KEPT, LeakKeeper
from cohete.fleet.pressure import CALM_S, KERNEL_S, PressureKeeper
from cohete.fleet.store import FleetStore
from tests.boards import simulated, until


def store_of(name: str) -> tuple[FleetStore, ManualClock]:
    clock = ManualClock()
    return FleetStore([DeviceSpec(name, Target("h"))], clock), clock


def kinds(store: FleetStore) -> list[str]:
    return [event.kind for event in store.events]


@pytest.mark.claim("MM-06")
def test_a_leaking_server_is_told_once_and_a_steady_one_never() -> None:
    store, clock = store_of("cam")
    keeper = LeakKeeper(store, clock)
    device, rng = store["cam"], random.Random(7)
    told_at: list[int] = []
    for minute in range(3 * KEPT):
        noise = rng.gauss(0, 2)
        programs = (
            Program(812, "llama-server", 900 + 1.0 * minute + noise),
            Program(40, "dockerd", 92 + noise),
        )
        store.apply_facts(device, Facts(programs=programs))
        keeper.look()
        keeper.look()
        clock.step(60)
        if len(told_at) < kinds(store).count("leak"):
            told_at.append(minute)
    assert len(told_at) == 1
    assert told_at[0] < 75
    event = next(event for event in store.events if event.kind == "leak")
    assert event.text.startswith("llama-server (pid 812) grows by 1.")
    assert event.hint.startswith("Restart it")


def test_a_restarted_program_begins_anew() -> None:
    store, clock = store_of("cam")
    keeper = LeakKeeper(store, clock)
    for minute in range(200):
        # Restarted every half hour it never grows for long.
        rss = 200 + 3.0 * (minute % 30)
        programs = (Program(1000 + minute // 30, "camera_node", rss),)
        store.apply_facts(store["cam"], Facts(programs=programs))
        keeper.look()
        clock.step(60)
    assert "leak" not in kinds(store)
    assert len(keeper._followed["cam"]) == 1


def test_the_largest_programs_of_a_board() -> None:
    page = 65_536
    text = b"812 100 3200 llama server\n7 5 1600 Xorg\nnot a line\n9 1 99999999999999999999 x\n"
    assert programs_from({"large": text}, page) == (
        Program(812, "llama server", 200.0), Program(7, "Xorg", 100.0),
    )  # fmt: skip
    assert programs_from({}, page) == ()
    # A recording is shared: what runs on a board is not in it.
    plain = facts_as_dict(Facts(programs=(Program(1, "secret", 1.0),)))
    assert "secret" not in str(plain)


async def test_a_board_tells_its_large_programs_and_what_its_kernel_waits_for(
    tmp_path: Path,
) -> None:
    from cohete.fleet.session import FleetPlan, FleetSession
    from cohete.links.ssh import SshConnector
    from tests.boards import lonely_files

    async with simulated("orin-nano-8gb", folder=tmp_path) as (fleet, config, specs):
        board = next(iter(fleet.hosts.values())).board
        board.workload = board.workload.INFERENCE
        connector = SshConnector(config.ssh, lonely_files(config))
        plan = FleetPlan(specs, "lab", ssh=config.ssh)
        async with FleetSession(plan, connector=connector, state_folder=tmp_path) as session:
            device = next(iter(session.store))
            await until(lambda: device.facts is not None)
            assert device.facts is not None
            names = [program.name for program in device.facts.programs]
            assert names[:3] == ["llama-server", "dockerd", "Xorg"]
            assert "systemd" not in names
            assert device.facts.memory.psi_some == 0.0
            assert device.facts.memory.swap_is_zram is True


STEADY = "RAM 4000/8000MB (lfb 100x4MB) SWAP 100/4000MB CPU [1%@100]"


@pytest.mark.claim("MM-05")
def test_stalls_and_thrashing_are_told_though_nothing_fills() -> None:
    store, clock = store_of("cam")
    keeper = PressureKeeper(store, clock)
    stats = tegra.parse(STEADY)
    assert stats is not None
    calm = BoardMemory(8000, 4000, swapped_in=0, swapped_out=0, psi_some=0.0, psi_full=0.0)

    def pass_time(memory: BoardMemory, seconds: int) -> None:
        store.apply_facts(store["cam"], Facts(memory=memory))
        for _ in range(seconds):
            store.apply(store["cam"], stats)
            keeper.look()
            clock.step(1)

    pass_time(calm, 60)
    assert "memory" not in kinds(store)
    pass_time(replace(calm, psi_some=31.0), 60)
    pass_time(replace(calm, psi_some=28.0), 60)
    assert kinds(store).count("memory") == 1
    assert "something waits for memory 31 % of the time" in store.events[-1].text
    pass_time(calm, int(CALM_S) + 40)
    assert kinds(store)[-1] == "memory ok"
    # 60 s, 150,000 pages in and as many out: some 20 MB/s, and swap is no fuller than before.
    thrashing = replace(calm, swapped_in=150_000, swapped_out=150_000)
    pass_time(thrashing, 60)
    assert "20 MB/s go to swap" in store.events[-1].text
    # What was told an hour ago says nothing about now.
    pass_time(thrashing, int(KERNEL_S + CALM_S) + 10)
    assert kinds(store)[-1] == "memory ok"
