"""The grammar by table: each generation, each field, each three-state value."""

from __future__ import annotations

import json

import pytest

from cohete.tegra import Core, Engine, Rail, Zone, parse
from cohete.tegra.export import as_dict
from cohete.tegra.rules import contradicted_by
from cohete.tegra.stats import TegraStats
from tests import lines

pytestmark = pytest.mark.claim("TM-01")


def sample(line: str) -> TegraStats:
    stats = parse(line)
    assert stats is not None
    return stats


@pytest.mark.parametrize("line", lines.ALL)
def test_no_token_of_any_generation_is_lost(line: str) -> None:
    assert sample(line).unknown_tokens == 0


@pytest.mark.parametrize("line", lines.ALL)
def test_fields_are_found_by_token_not_by_position(line: str) -> None:
    head, _, tail = line.partition("MB) ")
    reversed_rails = " ".join([head + "MB)", "X_RAIL 5mW/6mW", tail, "Z_RAIL 7mW/8mW"])
    stats, plain = sample(reversed_rails.replace("  ", " ")), sample(line)
    assert stats.cores == plain.cores
    assert stats.zones == plain.zones
    assert {rail.name for rail in stats.rails} - {rail.name for rail in plain.rails} == {
        "X_RAIL",
        "Z_RAIL",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RAM 1/2MB (lfb 22x4MB)", (22, 4096)),
        ("RAM 1/2MB (lfb 8x512kB)", (8, 512)),
        ("RAM 1/2MB (lfb 60x1MB)", (60, 1024)),
        ("RAM 1/2MB", (None, None)),
        ("RAM 1/2MB (lfb 4097MB)", (None, None)),
    ],
)
def test_largest_free_block(line: str, expected: tuple[int | None, int | None]) -> None:
    stats = sample(line)
    assert (stats.lfb_blocks, stats.lfb_kb) == expected


def test_memory_of_every_kind() -> None:
    stats = sample(lines.NANO)
    assert (stats.ram_used_mb, stats.ram_total_mb) == (1923, 3964)
    assert (stats.swap_used_mb, stats.swap_total_mb, stats.swap_cached_mb) == (191, 1982, 6)
    assert (stats.iram_used_kb, stats.iram_total_kb, stats.iram_lfb_kb) == (0, 252, 252)
    spaced = sample(lines.NANO.replace("252kB(lfb", "252kB (lfb"))
    assert spaced == stats


def test_no_swap_is_unknown_not_zero() -> None:
    stats = sample(lines.TX2_USER)
    assert stats.swap_total_mb is None
    assert stats.swap_used_mb is None


def test_cores_loaded_off_and_with_a_shared_clock() -> None:
    assert sample(lines.TX1).cores == (Core(17, 408), Core(None, None, off=True), Core(29, 408),
                                       Core(5, 408))  # fmt: skip
    stats = sample(lines.TX2_USER)
    assert stats.cores == (Core(0, 2035), Core(None, None, off=True), Core(7, 2035))
    assert stats.cores_online == 2
    assert stats.cpu_percent == 3.5


def test_gpu_load_is_known_off_or_unknown() -> None:
    assert sample(lines.TK1).gpu_percent == 5
    assert sample(lines.XAVIER_USER).gpu_percent == 99
    assert sample(lines.XAVIER_USER).gpu_mhz == ()
    thor = sample(lines.THOR_R38)
    assert thor.gpu_percent is None
    assert thor.gpu_mhz == (314, 314, 314)
    assert sample(lines.TX2_USER).gpu_percent is None
    assert sample("RAM 1/2MB GR3D_FREQ off").gpu_off


def test_second_gpu_cluster_is_a_clock_of_the_same_gpu() -> None:
    stats = sample(lines.ORIN_R35)
    assert (stats.gpu_percent, stats.gpu_mhz) == (7, (114, 115))
    assert "GR3D2_FREQ" not in {engine.name for engine in stats.engines}


