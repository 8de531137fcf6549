"""Throttling is noticed, and heat, over-current and the mode's own cap are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.device.identity import Facts
from cohete.fleet.store import FleetStore
from cohete.simulator.faults import Fault
from cohete.simulator.workload import Workload
from cohete.thermal.throttle import (
    Cause,
    cooling_states,
    event_counts,
    held_back_from,
    throttled_by,
)
from tests.boards import simulated, until, watched

COOLING = """\
/sys/class/thermal/cooling_device0/type:cpufreq-cpu0
/sys/class/thermal/cooling_device0/cur_state:3
/sys/class/thermal/cooling_device1/type:pwm-fan
/sys/class/thermal/cooling_device1/cur_state:4
/sys/class/thermal/cooling_device2/type:devfreq-17000000.gpu
/sys/class/thermal/cooling_device2/cur_state:0
"""
EVENTS = "/sys/class/hwmon/hwmon2/oc1_event_cnt:4\n/sys/class/hwmon/hwmon2/oc3_event_cnt:0\n"


@pytest.mark.claim("TM-13")
def test_each_cause_is_told_apart() -> None:
    cooling = cooling_states(COOLING)
    assert cooling == {"cpufreq-cpu0": 3, "devfreq-17000000.gpu": 0}
    events = event_counts(EVENTS)
    assert events == {"oc1": 4, "oc3": 0}
    (heat,) = throttled_by(cooling, events, events)
    assert (heat.cause, heat.words) == (Cause.HEAT, "the kernel cools: cpufreq-cpu0 3")
    (current,) = throttled_by({}, events, {"oc1": 1, "oc3": 0})
    assert (current.cause, current.words) == (
        Cause.OVER_CURRENT, "over-current events since: oc1 3",
    )  # fmt: skip
    clocks = {"GPU": (408.0, 408.0, 918.0), "CPU": (1984.0, 1984.0, 1984.0)}
    (mode,) = throttled_by({}, {}, {}, clocks)
    assert (mode.cause, mode.words) == (Cause.MODE, "GPU at most 408 of 918 MHz by its mode")
    # Below what the mode allows: that is not the mode's doing.
    assert throttled_by({}, {}, {}, {"GPU": (306.0, 408.0, 918.0)}) == []
    assert throttled_by({}, events, None) == []


@given(st.text(max_size=200))
def test_nothing_raises(text: str) -> None:
    cooling_states(text)
    event_counts("/sys/class/hwmon/hwmon2/oc1_event_cnt:" + text)


@pytest.mark.claim("TM-13")
def test_a_device_tells_of_it_once() -> None:
    clock = ManualClock()
    store = FleetStore([DeviceSpec("a", Target("h"))], clock)
    device = store["a"]
    calm = COOLING.replace("cur_state:3", "cur_state:0") + EVENTS
    capped = (
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq:1344000\n"
        "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq:1984000\n"
    )
    for text in (calm + capped, COOLING + EVENTS, COOLING + EVENTS, calm):
        store.apply_facts(device, Facts(held_back=held_back_from(text)))
    told = [event.text for event in store.events if event.kind == "throttled"]
    assert told == ["by heat: the kernel cools: cpufreq-cpu0 3"]
    store.apply_facts(device, Facts(held_back=held_back_from(calm.replace("cnt:4", "cnt:9"))))
    assert [event.text for event in store.events][-1] == (
        "by over-current: over-current events since: oc1 5"
    )
    # Started anew: the counters begin at nothing.
    store.apply_facts(device, Facts(held_back=held_back_from(calm.replace("cnt:4", "cnt:0"))))
    assert not list(device.throttling)
    store.apply_facts(device, Facts(held_back=held_back_from(calm + capped)))
    assert [each.words for each in device.throttling if each.cause is Cause.MODE] == [
        "CPU at most 1344 of 1984 MHz by its mode"
    ]


async def test_a_simulated_board_that_throttles(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path) as (fleet, config, specs):
        board = next(iter(fleet.hosts.values())).board
        board.faults.add(Fault.OVERHEAT)
        board.workload = Workload.TRAINING
        board.settle(1800)
        async with watched(config, specs) as session:
            device = session.store[specs[0].id]
            await until(lambda: device.facts is not None)
            assert Cause.HEAT in {each.cause for each in device.throttling}
