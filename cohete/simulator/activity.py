"""What runs on a simulated board: processes, traffic, disk and log, all from its clock and load."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

from cohete.simulator.board import SimBoard
from cohete.simulator.workload import Workload

HZ = 100
LOG_BACKLOG, LOG_PERIOD_S = 40, 2.0
"""Messages that are there already, and how often another one comes."""

PAGE_BYTES = 4096
_NAMES = {
    Workload.IDLE: "python3",
    Workload.INFERENCE: "llama-server",
    Workload.BURSTY: "detect (yolo)",
    Workload.TRAINING: "python3",
    Workload.VIDEO: "gst-launch-1.0",
    Workload.LEAK: "camera_node",
}


class Running(NamedTuple):
    """A process: CPU as a share of one core, memory in MiB."""

    pid: int
    name: str
    cpu: float
    rss_mb: int
    gpu_mb: int


def processes(board: SimBoard) -> list[Running]:
    """The work the board does, and what every board runs beside it."""
    used_mb = board.memory_used_mb
    main_mb = max(60, used_mb - 900)
    return [
        Running(1, "systemd", 0.001, 13, 0),
        Running(2, "kthreadd", 0.0, 0, 0),
        Running(412, "nvargus-daemon", 0.002, 31, 0),
        Running(640, "dockerd", 0.006, 92, 0),
        Running(655, "nvfancontrol", 0.001, 4, 0),
        Running(1204, "Xorg", 0.012, 74, 48),
        Running(2380, _NAMES[board.workload], 0.1 + 0.8 * board.gpu_percent() / 100,
                main_mb // 3, main_mb - main_mb // 3),
        Running(2391, "tegrastats", 0.004, 3, 0),
    ]  # fmt: skip


def _uptime_s(board: SimBoard) -> float:
    return board.clock.monotonic() - board.booted_at


def stat_lines(board: SimBoard) -> str:
    """/proc/PID/stat of every process."""
    lines = []
    for each in processes(board):
        # CPU time only grows: it follows from the uptime, the load only bends it.
        ticks = int(_uptime_s(board) * HZ * _steady(each))
        before, after = "S 1 1 1 0 -1 4194560 900 0 0 0", "20 0 9 0 1100 734003200"
        lines.append(
            f"{each.pid} ({each.name}) {before} {ticks - ticks // 4} {ticks // 4} 0 0 {after} "
            f"{each.rss_mb * 1_048_576 // PAGE_BYTES} 18446744073709551615"
        )
    return "".join(f"{line}\n" for line in lines)


def _steady(each: Running) -> float:
    return 0.62 if each.pid == 2380 else each.cpu


def net_dev(board: SimBoard) -> str:
    """/proc/net/dev."""
    up = _uptime_s(board)
    received, sent = int(up * 61_000), int(up * (1_400_000 if _serves(board) else 9_000))
    return (
        "Inter-|   Receive                            |  Transmit\n"
        " face |bytes    packets errs drop fifo frame|bytes    packets errs drop\n"
        f"    lo: {int(up * 800)} 9000 0 0 0 0 0 0 {int(up * 800)} 9000 0 0 0 0 0 0\n"
        f"  eth0: {received} {received // 900} 0 12 0 0 0 0 {sent} {sent // 1200} 0 0 0 0 0 0\n"
        "docker0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )


def _serves(board: SimBoard) -> bool:
    return board.workload in (Workload.VIDEO, Workload.BURSTY)


def diskstats(board: SimBoard) -> str:
    """/proc/diskstats."""
    up = _uptime_s(board)
    read, written = int(up * 40), int(up * 260)
    numbers = f"{read} 0 {read * 8} 900 {written} 0 {written * 8} 800 0 {int(up * 14)} 0"
    return (
        "   7       0 loop0 11 0 28 0 0 0 0 0 0 4 0 0 0 0 0 0 0\n"
        f" 259       0 nvme0n1 {numbers}\n"
        f" 259       1 nvme0n1p1 {numbers}\n"
    )


def nvmap_clients(board: SimBoard) -> str:
    """/sys/kernel/debug/nvmap/iovmm/clients, which only root can read."""
    rows = [each for each in processes(board) if each.gpu_mb]
    lines = ["CLIENT                        PROCESS      PID        SIZE"]
    lines += [f"user {each.name:>32} {each.pid:>8} {each.gpu_mb * 1024:>10}K" for each in rows]
    lines.append(f"total {sum(each.gpu_mb for each in rows) * 1024:>42}K")
    return "\n".join(lines) + "\n"


def log_line(board: SimBoard, nth: int) -> str:
    """One message of the journal."""
    name = _NAMES[board.workload]
    said = (
        f"systemd[1]: Started {name} service.",
        f"{name.split()[0]}[2380]: request {nth} done in {40 + nth * 7 % 31} ms",
        "kernel: nvgpu: 17000000.gpu gk20a_scale_notify: freq changed",
        f"sshd[{900 + nth % 50}]: Accepted publickey for nvidia from 10.0.0.2 port 51022 ssh2",
        f"{name.split()[0]}[2380]: {math.floor(10 + nth % 7)} frames in queue",
    )
    at_s = board.clock.time() - LOG_PERIOD_S * max(0, LOG_BACKLOG - nth)
    at = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S%z")
    return f"{at} {board.name} {said[nth % len(said)]}"
