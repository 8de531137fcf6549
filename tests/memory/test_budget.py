"""A budget nobody can exceed, whose log sums up."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.memory.budget import PRESETS, BudgetExceeded, Entry, MemoryBudget, MemoryGuard, replay
from cohete.memory.log import BudgetLog, read_log


def test_presets_of_the_six_modules() -> None:
    assert len(PRESETS) == 6
    nano = MemoryBudget.preset("orin-nano-8gb")
    assert (nano.total_mb, nano.capacity_mb, nano.available_mb) == (7607, 5559, 5559)
    for name in PRESETS:
        assert 0 < MemoryBudget.preset(name).capacity_mb < PRESETS[name][0]
    with pytest.raises(KeyError):
        MemoryBudget.preset("pi-5")


@pytest.mark.claim("MM-02")
def test_threads_never_take_more_than_there_is() -> None:
    budget = MemoryBudget(1_000, 100)
    most: list[int] = []
    taken = threading.Semaphore(0)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            guard = budget.try_allocate(rng.randint(1, 300), f"t{seed}")
            most.append(budget.allocated_mb)
            if guard is not None:
                guard.release()
        taken.release()

    threads = [threading.Thread(target=work, args=(nth,)) for nth in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 900
    assert budget.allocated_mb == 0


@pytest.mark.claim("MM-02")
async def test_tasks_that_fail_and_are_cancelled_give_back() -> None:
    budget = MemoryBudget(1_000)

    async def work(nth: int) -> None:
        with budget.allocate(20, f"task {nth}"):
            if nth % 3 == 0:
                raise ValueError
            await asyncio.sleep(3600 if nth % 3 == 1 else 0)

    tasks = [asyncio.create_task(work(nth)) for nth in range(48)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert budget.allocated_mb == 0
    assert budget.reservations() == []


@pytest.mark.claim("MM-02", "MM-10")
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=80))
def test_every_sequence_holds_and_its_log_sums_up(moves: list[tuple[bool, int]]) -> None:
    log: list[Entry] = []
    budget = MemoryBudget(1_000, 200, record=log.append)
    held: list[MemoryGuard] = []
    for takes, size in moves:
        if takes:
            guard = budget.try_allocate(size, "x", category="model")
            assert (guard is None) == (size > 800 - sum(each.size_mb for each in held))
            if guard is not None:
                held.append(guard)
        elif held:
            held.pop(size % len(held)).release()
        assert budget.allocated_mb == sum(each.size_mb for each in held) <= 800
        assert budget.available_mb == 800 - budget.allocated_mb
    left = replay(log)
    assert sorted(left) == sorted(each.number for each in held)
    assert sum(entry.size_mb for entry in left.values()) == budget.allocated_mb


def test_what_does_not_fit_says_how_much_is_left() -> None:
    budget = MemoryBudget(1_000, 200)
    with budget.allocate(700, "llama"), pytest.raises(BudgetExceeded) as error:
        budget.allocate(101, "whisper")
    assert str(error.value).startswith("whisper needs 101 MB and 100 MB are left")
    assert (error.value.requested_mb, error.value.available_mb) == (101, 100)
    guard = budget.allocate(800)
    guard.release()
    guard.release()
    assert budget.available_mb == 800


@pytest.mark.claim("MM-02")
@pytest.mark.parametrize("size", [0, -1, 2**40, True, 1.5, "5"])
def test_sizes_that_are_none(size: int) -> None:
    budget = MemoryBudget(1_000)
    with pytest.raises(ValueError, match="a size is"):
        budget.allocate(size)
    with pytest.raises(ValueError, match="a size is"):
        MemoryBudget(size)
    with pytest.raises(ValueError, match="reserved_mb"):
        MemoryBudget(100, 101)


@pytest.mark.claim("MM-10")
def test_the_log_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "budget.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cohete.memory.budget import MemoryBudget\n"
        "from cohete.memory.log import BudgetLog\n"
        "budget = MemoryBudget(1000, record=BudgetLog(Path(sys.argv[1])).record)\n"
        "budget.allocate(300, 'llama', category='model')\n"
        "budget.allocate(50, 'kv').release()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    with path.open("ab") as file:
        file.write(b'{"number": 3, "oper')
    left = replay(read_log(path))
    assert [(entry.size_mb, entry.label, entry.category) for entry in left.values()] == [
        (300, "llama", "model")
    ]


@pytest.mark.claim("MM-10")
def test_a_log_with_a_gap_or_a_wrong_sum_is_found_out() -> None:
    log: list[Entry] = []
    budget = MemoryBudget(1_000, record=log.append)
    budget.allocate(100).release()
    budget.allocate(200)
    with pytest.raises(ValueError, match="entry 1 is missing"):
        replay([log[0], log[2]])
    with pytest.raises(ValueError, match="entry 0 is missing"):
        replay(log[1:])
    wrong = Entry(0, "allocate", 0, 100, "", "", 90)
    with pytest.raises(ValueError, match="the sum is 100"):
        replay([wrong])
    with pytest.raises(ValueError, match="was not reserved"):
        replay([Entry(0, "release", 0, 100, "", "", 0)])


def test_what_cannot_be_written_down_is_not_reserved(tmp_path: Path) -> None:
    log = BudgetLog(tmp_path / "log")
    budget = MemoryBudget(1_000, record=log.record)
    log.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        budget.allocate(10)
    assert budget.allocated_mb == 0


def test_a_log_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = BudgetLog(path)
    MemoryBudget(1_000, record=log.record).allocate(10)
    log.close()
    with path.open("ab") as file:
        file.write(b'{"number": 1, "oper')
    log = BudgetLog(path)
    MemoryBudget(1_000, record=log.record).allocate(20, "again")
    log.close()
    assert [entry.label for entry in replay(read_log(path)).values()] == ["again"]
