"""Facts from what a probe prints: real shapes, missing files, hostile strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.identity import (
    Backend,
    Facts,
    PowerMode,
    compute_hint,
    facts_from,
    parse_power_mode,
    sharing,
)
from cohete.device.rooms import Room
from cohete.links.commands import MARK, PROBES, probe_script, split_sections

SECTIONS = {
    "model": b"NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0",
    "compatible": b"nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0",
    "l4t": b"# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic\n",
    "jetpack": b"dpkg-query: no packages found matching nvidia-jetpack\n",
    "nvpmodel": b"NV Power Mode: 25W\n3\n",
    "meminfo": b"MemTotal:       16031744 kB\nMemAvailable:   12000000 kB\n",
    "cpuinfo": b"Features\t: fp asimd evtstrm\n",
    "cuda": b"/dev/nvhost-gpu\n/usr/local/cuda\nls: cannot access '/dev/nvidiactl'\n",
    "hostname": b"nx-01\n",
    "uptime": b"18000.25 1000.00\n",
    "machine_id": b"0123456789abcdef0123456789abcdef\n",
}


def test_a_whole_board() -> None:
    facts = facts_from(SECTIONS)
    assert facts.module_name == "Orin NX 16GB"
    assert (facts.l4t, facts.jetpack) == ("36.4.4", "JetPack 6.2.1")
    assert facts.power_mode == PowerMode("25W", 3)
    assert (facts.memory_total_mb, facts.memory_available_mb) == (15656, 11718)
    assert facts.uptime_s == 18000.25
    assert facts.tops == 100


def test_compute_hint_is_measured() -> None:
    hint = compute_hint(facts_from(SECTIONS), reserve_mb=718)
    assert hint.backend is Backend.GPU
    assert hint.prefer_neon
    assert hint.memory_budget_mb == 11000


def test_compute_hint_knows_what_it_does_not_know() -> None:
    hint = compute_hint(facts_from({}))
    assert (hint.prefer_neon, hint.cuda_available, hint.memory_budget_mb) == (False, False, None)
    assert hint.backend is Backend.SCALAR


def test_neon_is_called_asimd_by_the_kernel() -> None:
    assert facts_from({"cpuinfo": b"Features : fp asimd"}).has_neon is True
    assert facts_from({"cpuinfo": b"Features : fp crc32"}).has_neon is False
    assert facts_from({}).has_neon is None


def test_nothing_answered() -> None:
    facts = facts_from({probe.name: b"cat: no such file\n" for probe in PROBES})
    assert facts.module is None
    assert facts.module_name == "unknown board"
    assert facts.power_mode is None
    assert facts.memory_total_mb is None


@given(st.dictionaries(st.sampled_from([p.name for p in PROBES]), st.binary(max_size=300)))
def test_any_answer_is_survived_and_printable(sections: dict[str, bytes]) -> None:
    facts = facts_from(sections)
    for text in (facts.model, facts.hostname, facts.kernel, facts.power_mode_note, facts.serial):
        assert text.isprintable() or not text


@pytest.mark.parametrize(
    ("output", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", PowerMode("MAXN", 0)),
        ("NV Fan Mode:quiet\nNV Power Mode: MODE_15W_DESKTOP\n7\nNVPM ERROR: x: 13\n",
         PowerMode("MODE_15W_DESKTOP", 7)),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: 5W\r\n1\r\n", PowerMode("5W", 1)),
        ("NVPM VERB: Current mode: NV Power Mode: 25W\n1\n", None),
        ("NVPM ERROR: no\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_power_mode_in_all_its_shapes(output: str, mode: PowerMode | None) -> None:
    assert parse_power_mode(output) == mode


def test_power_mode_of_real_boards(corpus: object) -> None:
    from tests.conftest import CORPUS

    files = sorted((CORPUS / "nvpmodel_out").glob("q_*.txt"))
    plain = [path for path in files if "verbose" not in path.name]
    assert len(plain) > 8
    for path in plain:
        assert parse_power_mode(path.read_text()) is not None, path.name


def test_one_script_reads_everything() -> None:
    script = probe_script()
    assert script.count(MARK) == len(PROBES)
    output = f"motd\n\n{MARK} model\nX\n\n{MARK} hostname\ny\n".encode()
    assert split_sections(output) == {"model": b"X", "hostname": b"y"}


def test_facts_that_are_read_again_share_what_has_not_changed() -> None:
    def read(uptime_s: float) -> Facts:
        return Facts(
            model="".join(["Jetson ", "Nano"]),
            power_mode=PowerMode("MAXN", 0),
            uptime_s=uptime_s,
            rooms=(Room("/dev/mmcblk0p1", "/", 100, 10),),
        )

    before, after = read(1.0), read(2.0)
    kept = sharing(after, before)
    assert kept == after
    assert kept.uptime_s == 2.0
    assert kept.power_mode is before.power_mode
    assert kept.model is before.model
    assert kept.rooms is before.rooms
    assert sharing(after, None) is after