def test_second_gpu_cluster_of_a_line_without_root_measured_no_clock() -> None:
    stats = sample("RAM 1/2MB EMC_FREQ 0% GR3D_FREQ 70% GR3D2_FREQ 0%@0 cpu@40C")
    assert (stats.gpu_percent, stats.gpu_mhz) == (70, ())


def test_emc_without_a_clock_and_zero_was_not_measured() -> None:
    assert sample(lines.XAVIER_USER).emc_percent is None
    assert sample(lines.NANO).emc_percent == 0
    assert sample("RAM 1/2MB EMC_FREQ 95%").emc_percent == 95
    assert sample("RAM 1/2MB EMC_FREQ @1600").emc_mhz == 1600


def test_engines_with_load_clock_or_off() -> None:
    assert sample(lines.ORIN_R36).engines == (
        Engine("NVENC", 79, (166,)),
        Engine("NVDEC", None, (), off=True),
        Engine("APE", None, (200,)),
    )
    assert sample(lines.THOR_R38).engines[0] == Engine("NVENC0_FREQ", None, (314,))
    assert sample(lines.TK1).engines == (Engine("AVP", 0, (12,)), Engine("VDE", None, (120,)))
    assert sample(lines.TK1).edp_limit == 0


def test_denver_load_and_both_of_its_numbers() -> None:
    stats = sample("RAM 1/2MB MTS fg 1% bg 3%")
    assert (stats.mts_fg_percent, stats.mts_bg_percent) == (1, 3)


def test_gated_zone_is_off_and_maximum_is_kept() -> None:
    zones = {zone.name: zone for zone in sample(lines.ORIN_R35).zones}
    assert zones["GPU"] == Zone("GPU", None)
    assert {z.name: z.max_c for z in sample(lines.ORIN_R39).zones}["gpu"] == 46.843
    assert sample("RAM 1/2MB BCPU@-45C").zones[0].celsius == -45


def test_rails_keep_sign_average_maximum_and_repeats_apart() -> None:
    rails = {rail.name: rail for rail in sample(lines.ORIN_R36).rails}
    assert rails["VDD_CPU_GPU_CV"] == Rail("VDD_CPU_GPU_CV", -398, 4667)
    assert sample(lines.ORIN_R39).rails[0] == Rail("VDD_IN", 3462, 3522, 3582)
    names = [rail.name for rail in sample(lines.ORIN_R35).rails]
    assert names[-1] == "NC#2"
    assert names.count("NC") == 1
    assert sample("RAM 1/2MB VDD_IN 4521mW").rails[0] == Rail("VDD_IN", 4521)


def test_xavier_rail_zone_and_cores_of_one_name() -> None:
    stats = sample(lines.XAVIER_USER)
    assert {rail.name: rail.cur_mw for rail in stats.rails}["CPU"] == 2301
    assert {zone.name: zone.celsius for zone in stats.zones}["GPU"] == 54.5
    assert len(stats.cores) == 2


@pytest.mark.parametrize(
    ("line", "power_mw"),
    [
        (lines.NANO, 1750),
        (lines.XAVIER_USER, 18401 + 2301 + 2936 + 0 + 309 + 3306),
        (lines.ORIN_R35, 2399 + 400 + 4032),
        (lines.ORIN_R36, 12479),
        (lines.THOR_R38, 19780),
        (lines.TX2_USER, 3624),
        (lines.TK1, None),
        ("RAM 1/2MB VDD_GPU_SOC 2171mW", None),
        ("RAM 1/2MB VDD_GPU 1mW/1mW VDD_CPU_SOC_MSS 2mW/2mW VIN_SYS_5V0 3mW/3mW", None),
    ],
)
def test_module_total_counts_no_rail_twice(line: str, power_mw: int | None) -> None:
    assert sample(line).power_mw == power_mw


def test_swapped_rail_labels_are_noticed() -> None:
    swapped = sample("RAM 1/2MB POM_5V_GPU 8949/8742 POM_5V_IN 3227/3086 POM_5V_CPU 3148/3134")
    suspect = contradicted_by(swapped.rails)
    assert suspect is not None
    assert suspect.name == "POM_5V_GPU"
    assert contradicted_by(sample(lines.NANO).rails) is None


