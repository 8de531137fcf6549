"""Processes, network and disks: rates from two readings, and whatever a device may print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.activity import Counters, Filesystem, Ticks, between, counters_from
from cohete.links.commands import activity

SECTIONS = {
    "uptime": b"1000.50 4000.00\n",
    "ticks": b"100\n",
    "page": b"4096\n",
    "network": (
        b"Inter-|   Receive                            |  Transmit\n"
        b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
        b"    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
        b"  eth0: 1000 9 1 2 0 0 0 0 5000 8 3 4 0 0 0 0\n"
        b"l4tbr0:70 1 0 0 0 0 0 0 80 1 0 0 0 0 0 0\n"
    ),
    "disks": (
        b"   7       0 loop0 11 0 28 0 0 0 0 0 0 4 0 0 0 0 0 0 0\n"
        b" 179       0 mmcblk0 10 0 100 5 20 0 200 6 0 300 11\n"
        b" 179       1 mmcblk0p1 10 0 100 5 20 0 200 6 0 300 11\n"
        b" 259       0 nvme0n1 10 0 2000 5 20 0 4000 6 0 700 11 0 0 0 0 0 0\n"
    ),
    "df": (
        b"Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
        b"/dev/nvme0n1p1    61255492 25114752  33000000      44% /\n"
        b"tmpfs              3900000        0   3900000       0% /dev/shm\n"
        b"/dev/loop3           65536    65536         0     100% /snap/core20\n"
        b"/dev/nvme0n1p1    61255492 25114752  33000000      44% /var/lib/docker dir\n"
    ),
    "processes": (
        b"1 500 3300\n42 10 100 systemd\n77 300 25600 detect (yolo) x\n78 5 0 kworker/0:1\n"
    ),
}


def test_one_reading_has_no_rates() -> None:
    found = between(None, counters_from(SECTIONS))
    assert found.span_s is None
    assert [(p.pid, p.name, p.cpu_percent) for p in found.processes] == [
        (42, "systemd", None), (77, "detect (yolo) x", None), (78, "kworker/0:1", None),
    ]  # fmt: skip
    assert found.processes[1].rss_mb == 100
    assert [(i.name, i.rx_bytes_s, i.errors) for i in found.interfaces] == [
        ("eth0", None, 10), ("l4tbr0", None, 0),
    ]  # fmt: skip
    assert [disk.name for disk in found.disks] == ["mmcblk0", "nvme0n1"]
    assert found.filesystems == (Filesystem("/dev/nvme0n1p1", "/", 24526, 59819),)
    assert not found.gpu_known


def test_two_readings_make_rates() -> None:
    later = {
        **SECTIONS,
        "uptime": b"1002.50 1.0\n",
        "network": SECTIONS["network"].replace(b"eth0: 1000", b"eth0: 5000"),
        "disks": SECTIONS["disks"].replace(b"4000 6 0 700", b"8000 6 0 1700"),
        "processes": b"42 10 100 systemd\n77 450 25600 detect (yolo) x\n78 90 0 other\n",
    }
    found = between(counters_from(SECTIONS), counters_from(later))
    assert found.span_s == 2
    assert [p.cpu_percent for p in found.processes] == [0, 75, None]
    assert found.interfaces[0].rx_bytes_s == 2000
    nvme = found.disks[1]
    assert nvme.write_bytes_s == 4000 * 512 / 2
    assert nvme.busy_percent == 50


def test_after_a_reboot_nothing_is_negative() -> None:
    before = counters_from(SECTIONS)
    found = between(before, counters_from({**SECTIONS, "uptime": b"3.0 1.0\n"}))
    assert found.span_s is None
    assert all(process.cpu_percent is None for process in found.processes)
    less = Counters(uptime_s=1001.5, processes={77: Ticks(1, 1, "detect (yolo) x")})
    assert between(before, less).processes[0].cpu_percent is None


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, None),
        ({"nvmap": b"sudo: a password is required\n"}, None),
        (
            {"nvmap": b"CLIENT                        PROCESS      PID        SIZE\n"
                      b"user                          python3     2345     823296K\n"
                      b"user                    my model (a)       77       2048K\n"
                      b"user                          python3     2345       1024K\n"
                      b"total                                             826368K\n"},
            {2345: 805, 77: 2},
        ),
        ({"nvmap": b"CLIENT   PROCESS   PID   SIZE\ntotal    0K\n"}, {}),
        ({"compute_apps": b"77, 512\n90, 12\n"}, {77: 512, 90: 12}),
        ({"compute_apps": b""}, {}),
        ({"compute_apps": b"NVIDIA-SMI has failed\n"}, None),
        ({"compute_apps": b"77, [N/A]\n"}, None),
    ],
)  # fmt: skip
def test_gpu_memory_is_known_empty_or_unknown(
    sections: dict[str, bytes], expected: dict[int, int] | None
) -> None:
    assert counters_from(sections).gpu_mb == expected


@given(st.dictionaries(st.sampled_from([*SECTIONS, "nvmap", "compute_apps"]), st.binary()))
def test_nothing_that_is_printed_raises(sections: dict[str, bytes]) -> None:
    found = between(counters_from(SECTIONS), counters_from(sections))
    assert all(process.name.isprintable() for process in found.processes)


@pytest.mark.parametrize("name", [*SECTIONS, "nvmap", "compute_apps"])
@pytest.mark.parametrize(
    "line",
    [
        "eth0: " + "1" * 60 + "x",
        "eth0:" + " 1234567890" * 18,
        "8 0 sda " + "1" * 60 + "x",
        "8 0 sda" + " 1" * 60_000 + " x",
        "a" + " " * 4_000 + "x",
        "1,2" + " " * 60_000 + "x",
        "/dev/a " + " 1" * 30_000,
        "1 2 3 " + "a" * 200_000,
    ],
)
def test_no_line_takes_long(name: str, line: str) -> None:
    head = "CLIENT PROCESS PID SIZE\n" if name == "nvmap" else ""
    counters_from({name: f"{head}{line}\n{line}".encode()})


def test_a_name_is_made_harmless() -> None:
    evil = b"7 1 1 \x1b[2J\x1b]0;x\x07" + b"A" * 400
    name = counters_from({"processes": evil}).processes[7].name
    assert name.isprintable()
    assert len(name) <= 32


def test_root_is_asked_for_gpu_memory_only_where_it_is_allowed() -> None:
    assert "sudo" not in activity(sudo=False, thor=True)[-1]
    assert "sudo -n /usr/bin/cat /sys/kernel/debug/nvmap" in activity(sudo=True, thor=False)[-1]
    assert "nvidia-smi" not in activity(sudo=True, thor=False)[-1]
