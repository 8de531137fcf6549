"""Every command the watching half of Cohete runs on a device, in one place for an auditor.

All of them only read, none of them needs root. The one that may use `sudo -n` does so only where
the configuration allows it for that device. Commands are argv tuples; `quote` joins them once.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

Argv = tuple[str, ...]

STREAM_LIMIT_S = 900
"""A stream ends by itself after this long and is started anew: should the connection vanish
without a trace, nothing of ours outlives it on the board by more than this."""

PROBE_LIMIT_S = 25
SECTION_LIMIT_BYTES = 16_384
MARK = "@@cohete"


def tegrastats(interval_ms: int, *, sudo: bool = False) -> Argv:
    """The stream of samples. With `sudo`, root's tegrastats, which also shows EMC and engines."""
    run: Argv = ("tegrastats", "--interval", str(interval_ms))
    if sudo:
        run = ("sudo", "-n", "/usr/bin/tegrastats", "--interval", str(interval_ms))
    return ("timeout", str(STREAM_LIMIT_S), *run)


def gpu_utilization(period_s: int) -> Argv:
    """A stream of GPU load in percent where tegrastats prints none (Thor)."""
    query = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    return ("timeout", str(STREAM_LIMIT_S), *query, "-l", str(period_s))


@dataclass(frozen=True, slots=True)
class Probe:
    """One fact to read; all of them travel in one round trip."""

    name: str
    argv: Argv


_HELD_BACK = (
    "/sys/class/thermal/cooling_device*/type /sys/class/thermal/cooling_device*/cur_state"
    " /sys/class/hwmon/hwmon*/oc*_event_cnt"
    " /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"
    " /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
)
"""What tells that the hardware holds a board back, and why."""

_SUPPLIES = " ".join(
    f"/sys/class/power_supply/*/{name}"
    for name in ("type", "status", "capacity", "energy_now", "power_now", "charge_now",
                 "current_now", "voltage_now")
)  # fmt: skip
"""A board on a battery tells how full it is, and what it draws."""


_ZONES = "/sys/class/thermal/thermal_zone*"
TRIPS = Probe(
    "trips", ("sh", "-c", f"grep -s . {_ZONES}/type {_ZONES}/trip_point_*_type "
              f"{_ZONES}/trip_point_*_temp"),
)  # fmt: skip
"""Where the kernel itself begins to throttle, and switches off."""


def _processes(condition: str) -> str:
    """Of each process: number, ticks of CPU, pages in memory, name (which may hold blanks)."""
    program = (
        '{at=match($0,/\\) [^)]*$/); split(substr($0,at+2),f," "); from=index($0,"(")+1;'
        f" if ({condition}) print $1,f[12]+f[13],f[22],substr($0,from,at-from)}}"
    )
    return f"cat /proc/[0-9]*/stat 2>/dev/null | awk {shlex.quote(program)}"


LARGE_PAGES = 12_800
"""Programs from here on, 50 MiB where a page has 4 KiB, are watched for leaks."""

PAGE = Probe("page", ("getconf", "PAGESIZE"))
MEMORY_PROBES: tuple[Probe, ...] = (
    Probe("meminfo", ("cat", "/proc/meminfo")),
    Probe("vmstat", ("grep", "-E", "^pswp(in|out) ", "/proc/vmstat")),
    Probe("psi", ("cat", "/proc/pressure/memory")),
    Probe("swaps", ("cat", "/proc/swaps")),
    Probe("buddyinfo", ("cat", "/proc/buddyinfo")),
    PAGE,
)

PROBES: tuple[Probe, ...] = (
    Probe("model", ("cat", "/proc/device-tree/model")),
    Probe("compatible", ("cat", "/proc/device-tree/compatible")),
    Probe("serial", ("cat", "/proc/device-tree/serial-number")),
    Probe("l4t", ("head", "-n", "1", "/etc/nv_tegra_release")),
    Probe("l4t_core", ("timeout", "5", "dpkg-query", "-W", "-f", "${Version}", "nvidia-l4t-core")),
    Probe("jetpack", ("timeout", "5", "dpkg-query", "-W", "-f", "${Version}", "nvidia-jetpack")),
    Probe("nvpmodel", ("timeout", "5", "nvpmodel", "-q")),
    Probe("cpuinfo", ("grep", "-m", "1", "-i", "^features", "/proc/cpuinfo")),
    Probe("hostname", ("uname", "-n")),
    Probe("kernel", ("uname", "-r")),
    Probe("uptime", ("cat", "/proc/uptime")),
    Probe("machine_id", ("cat", "/etc/machine-id")),
    Probe("interfaces", ("ip", "-j", "address")),
    Probe("df", ("timeout", "5", "df", "-P", "-k")),
    Probe("supplies", ("sh", "-c", f"grep -s . {_SUPPLIES}")),
    Probe("throttle", ("sh", "-c", f"grep -s . {_HELD_BACK}")),
    TRIPS,
    *MEMORY_PROBES,
    Probe("large", ("sh", "-c", f"{_processes(f'f[22]>={LARGE_PAGES}')} | head -n 64")),
    Probe("cuda", ("ls", "-d", "/dev/nvhost-gpu", "/dev/nvidiactl", "/usr/local/cuda")),
)


