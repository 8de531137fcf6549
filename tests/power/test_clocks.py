"""jetson_clocks: what every release shows, and locking, freeing, refusing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.control.outcome import Outcome
from cohete.errors import ChangeRefused
from cohete.power.clocks import STORE, SetClocks
from cohete.power.jetson_clocks import Lock, parse_clocks
from cohete.simulator.workload import Workload
from tests.control.support import bench


@pytest.mark.parametrize(
    ("name", "lock", "cores", "gpu"),
    [
        ("show_agx_orin64_r35.txt", Lock.FREE, 12, True),
        ("show_nano_maxn.txt", Lock.FREE, 1, True),
        ("show_orin_nano_super_r36_4_3.txt", Lock.FREE, 6, True),
        ("show_orin_nano_super_r39_2_1_excerpt.txt", Lock.FREE, 1, False),
        ("show_thor_excerpt.txt", Lock.LOCKED, 1, False),
        ("show_tx1_r28_1_excerpt.txt", Lock.LOCKED, 1, True),
        ("show_tx2.txt", Lock.FREE, 4, True),
        ("show_orin_nano_snap_confined.txt", Lock.UNKNOWN, 0, False),
        ("after_set_thor.txt", Lock.UNKNOWN, 0, False),
    ],
)
def test_every_capture(corpus: Path, name: str, lock: Lock, cores: int, gpu: bool) -> None:
    clocks = parse_clocks((corpus / "jetson_clocks" / name).read_text())
    assert clocks.lock is lock
    assert len(clocks.cpus) == cores
    assert (clocks.gpu is not None) is gpu


def test_every_capture_of_the_corpus_is_in_the_table(corpus: Path) -> None:
    assert len(list((corpus / "jetson_clocks").iterdir())) == 9


def test_units_and_offline_cores() -> None:
    clocks = parse_clocks(
        "Online CPUs: 0-1, Offline CPUs: 2-3\n"
        "cpu0:  Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=960000 \n"
        "cpu1:  Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=960000 \n"
        "cpu2:  Governor=schedutil MinFreq=729600 MaxFreq=1344000 CurrentFreq=960000 \n"
        "GPU MinFreq=306000000 MaxFreq=918000000 CurrentFreq=306000000\n"
        "EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=2133000000 FreqOverride=1\n"
    )
    assert [core.name for core in clocks.cpus] == ["cpu0", "cpu1"]
    assert clocks.cpus[0].max_mhz == 1344
    assert clocks.gpu is not None
    assert clocks.gpu.current_mhz == 306
    # The memory is held, nothing else is.
    assert clocks.lock is Lock.PARTLY


@given(st.text(max_size=300))
def test_nothing_it_prints_raises(text: str) -> None:
    parse_clocks(text)
    parse_clocks("cpu0: Online=1 " + text + "\nGPU MinFreq=" + text)


@pytest.mark.claim("PM-02")
async def test_stored_locked_read_back_and_restored(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.workload = Workload.IDLE
        lock = SetClocks(locked=True, limit_c=90)
        change = await test.look(lock)
        assert change.before == "not locked"
        assert change.lines == (
            f"sh -c 'echo Y | sudo -n -- /usr/bin/jetson_clocks --store {STORE}'",
            "sudo -n -- /usr/bin/jetson_clocks",
        )
        assert (await test.apply(lock)).outcome is Outcome.DONE
        assert (test.board.clocks_locked, test.board.boots) == (True, 0)
        assert (await test.apply(lock)).outcome is Outcome.ALREADY
        result = await test.apply(SetClocks(locked=False))
        assert (result.outcome, result.found) == (Outcome.DONE, "not locked")
        assert (test.board.clocks_locked, test.board.boots) == (False, 0)
        # A second time: the stored file of the first is replaced.
        assert (await test.apply(lock)).outcome is Outcome.DONE
        # What a change of the mode has let go is free.
        test.board.set_mode(test.board.module.modes[0])
        assert (await test.look(lock)).before == "not locked"


async def test_not_while_it_is_hot(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.thermal.die_c = 82.0
        with pytest.raises(ChangeRefused, match=r"is at 8\d\.\d C, and from 65 C on"):
            await test.look(SetClocks(locked=True))
        result = await test.apply(SetClocks(locked=True))
        assert result.outcome is Outcome.REFUSED
        assert not test.board.clocks_locked
        assert STORE not in test.board.written


async def test_clocks_that_somebody_else_locked_are_left(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.clocks_locked = True
        with pytest.raises(ChangeRefused, match="not locked by Cohete") as error:
            await test.look(SetClocks(locked=False))
        assert "another power mode" in error.value.hint


async def test_without_the_rule_it_says_which_one(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path, sudo=False) as test:
        with pytest.raises(ChangeRefused, match="lacks: /usr/bin/jetson_clocks --show"):
            await test.look(SetClocks(locked=True))
