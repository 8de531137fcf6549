"""Where the kernel of a board throttles: its passive trip points, of the module only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.temperatures import LOWEST_THROTTLE_C, throttle_from

ZONES = "/sys/class/thermal/thermal_zone"


def section(*zones: tuple[str, list[tuple[str, int]]]) -> bytes:
    lines = []
    for nth, (name, trips) in enumerate(zones):
        lines.append(f"{ZONES}{nth}/type:{name}")
        for trip, (kind, millidegrees) in enumerate(trips):
            lines.append(f"{ZONES}{nth}/trip_point_{trip}_type:{kind}")
            lines.append(f"{ZONES}{nth}/trip_point_{trip}_temp:{millidegrees}")
    return "\n".join(lines).encode()


CPU = ("CPU-therm", [("active", 51_000), ("passive", 97_000), ("critical", 102_500)])


@pytest.mark.parametrize(
    ("zones", "celsius"),
    [
        ([CPU], 97.0),
        ([CPU, ("GPU-therm", [("passive", 88_000)])], 88.0),
        ([CPU, ("Tboard_tegra", [("passive", 70_000)])], 97.0),
        ([CPU, ("PMIC-Die", [("passive", 70_000)])], 97.0),
        ([CPU, ("iwlwifi_1", [("passive", 65_000)])], 97.0),
        ([CPU, ("gpu-thermal", [("passive", -127_000)])], 97.0),
        ([CPU, ("gpu-thermal", [("passive", 9_700)])], 97.0),
        ([("CPU-therm", [("active", 51_000), ("critical", 102_500)])], None),
        ([], None),
    ],
)
def test_the_lowest_of_the_module(
    zones: list[tuple[str, list[tuple[str, int]]]], celsius: float | None
) -> None:
    assert throttle_from(section(*zones)) == celsius


@given(st.integers(0, 400))
def test_an_answer_cut_off_anywhere_never_lowers_it(length: int) -> None:
    found = throttle_from(section(CPU, ("GPU-therm", [("passive", 98_500)]))[:length])
    assert found is None or found >= 97


@given(st.binary(max_size=300))
def test_a_hostile_board_never_raises(data: bytes) -> None:
    found = throttle_from(data)
    assert found is None or found >= LOWEST_THROTTLE_C
