"""Memory pressure: told before the end, with its cause; leaks found, and only leaks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete import tegra
from cohete.memory.leak import find_leak
from cohete.memory.pressure import (
    Level,
    Moment,
    assess,
    fits,
    large_free_mb,
    parse_psi,
)


def moment(at: float, available: int, swap: int | None = 0, **more: object) -> Moment:
    return Moment(at, 16_000, available, swap, 8_000, **more)  # type: ignore[arg-type]


@pytest.mark.claim("MM-05")
def test_the_real_collapse_is_told_before_its_end(corpus: Path) -> None:
    lines = (corpus / "tegrastats" / "lama_orin_nx16_oom.txt").read_text().splitlines()
    moments: list[Moment] = []
    told: list[tuple[int, Level]] = []
    for nth, line in enumerate(lines):
        stats = tegra.parse(line)
        assert stats is not None
        hour, minute, second = (int(part) for part in line.split()[1].split(":"))
        moments.append(
            Moment(
                hour * 3600 + minute * 60 + second,
                stats.ram_total_mb,
                stats.ram_total_mb - stats.ram_used_mb,
                stats.swap_used_mb,
                stats.swap_total_mb,
                stats.lfb_blocks,
                stats.lfb_kb,
            )
        )
        pressure = assess(moments)
        if pressure.level is not Level.OK:
            told.append((nth, pressure.level))
    # Sample 6 is the first after the kill: it was told with the second, ten seconds before.
    assert told[0] == (1, Level.CRITICAL)
    assert [nth for nth, _ in told][:5] == [1, 2, 3, 4, 5]
    assert "out of memory in about" in assess(moments[:2]).words


@pytest.mark.claim("MM-05")
def test_swapping_is_told_with_advice() -> None:
    busy = [moment(at, 3_000, 100 + 20 * at) for at in range(10)]
    pressure = assess(busy)
    assert pressure.level is Level.WARNING
    assert "20 MB/s go to swap" in pressure.causes
    assert "Shrink what is loaded" in pressure.advice
    zram = assess([moment(at, 3_000, 100 + 20 * at, swap_is_zram=True) for at in range(10)])
    assert "20 MB/s go to zram, which is memory too" in zram.causes
    assert assess([moment(at, 3_000, 100) for at in range(10)]).level is Level.OK


@pytest.mark.claim("MM-05")
def test_stalls_of_the_kernel_count() -> None:
    some, full = parse_psi(
        "some avg10=12.34 avg60=1.00 avg300=0.10 total=1\nfull avg10=0.50 avg60=0.10 total=1\n"
    )
    assert (some, full) == (12.34, 0.50)
    assert assess([moment(0, 8_000, psi_some=some, psi_full=full)]).level is Level.WARNING
    assert assess([moment(0, 8_000, psi_some=50, psi_full=30)]).level is Level.CRITICAL
    assert parse_psi("cat: /proc/pressure/memory: No such file") == (None, None)


@pytest.mark.claim("MM-08")
def test_memory_in_pieces_is_seen_and_does_not_fit() -> None:
    pieces = moment(0, 6_000, lfb_blocks=60, lfb_kb=1024)
    pressure = assess([pieces])
    assert pressure.level is Level.WARNING
    assert pressure.causes == ("6000 MB are free, in blocks of 1 MB at most",)
    assert "Compact or drop caches" in pressure.advice
    fit = fits(4_000, pieces)
    assert not fit.fits
    assert "compact memory" in fit.after
    whole = moment(0, 6_000, lfb_blocks=900, lfb_kb=4096)
    assert assess([whole]).level is Level.OK
    assert fits(4_000, whole).fits
    assert not fits(5_900, whole).fits
    buddy = (
        "Node 0, zone      DMA   10 5 3 2 1 1 1 1 1 1 300\n"
        "Node 0, zone   Normal  100 50 3 2 1 1 1 1 1 0 2\n"
    )
    assert large_free_mb(buddy) == 302 * 4
    assert large_free_mb("nothing") is None


def test_slow_use_and_noise_are_no_news() -> None:
    rng = random.Random(1)
    calm = [moment(at, 9_000 + rng.randint(-60, 60)) for at in range(60)]
    assert assess(calm).level is Level.OK
    slow = [moment(at, 9_000 - at) for at in range(60)]
    assert assess(slow).level is Level.OK
    assert assess([]).level is Level.OK
    assert assess([moment(0, 300)]).level is Level.CRITICAL


@given(
    st.lists(
        st.builds(
            Moment,
            st.floats(0, 100), st.integers(1, 100_000), st.integers(0, 100_000),
            st.none() | st.integers(0, 100_000), st.none() | st.integers(0, 100_000),
            st.none() | st.integers(0, 10_000), st.none() | st.integers(4, 4096),
            st.none() | st.floats(0, 100), st.none() | st.floats(0, 100),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_nothing_raises(moments: list[Moment]) -> None:
    pressure = assess(sorted(moments, key=lambda each: each.at_s))
    assert pressure.exhausted_in_s is None or pressure.exhausted_in_s >= 0


Series = Callable[[random.Random, float], float]


def series(kind: str, seed: int) -> tuple[list[float], list[float]]:
    """An hour of a process, a sample each 10 s."""
    rng = random.Random(f"{kind}{seed}")
    base, tau = rng.uniform(200, 4000), rng.uniform(60, 600)
    period, height = rng.uniform(60, 900), rng.uniform(10, 200)
    step_at = rng.uniform(0, 3600)
    times = [10.0 * nth for nth in range(360)]
    shapes: dict[str, Callable[[float], float]] = {
        "flat": lambda at: 0.0,
        "sawtooth": lambda at: height * (at % period) / period,
        "warm-up": lambda at: 300 * (1 - math.exp(-at / tau)),
        "step": lambda at: 500.0 * (at > step_at),
        "wave": lambda at: height * math.sin(2 * math.pi * at / period),
    }
    shape = shapes.get(kind, shapes["sawtooth"])
    rate = rng.uniform(1.0, 3.0) if kind == "leak" else 0.0
    noise = rng.uniform(0.5, 3)
    return times, [base + shape(at) + rate * at / 60 + rng.gauss(0, noise) for at in times]


@pytest.mark.claim("MM-06")
def test_leaks_are_found_and_clean_series_are_not_flagged() -> None:
    kinds = ("flat", "sawtooth", "warm-up", "step", "wave")
    flagged = [
        (kind, seed) for kind in kinds for seed in range(40) if find_leak(*series(kind, seed))
    ]
    assert len(flagged) <= 20, flagged
    found = [find_leak(*series("leak", seed)) for seed in range(40)]
    assert sum(leak is not None for leak in found) >= 36


@pytest.mark.claim("MM-06")
def test_a_leak_of_one_mb_a_minute_is_measured() -> None:
    rng = random.Random(7)
    times = [10.0 * nth for nth in range(360)]
    leak = find_leak(times, [900 + at / 60 + rng.gauss(0, 1) for at in times])
    assert leak is not None
    assert leak.mb_per_min == pytest.approx(1.0, abs=0.15)
    assert leak.words.startswith("grows by 1.0 MB a minute")
    assert find_leak(times[:20], times[:20]) is None


@given(st.lists(st.floats(0, 1e5), min_size=50, max_size=80))
def test_no_series_raises(values: list[float]) -> None:
    find_leak([20.0 * nth for nth in range(len(values))], values)
