"""Power at the board's own sensor: the rate asked for, spikes kept, no rail twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.ina3221 import PowerTrace, Reader
from cohete.tegra.stats import Rail
from tests.boards import simulated
from tests.cli.test_commands import run_async

HWMON = b"/sys/class/hwmon/hwmon3/"


def reading(*channels: tuple[int, bytes, int, int]) -> list[bytes]:
    lines = []
    for number, label, millivolts, milliamps in channels:
        place = str(number).encode()
        lines += [
            HWMON + b"in" + place + b"_label:" + label,
            HWMON + b"in" + place + b"_input:" + str(millivolts).encode(),
            HWMON + b"curr" + place + b"_input:" + str(milliamps).encode(),
        ]
    return [*lines, HWMON + b"in7_label:sum of shunt voltages", b"@@sample"]


def rails_of(lines: list[bytes]) -> list[Rail]:
    reader = Reader()
    found = [rails for line in lines if (rails := reader.take(line)) is not None]
    return found[-1] if found else []


@pytest.mark.claim("PM-03")
def test_power_is_voltage_times_current_and_no_rail_counts_twice() -> None:
    rails = rails_of(
        reading(
            (1, b"VDD_IN", 19_000, 620),
            (2, b"VDD_CPU_GPU_CV", 19_000, 210),
            (3, b"VDD_SOC", 19_000, 90),
        )
    )  # fmt: skip
    assert [(rail.name, rail.cur_mw) for rail in rails] == [
        ("VDD_IN", 11_780), ("VDD_CPU_GPU_CV", 3_990), ("VDD_SOC", 1_710),
    ]  # fmt: skip
    trace = PowerTrace()
    trace.add(0.0, rails)
    assert trace.watts == [11.78]


@pytest.mark.claim("PM-10")
def test_a_spike_of_150_ms_is_kept() -> None:
    trace = PowerTrace()
    for nth in range(600):
        at_s = nth * 0.1
        spike = 20.0 <= at_s < 20.15
        trace.add(at_s, [Rail("VDD_IN", 31_000 if spike else 9_000)])
    assert trace.peak_w == 31.0
    assert trace.mean_w == pytest.approx(9.07, abs=0.02)
    assert trace.percentile_w(0.5) == 9.0
    assert trace.interval_s == pytest.approx(0.1)


def test_what_is_not_connected_or_torn_is_left_out() -> None:
    lines = reading((1, b"NC", 19_000, 620), (2, b"VDD_IN", 19_000, 500))
    assert [rail.name for rail in rails_of(lines)] == ["VDD_IN"]
    assert rails_of([line for line in lines if b"curr2" not in line]) == []
    assert PowerTrace().mean_w is None
    assert PowerTrace().interval_s is None
    assert PowerTrace().percentile_w(0.5) is None


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_no_line_raises(lines: list[bytes]) -> None:
    rails_of([*lines, *(HWMON + b"in1_input:" + line for line in lines), b"@@sample"])


@pytest.mark.claim("PM-03", "PM-10")
async def test_measured_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", "nano", folder=tmp_path) as (fleet, _, __):
        more = ("--config", str(tmp_path / "cohete.yaml"), "--for", "3", "--json")
        status, out, err = await run_async("power", "measure", "orin-nano-8gb-0", *more)
        assert status == 0, (out, err)
        (device,) = json.loads(out)["devices"]
        board = fleet.hosts["orin-nano-8gb-0"].board
        assert device["samples"] >= 20
        assert device["interval_s"] <= 0.12
        # What tegrastats prints of the same board.
        printed_w = board.rails_mw()["VDD_IN"] / 1000
        assert abs(device["mean_w"] - printed_w) <= 3.0
        assert device["peak_w"] >= device["mean_w"]
        status, out, _ = await run_async("power", "measure", "nano-1", *more)
        assert status == 1
        assert "its power sensor cannot be read" in out
