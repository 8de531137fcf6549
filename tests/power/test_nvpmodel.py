"""nvpmodel's file and its answers: every real file, every prompt, whatever a device prints."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.identity import parse_power_mode
from cohete.power.nvpmodel import Outcome, PowerConf, classify, parse_conf
from cohete.power.reading import power_from
from tests.conftest import CORPUS

CONF = """
# < POWER_MODEL ID=id_num NAME=mode_name >
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
CORE_1 /sys/devices/system/cpu/cpu1/online
CORE_1_KNEXT /sys/devices/system/cpu/cpu1/online
<PARAM TYPE=CLOCK NAME=EMC >
MAX_FREQ /sys/kernel/nvpmodel_emc_cap/emc_iso_cap
< PARAM TYPE=HWMON NAME=VDDIN_OC_LIMIT >
WARN /sys/bus/i2c curr1_crit 3000
< POWER_MODEL ID=0 NAME=MAXN >
CPU_A78_0 MAX_FREQ -1
GPU MAX_FREQ 2147483647
EMC MAX_FREQ 0
TPC_POWER_GATING TPC_PG_MASK 240
< POWER_MODEL ID=7 NAME=MODE_15W_2CORE >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 0
CPU_A78_0 MAX_FREQ 1497600
GPU MAX_FREQ 612000000
EMC MAX_FREQ 2133000000
TPC_POWER_GATING TPC_PG_MASK 252
VDDIN_OC_LIMIT WARN 3000
< PM_CONFIG DEFAULT=7 >
"""


def test_modes_their_caps_and_the_default() -> None:
    conf = parse_conf(CONF)
    assert [(mode.id, mode.name, mode.watts) for mode in conf.modes] == [
        (0, "MAXN", None), (7, "MODE_15W_2CORE", 15),
    ]  # fmt: skip
    assert conf.default == 7
    full, low = map(conf.caps, conf.modes)
    assert (full.cores_online, full.cores) == (2, 2)
    assert (full.highest_cpu_mhz, full.gpu_mhz, full.emc_mhz) == (None, None, None)
    assert low.cores_online == 1
    assert (low.highest_cpu_mhz, low.gpu_mhz, low.emc_mhz) == (1497.6, 612, 2133)
    assert conf.mode("maxn") is conf.modes[0]
    assert conf.mode("25W") is None
    assert conf.asks_for_reboot(conf.modes[0], conf.modes[1])
    assert not conf.asks_for_reboot(conf.modes[0], conf.modes[0])


def real() -> list[dict[str, str]]:
    path = CORPUS / "misc" / "nvpmodel_modes_derived.tsv"
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.skipif(not real(), reason="the corpus is not beside the project")
def test_every_real_file_gives_its_modes() -> None:
    confs: dict[str, PowerConf] = {}
    seen = 0
    for row in real():
        name = row["conf"]
        if name not in confs:
            text = (CORPUS / "nvpmodel_conf" / f"{name}.conf").read_text(errors="replace")
            confs[name] = parse_conf(text)
        conf = confs[name]
        mode = next(mode for mode in conf.modes if mode.id == int(row["id"]))
        caps = conf.caps(mode)
        assert mode.name == row["name"]
        assert conf.default == int(row["default"])
        # What a mode does not name stays as it is: the TX2's first core is always on.
        unnamed = conf.cores - len([arg for param, arg in mode.values if param == "CPU_ONLINE"])
        assert caps.cores_online - unnamed == int(row["cores_online"])
        assert _hz(caps.gpu_mhz, 1_000_000) == _capped(row["gpu_max_Hz"])
        assert _hz(caps.emc_mhz, 1_000_000) == _capped(row["emc_max_Hz"])
        assert caps.gating.get("TPC_PG_MASK", "") == row["tpc_pg_mask"]
        seen += 1
    assert seen == len(real())
    assert len(confs) >= 17


def _hz(mhz: float | None, factor: int) -> int | None:
    return None if mhz is None else round(mhz * factor)


def _capped(text: str) -> int | None:
    return int(text) if text and int(text) > 0 else None


@pytest.mark.parametrize(
    ("output", "status", "expected"),
    [
        ("", 0, Outcome.DONE),
        ("NVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13", 0, Outcome.DONE),
        ("NVPM WARN: Golden image context is already created\n"
         "NVPM WARN: Reboot required for changing to this power mode: 1\n"
         "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:\nNVPM ERROR: bad input!",
         255, Outcome.REBOOT_NEEDED),
        ("NVPM WARN: rebooting", 0, Outcome.REBOOTING),
        ("NVPM ERROR: request for bad power mode 2", 255, Outcome.NO_SUCH_MODE),
        ("sudo: a password is required", 1, Outcome.NOT_ALLOWED),
        ("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13", 255, Outcome.NOT_ALLOWED),
        ("NVPM ERROR: something else", 1, Outcome.FAILED),
        ("", None, Outcome.FAILED),
    ],
)  # fmt: skip
def test_what_a_change_came_to(output: str, status: int | None, expected: Outcome) -> None:
    assert classify(output, status) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m_bad_mode", Outcome.NO_SUCH_MODE),
        ("m_force_in_container", Outcome.REBOOTING),
        ("m_reboot_prompt_declined", Outcome.REBOOT_NEEDED),
        ("m_reboot_prompt_eof", Outcome.REBOOT_NEEDED),
        ("m_reboot_prompt_yes", Outcome.REBOOTING),
    ],
)
def test_what_real_boards_said_to_a_change(corpus: Path, name: str, expected: Outcome) -> None:
    said = (corpus / f"nvpmodel_out/{name}.txt").read_text()
    assert classify(said, 0) is expected
    assert classify(said, 255) is expected


@pytest.mark.claim("PM-01")
def test_what_nvpmodel_lists_is_what_its_file_says(corpus: Path) -> None:
    nano = parse_conf((corpus / "nvpmodel_out/p_verbose_nano.txt").read_text())
    file = parse_conf((corpus / "nvpmodel_conf/p3448_nano_rageer.conf").read_text())
    assert [(mode.id, mode.name) for mode in nano.modes] == [(0, "MAXN"), (1, "5W")]
    assert (nano.default, nano.cores) == (0, 4)
    assert {mode.name for mode in nano.modes} <= {mode.name for mode in file.modes}
    listed, read = nano.mode("5W"), file.mode("5W")
    assert listed is not None
    assert read is not None
    assert nano.caps(listed) == file.caps(read)
    xavier = parse_conf((corpus / "nvpmodel_out/p_verbose_agx_xavier.txt").read_text())
    chosen = next(mode for mode in xavier.modes if mode.id == xavier.default)
    assert (chosen.name, xavier.cores, len(xavier.modes)) == ("MODE_15W", 8, 7)
    caps = xavier.caps(chosen)
    assert (caps.cores_online, caps.gpu_mhz) == (4, 670.0)
    # A board whose file nobody may read.
    power = power_from(
        {
            "nvpmodel_conf": b"cat: /etc/nvpmodel.conf: Permission denied",
            "nvpmodel": b"NV Power Mode: 5W\n1\n",
            "nvpmodel_listing": (corpus / "nvpmodel_out/p_verbose_nano.txt").read_bytes(),
        }
    )
    assert power.current_mode == listed
    assert power.note == ""


def test_the_status_file_is_no_answer(corpus: Path) -> None:
    """What is kept for the next start says an id, which means nothing without the board's file."""
    assert (
        parse_power_mode((corpus / "nvpmodel_out/var_lib_nvpmodel_status.txt").read_text()) is None
    )


@pytest.mark.parametrize("line", ["<PARAM" + " " * 8_000 + "x", "< PARAM " + "A=" * 60_000])
def test_no_line_takes_long(line: str) -> None:
    assert parse_conf(f"{line}\n{CONF}\n{line}").default == 7


@given(st.text())
def test_nothing_a_file_holds_raises(text: str) -> None:
    conf = parse_conf(f"< POWER_MODEL ID=1 NAME=A >\n{text}\n< PARAM {text} >\n{text}")
    for mode in conf.modes:
        conf.caps(mode)
