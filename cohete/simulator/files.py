"""The files of a simulated board: device tree, /proc, /sys and /etc, made when they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cohete.simulator import activity
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.sysfs import sysfs

ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2066[/red]"
"""A clipboard write, a title, a cleared screen, a C1 sequence, bidirectional marks and markup."""


def machine_id(board: SimBoard) -> str:
    """Stable identity of the board."""
    return hashlib.md5(board.name.encode(), usedforsecurity=False).hexdigest()


def nvfancontrol_conf(board: SimBoard) -> str | None:
    """NVIDIA's fan daemon came with JetPack 5."""
    if not board.has_fan_service:
        return None
    return f"""POLLING_INTERVAL 2
<FAN 1>
\tTMARGIN ENABLED
\tFAN_GOVERNOR pid {{
\t\tSTEP_SIZE 10
\t}}
\tFAN_PROFILE cool {{
\t\t#TEMP \tHYST\tPWM\tRPM
\t\t0\t0\t255\t6120
\t\t25\t9\t255\t6120
\t\t55\t11\t38\t912
\t\t105\t0\t38\t912
\t}}
\tFAN_PROFILE quiet {{
\t\t#TEMP \tHYST\tPWM\tRPM
\t\t0\t0\t255\t6120
\t\t15\t9\t255\t6120
\t\t45\t11\t38\t912
\t\t105\t0\t38\t912
\t}}
\tFAN_DEFAULT_CONTROL close_loop
\tFAN_DEFAULT_PROFILE {board.fan_default_profile}
\tFAN_DEFAULT_GOVERNOR pid
"""


def _boot_id(board: SimBoard) -> str:
    """New with every start."""
    text = hashlib.md5(f"{board.name} {board.boots}".encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def nvpmodel_conf(board: SimBoard) -> str:
    """/etc/nvpmodel.conf in NVIDIA's format, with this board's modes."""
    module = board.module
    lines = [
        "# < POWER_MODEL ID=id_num NAME=mode_name >",
        "",
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >",
    ]
    lines += [f"CORE_{n} /sys/devices/system/cpu/cpu{n}/online" for n in range(module.cores)]
    lines += ["", "< PARAM TYPE=FILE NAME=TPC_POWER_GATING >",
              "TPC_PG_MASK /sys/devices/platform/gpu.0/tpc_pg_mask",
              "", "< PARAM TYPE=CLOCK NAME=CPU_A78_0 >",
              "MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
              "", "< PARAM TYPE=CLOCK NAME=GPU >",
              "MAX_FREQ /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq"]  # fmt: skip
    for mode in module.modes:
        lines += ["", f"< POWER_MODEL ID={mode.id} NAME={mode.name} >"]
        lines += [f"CPU_ONLINE CORE_{n} {int(n < mode.cores)}" for n in range(module.cores)]
        lines += [
            f"TPC_POWER_GATING TPC_PG_MASK {mode.mask}",
            f"CPU_A78_0 MAX_FREQ {mode.cpu_mhz * 1000 if mode.cpu_mhz else -1}",
            f"GPU MAX_FREQ {mode.gpu_mhz * 1_000_000 if mode.gpu_mhz else -1}",
        ]
    lines += ["", f"< PM_CONFIG DEFAULT={module.default_mode} >", ""]
    return "\n".join(lines)


_OBSERVED: dict[str, Callable[[SimBoard], str]] = {
    "/proc/[0-9]*/stat": activity.stat_lines,
    "/proc/net/dev": activity.net_dev,
    "/proc/diskstats": activity.diskstats,
}


def read_file(board: SimBoard, path: str) -> bytes | None:
    """What the file holds now; None where the board has none of that name."""
    if path in board.written:
        return board.written[path]
    module = board.module
    evil = ESCAPES if board.has(Fault.ESCAPES) else ""
    major, _, rest = module.l4t.partition(".")
    family = "t186ref" if int(major) < 36 else "generic"
    kb = module.memory_mb * 1024
    made = _OBSERVED.get(path)
    if made is not None:
        return made(board).encode()
    fixed = {
        "/proc/device-tree/model": f"{module.model}{evil}\0",
        "/sys/firmware/devicetree/base/model": f"{module.model}{evil}\0",
        "/proc/device-tree/compatible": "".join(f"{name}\0" for name in module.compatible),
        "/proc/device-tree/serial-number": f"1421{machine_id(board)[:8]}\0",
        "/etc/nv_tegra_release": f"# R{major} (release), REVISION: {rest}, GCID: 42132812, "
        f"BOARD: {family}, EABI: aarch64, DATE: Thu Sep 18 22:54:44 UTC 2025\n",
        "/etc/machine-id": f"{machine_id(board)}\n",
        "/etc/fstab": "# <file system> <mount point> <type> <options> <dump> <pass>\n",
        "/proc/sys/vm/swappiness": "60\n",
        "/etc/hostname": f"{board.name}{evil}\n",
        "/etc/nvpmodel.conf": nvpmodel_conf(board) if module.modes else None,
        "/proc/meminfo": f"MemTotal:       {kb:>8} kB\n"
        f"MemFree:        {(module.memory_mb - board.memory_used_mb) * 768:>8} kB\n"
        f"MemAvailable:   {(module.memory_mb - board.memory_used_mb) * 1024:>8} kB\n"
        f"SwapTotal:      {kb // 2 if module.swap else 0:>8} kB\n"
        f"SwapFree:       {kb // 2 if module.swap else 0:>8} kB\n"
        f"NvMapMemUsed:   {board.memory_used_mb * 512:>8} kB\n",
        "/proc/vmstat": f"nr_free_pages 1000\npswpin {board.memory_used_mb}\npswpout 77\n",
        "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        if int(major) >= 36
        else None,
        "/proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        + (f"/dev/zram0 partition {kb // 2} 0 5\n" if module.swap else ""),
        "/proc/buddyinfo": "Node 0, zone   Normal  90 50 30 20 10 5 3 2 1 1 "
        f"{(module.memory_mb - board.memory_used_mb) // 5}\n",
        "/proc/cpuinfo": "".join(
            f"processor\t: {nth}\nFeatures\t: "
            + ("half thumb vfpv3 neon" if int(major) < 23 else "fp asimd evtstrm aes crc32 atomics")
            + "\n\n"
            for nth in range(module.cores)
        ),
        "/proc/sys/kernel/random/boot_id": f"{_boot_id(board)}\n",
        "/sys/devices/system/cpu/present": f"0-{module.cores - 1}\n",
        "/proc/uptime": f"{board.clock.monotonic() - board.booted_at:.2f} 1000.00\n",
        "/etc/nvfancontrol.conf": nvfancontrol_conf(board),
        "/var/lib/nvfancontrol/status": f"FAN1:FAN_PROFILE:{board.fan_profile}\n"
        if board.has_fan_service
        else None,
        "/var/lib/nvpmodel/status": f"pmode:{board.mode.id:04d}\n",
    }
    if path in fixed:
        text = fixed[path]
        return None if text is None else text.encode("utf-8", "surrogateescape")
    return sysfs(board).get(path)