ACTIVITY_PROBES: tuple[Probe, ...] = (
    Probe("uptime", ("cat", "/proc/uptime")),
    Probe("ticks", ("getconf", "CLK_TCK")),
    PAGE,
    Probe("network", ("cat", "/proc/net/dev")),
    Probe("disks", ("cat", "/proc/diskstats")),
    Probe("df", ("timeout", "5", "df", "-P", "-k")),
    Probe("processes", ("sh", "-c", _processes("f[12]+f[13]+f[22]>0"))),
)
NVMAP = Probe("nvmap", ("sudo", "-n", "/usr/bin/cat", "/sys/kernel/debug/nvmap/iovmm/clients"))
COMPUTE_APPS = Probe(
    "compute_apps",
    ("timeout", "5", "nvidia-smi", "--query-compute-apps=pid,used_memory",
     "--format=csv,noheader,nounits"),
)  # fmt: skip
"""GPU memory by process: nvmap's own list needs root; on Thor nvidia-smi tells it to anybody."""

LONG_SECTION_BYTES = 131_072


def activity(*, sudo: bool, thor: bool) -> Argv:
    """Processes, network and disks of a device in one command."""
    probes = (*ACTIVITY_PROBES, *((NVMAP,) if sudo else ()), *((COMPUTE_APPS,) if thor else ()))
    script = probe_script(probes, LONG_SECTION_BYTES)
    return ("timeout", "-k", "2", str(PROBE_LIMIT_S), "sh", "-c", script)


POWER_PROBES: tuple[Probe, ...] = (
    Probe("nvpmodel_conf", ("cat", "/etc/nvpmodel.conf")),
    Probe("nvpmodel", ("timeout", "5", "nvpmodel", "-q")),
    Probe("nvpmodel_listing", ("timeout", "5", "nvpmodel", "-p", "--verbose")),
)
POWER_VALUES = Probe("nvpmodel_values", ("timeout", "5", "nvpmodel", "-q", "--verbose"))


def look(probes: Sequence[Probe]) -> Argv:
    """These probes in one command: what a change has to know of a device before and after."""
    script = probe_script(probes, LONG_SECTION_BYTES)
    return ("timeout", "-k", "2", str(PROBE_LIMIT_S), "sh", "-c", script)


_INA3221 = (
    "/sys/class/hwmon/hwmon*/in[123]_label /sys/class/hwmon/hwmon*/in[123]_input"
    " /sys/class/hwmon/hwmon*/curr[123]_input"
    " /sys/bus/i2c/drivers/ina3221x/*/iio*/rail_name_[012]"
    " /sys/bus/i2c/drivers/ina3221x/*/iio*/in_power[012]_input"
)
READING_S = 0.02
"""What reading the sensor files takes of an interval."""


def power_samples(interval_ms: int) -> Argv:
    """A stream of the power sensor's own files, a reading each interval; needs no root."""
    pause_s = max(0.01, interval_ms / 1000 - READING_S)
    loop = f"while :; do grep -s . {_INA3221}; echo @@sample; sleep {pause_s:g}; done"
    return ("timeout", str(STREAM_LIMIT_S), "sh", "-c", loop)


LOG_BACKLOG_LINES = 500


def journal(backlog_lines: int = LOG_BACKLOG_LINES, *, kernel: bool = False) -> Argv:
    """The system's last lines and what is added to them; with `kernel`, only the kernel's."""
    run = ("journalctl", "--follow", "--no-pager", "--output", "short-iso",
           "--lines", str(backlog_lines))  # fmt: skip
    return ("timeout", str(STREAM_LIMIT_S), *run, *(("--dmesg",) if kernel else ()))


def dmesg(backlog_lines: int = LOG_BACKLOG_LINES) -> Argv:
    """The kernel's ring buffer and what is added to it; without backlog only what is added."""
    return ("timeout", str(STREAM_LIMIT_S), "dmesg",
            "--follow" if backlog_lines else "--follow-new")  # fmt: skip


def quote(argv: Sequence[str]) -> str:
    """An argv as the one string SSH carries, each word quoted for a POSIX shell."""
    return shlex.join(argv)


def probe_script(probes: Sequence[Probe] = PROBES, limit_bytes: int = SECTION_LIMIT_BYTES) -> str:
    """A POSIX shell script that runs each probe and marks where its output begins."""
    # What is read is recognised by its words, whatever language the board speaks.
    lines = ["export LC_ALL=C"]
    for probe in probes:
        lines.append(f"echo; echo {MARK} {probe.name}")
        lines.append(f"{quote(probe.argv)} 2>&1 </dev/null | head -c {limit_bytes}")
    return "; ".join(lines)


def probe(probes: Sequence[Probe] = PROBES) -> Argv:
    """All facts of a device in one command."""
    return ("timeout", "-k", "2", str(PROBE_LIMIT_S), "sh", "-c", probe_script(probes))


def split_sections(output: bytes) -> dict[str, bytes]:
    """What `probe` printed, by probe name; the first section of a name wins."""
    sections: dict[str, bytes] = {}
    mark = f"\n{MARK} ".encode()
    for part in (b"\n" + output).split(mark)[1:]:
        name, _, body = part.partition(b"\n")
        sections.setdefault(name.decode("ascii", "replace")[:32], body.removesuffix(b"\n"))
    return sections
