"""Power at the board's own sensor: the rate asked for, spikes kept, no rail twice."""

from __future__ import annotations

import asyncio
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
        board = fleet.hosts["orin-nano-8gb-0"].board
        measuring = asyncio.create_task(run_async("power", "measure", board.name, *more))
        printed: list[float] = []
        is_over = False
        while not is_over:
            # What tegrastats prints of the same board at the same time.
            printed.append(board.rails_mw()["VDD_IN"] / 1000)
            is_over = bool((await asyncio.wait([measuring], timeout=0.05))[0])
        status, out, err = await measuring
        assert status == 0, (out, err)
        (device,) = json.loads(out)["devices"]
        assert device["samples"] >= 20
        assert device["interval_s"] <= 0.12
        assert abs(device["mean_w"] - sum(printed) / len(printed)) <= 0.5
        assert device["peak_w"] >= device["p99_w"] >= device["mean_w"]
        assert (device["source"], device["frozen"]) == ("sensor", False)
        # JetPack 4 has it elsewhere; where nobody may read it, tegrastats still prints it.
        nano = fleet.hosts["nano-1"].board
        for source, least in (("sensor", 20), ("tegrastats", 10)):
            status, out, _ = await run_async("power", "measure", "nano-1", *more)
            assert status == 0
            (device,) = json.loads(out)["devices"]
            assert device["source"] == source
            assert device["samples"] >= least
            assert device["mean_w"] == pytest.approx(nano.rails_mw()["POM_5V_IN"] / 1000, abs=1)
            nano.has_sensor = False


@pytest.mark.claim("PM-03")
def test_a_sensor_that_stands_still_is_marked() -> None:
    trace = PowerTrace()
    for nth in range(60):
        trace.add(nth * 0.1, [Rail("VDD_IN", 9_000)])
    found = [trace.is_frozen]
    trace.add(6.0, [Rail("VDD_IN", 9_001)])
    found.append(trace.is_frozen)
    for nth in range(30):
        trace.add(6.1 + nth * 0.01, [Rail("VDD_IN", 9_001)])
    assert [*found, trace.is_frozen] == [True, False, False]


@pytest.mark.claim("PM-03")
def test_industrial_io_has_power_itself() -> None:
    chip = b"/sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
    lines = [
        chip + b"rail_name_0:POM_5V_IN", chip + b"rail_name_1:POM_5V_GPU",
        chip + b"in_power0_input:4210", chip + b"in_power1_input:120",
        chip + b"in_power2_input:1", b"@@sample",
    ]  # fmt: skip
    assert rails_of(lines) == [Rail("POM_5V_IN", 4210), Rail("POM_5V_GPU", 120)]
