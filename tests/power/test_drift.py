"""Where a board is not as its mode says."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cohete.power.drift import parse_drift


def line(param: str, arg: str, path: str, real: str, conf: str) -> str:
    return f"NVPM VERB: PARAM {param}: ARG {arg}: PATH {path}: REAL_VAL: {real} CONF_VAL: {conf}\n"


def test_the_real_captures_have_no_drift(corpus: Path) -> None:
    folder = corpus / "nvpmodel_out"
    for name in (
        "q_verbose_orin_nano_super_25w_r36_4_3.txt",
        "q_verbose_tx2_old_head.txt",
        "q_verbose_xavier_gpu_lines.txt",
    ):
        assert parse_drift((folder / name).read_text()) == [], name


def test_a_value_that_somebody_changed() -> None:
    text = line("CPU_A78_0", "MAX_FREQ", "/cpu0/max", "960000", "1344000") + line(
        "GPU", "MAX_FREQ", "/gpu/max", "918000000", "-1"
    )
    (drift,) = parse_drift(text)
    assert str(drift) == "CPU_A78_0 MAX_FREQ is 960000, the mode says 1344000"


def test_of_two_that_write_one_file_the_last_counts() -> None:
    first = line("GPU_POWER_CONTROL_ENABLE", "EN", "/gpu/control", "auto", "on")
    last = line("GPU_POWER_CONTROL_DISABLE", "DIS", "/gpu/control", "auto", "auto")
    assert parse_drift(first + last) == []
    assert len(parse_drift(last + first)) == 1


@given(st.text(max_size=400))
def test_nothing_raises(text: str) -> None:
    parse_drift(text)
    parse_drift("PARAM a: ARG b: PATH /c: REAL_VAL: " + text)