@pytest.mark.claim("TM-05")
@pytest.mark.parametrize(
    ("line", "zone", "celsius"),
    [
        (lines.NANO, "AO", 45.0),
        (lines.XAVIER_USER, "GPU", 54.5),
        (lines.ORIN_R35, "CPU", 42.593),
        (lines.ORIN_R36, "cpu", 53.968),
        (lines.THOR_R38, "gpu", 38.875),
        ("RAM 1/2MB tj@70C soc1@60C", "tj", 70.0),
        ("RAM 1/2MB cv0@91C cpu@50C", "cv0", 91.0),
        ("RAM 1/2MB BCPU@-45C GPU@-51C", "BCPU", -45.0),
        ("RAM 1/2MB PMIC@100C Tboard@90C iwlwifi@80C GPU@-256C", None, None),
    ],
)
def test_hottest_valid_zone(line: str, zone: str | None, celsius: float | None) -> None:
    hottest = sample(line).hottest
    assert (hottest.name if hottest else None) == zone
    assert (hottest.celsius if hottest else None) == celsius


@pytest.mark.parametrize(
    "line",
    ["", "   ", "Welcome to Ubuntu", "EMC_FREQ 95% GR3D_FREQ 99%", "[sudo] password for nvidia:",
     "RAM 4..7/99MB", "RAM 12/34GB", "PROGRAM 1/2MB", "RAM", "RAM 1/", "\x00\x1b]0;x\x07"],
)  # fmt: skip
def test_lines_that_are_no_sample(line: str) -> None:
    assert parse(line) is None


def test_runs_of_spaces_and_a_prefix_are_fine() -> None:
    wide = lines.ORIN_R36.replace(" ", "    ").replace("05-09-2026    18", "05-09-2026 18")
    assert sample(wide) == sample(lines.ORIN_R36)
    assert sample("host tegrastats[12]: " + lines.NANO).ram_used_mb == 1923


def test_a_torn_line_keeps_what_is_whole() -> None:
    torn = lines.ORIN_R36[: lines.ORIN_R36.index("soc2@") + 7]
    stats = sample(torn)
    assert stats.gpu_percent == 63
    assert [zone.name for zone in stats.zones] == ["cpu"]
    assert stats.unknown_tokens == 1


def test_a_hostile_line_is_bounded() -> None:
    line = "RAM 1/2MB CPU [" + ",".join(["1%@1"] * 500) + "] " + " ".join(
        f"R{n} 1mW/1mW Z{n}@1C" for n in range(500)
    )  # fmt: skip
    stats = sample(line)
    assert len(stats.cores) == 64
    assert len(stats.rails) == 64
    assert len(stats.zones) == 64
    assert stats.unknown_tokens > 0


def test_export_leaves_gated_zones_out_and_off_cores_null() -> None:
    document = as_dict(sample(lines.ORIN_R35))
    json.dumps(document)
    assert set(document) == {
        "ram_used_mb", "ram_total_mb", "lfb_blocks", "lfb_kb", "swap_used_mb", "swap_total_mb",
        "swap_cached_mb", "cpu_percent", "cpu_mhz", "gpu_percent", "gpu_mhz", "emc_percent",
        "emc_mhz", "engines", "temps_c", "temps_max_c", "rails_mw", "rails_avg_mw",
        "rails_max_mw", "power_mw", "hottest_zone", "hottest_c", "time",
    }  # fmt: skip
    temperatures = document["temps_c"]
    assert isinstance(temperatures, dict)
    assert "GPU" not in temperatures
    assert as_dict(sample(lines.TX2_USER))["cpu_percent"] == [0, None, 7]
    assert document["time"] == "04-24-2023 00:01:24"
    engines = as_dict(sample(lines.ORIN_R36))["engines"]
    assert engines == {
        "NVENC": {"percent": 79, "mhz": 166, "off": False},
        "NVDEC": {"percent": None, "mhz": None, "off": True},
        "APE": {"percent": None, "mhz": 200, "off": False},
    }
