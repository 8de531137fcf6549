"""Throttling is noticed, and heat, over-current and the mode's own cap are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.thermal.throttle import Cause, cooling_states, event_counts, throttled_by

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
