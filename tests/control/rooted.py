"""OpenSSH's sshd over a folder that stands for a board's root: real cat, grep, tee, sed, kill.

A command's absolute paths are moved under the folder on their way in, and back on their way out.
What only systemd, docker and NVIDIA bring are small scripts that keep their state in files.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cohete.control.looking import Runner
from cohete.links.base import Completed
from tests.openssh import Sshd

_MOVED = re.compile(
    r"(?<![\w./-])(/(?:sys|etc|run|var/lib)/|/proc/sys/kernel/random/|/bin/systemctl\b"
    r"|/usr/bin/(?:systemd-run|docker|jetson_clocks)\b|/usr/sbin/nvpmodel\b|\.cohete-held\b"
    r"|/usr/sbin/sysctl\b|/usr/bin/apt-get\b|/usr/local/cuda\b|/proc/sys/vm/|/proc/swaps\b)"
)

SUDO = """#!/bin/sh
[ "$1" = -n ] && [ "$2" = -- ] || { echo "sudo: usage" >&2; exit 1; }
shift 2
exec "$@"
"""
SYSTEMCTL = """#!/bin/sh
units="$STANDIN/root/units"; verb=$1; shift
[ "$1" != --no-block ] || shift
state() { cat "$units/$1" 2>/dev/null || echo inactive; }
case $verb in
is-active) rc=0
  for unit in "$@"; do state "$unit"; [ "$(state "$unit")" = active ] || rc=3; done; exit $rc;;
show) echo "ActiveState=$(state "$2")"
  if [ -e "$units/$2.frozen" ]; then echo FreezerState=frozen; else echo FreezerState=running; fi;;
start) echo active > "$units/$1"
  [ "$1" != nvfancontrol.service ] || echo 77 > "$STANDIN/root/sys/class/hwmon/hwmon0/pwm1";;
stop) echo inactive > "$units/$1";;
freeze) : > "$units/$1.frozen";;
thaw) rm -f "$units/$1.frozen";;
esac
"""
SYSTEMD_RUN = """#!/bin/sh
for word in "$@"; do
  case $word in --unit=*) echo active > "$STANDIN/root/units/${word#--unit=}.timer";; esac
done
"""
DOCKER = """#!/bin/sh
state="$STANDIN/root/containers"; verb=$1
for name in "$@"; do :; done
[ -e "$state/$name" ] || { echo "Error: No such container: $name" >&2; exit 1; }
case $verb in
inspect) cat "$state/$name";;
pause) echo paused > "$state/$name";;
unpause) echo running > "$state/$name";;
esac
"""
JETSON_CLOCKS = """#!/bin/sh
root="$STANDIN/root"
case $1 in
--show) least=729600000; [ ! -e "$root/locked" ] || least=1510400000
  echo 'SOC family:tegra234  Machine:NVIDIA Jetson Orin Nano'
  for core in 0 1; do
    echo "cpu$core:  Online=1 Governor=schedutil MinFreq=${least%000} MaxFreq=1510400" \\
      "CurrentFreq=${least%000} IdleStates: WFI=1 c7=1 "
  done
  gpu=306000000; [ ! -e "$root/locked" ] || gpu=624750000
  echo "GPU MinFreq=$gpu MaxFreq=624750000 CurrentFreq=$gpu";;
--store) : > "$2";;
--restore) [ -e "$2" ] || exit 1; rm -f "$root/locked";;
*) : > "$root/locked";;
esac
"""
NVPMODEL = """#!/bin/sh
mode="$STANDIN/root/mode"
case $1 in
-q) echo "NV Power Mode: $(cut -d' ' -f1 < "$mode")"; cut -d' ' -f2 < "$mode"; exit 0;;
esac
case $2 in 0) echo '15W 0' > "$mode";; 1) echo '7W 1' > "$mode";; *) exit 255;; esac
rm -f "$STANDIN/root/locked"
"""
NVPMODEL_CONF = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
CORE_1 /sys/devices/system/cpu/cpu1/online

< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1

< POWER_MODEL ID=1 NAME=7W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 0

< PM_CONFIG DEFAULT=0 >
"""
FAN_CONF = """<FAN 1>
\tFAN_PROFILE cool {
\t\t0\t0\t255\t6000
\t}
\tFAN_PROFILE quiet {
\t\t0\t0\t202\t4000
\t}
\tFAN_DEFAULT_PROFILE quiet
"""
FILES = {
    "sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "sys/class/hwmon/hwmon0/pwm1": "77\n",
    "sys/class/hwmon/hwmon1/name": "pwm_tach\n",
    "sys/class/hwmon/hwmon1/rpm": "1848\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "41500\n",
    "etc/nvfancontrol.conf": FAN_CONF,
    "etc/nvpmodel.conf": NVPMODEL_CONF,
    "mode": "15W 0\n",
    "proc/sys/kernel/random/boot_id": "first\n",
    "units/nvfancontrol.service": "active\n",
    "units/inference.service": "active\n",
    "units/training.service": "active\n",
    "containers/detector": "running\n",
    "var/lib/nvfancontrol/here": "",
    "run/here": "",
}
PROGRAMS = {
    "bin/systemctl": SYSTEMCTL,
    "usr/bin/systemd-run": SYSTEMD_RUN,
    "usr/bin/docker": DOCKER,
    "usr/bin/jetson_clocks": JETSON_CLOCKS,
    "usr/sbin/nvpmodel": NVPMODEL,
}
WORKER = "cohete-worker"
"""A real program in a process group of its own: it is held by real signals."""


@dataclass
class Rooted:
    """Runs commands on a server as if the folder were the board's root."""

    runner: Runner
    root: Path

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        moved = [_MOVED.sub(self._under, word) for word in argv]
        done = await self.runner.run(moved, timeout_s=timeout_s)
        prefix = str(self.root).encode()
        stdout, stderr = (said.replace(prefix, b"") for said in (done.stdout, done.stderr))
        return Completed(done.exit_status, stdout, stderr)

    def _under(self, match: re.Match[str]) -> str:
        return f"{self.root}/{match[1].lstrip('/')}"


def build(server: Sshd) -> Path:
    """The board's root as it is at first; what was there before is gone."""
    root = server.folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name, text in {**FILES, **PROGRAMS}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if name in PROGRAMS:
            file.chmod(0o755)
    for name, text in (("sudo", SUDO), ("nvpmodel", NVPMODEL)):
        program = server.folder / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    return root


def start_worker(server: Sshd) -> subprocess.Popen[bytes]:
    """A program that sleeps, in its own process group."""
    program = server.folder / "bin" / WORKER
    if not program.exists():
        shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    return subprocess.Popen([str(program), "600"], start_new_session=True)


def end_worker(worker: subprocess.Popen[bytes]) -> None:
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def is_stopped(worker: subprocess.Popen[bytes]) -> bool:
    """Whether the kernel says that a signal holds it."""
    stat = Path(f"/proc/{worker.pid}/stat").read_text()
    return stat.rpartition(") ")[2].startswith("T")
