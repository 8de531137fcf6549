"""Compressed swap in memory as a configuration wants it, now and at each start.

NVIDIA's service makes the devices (half of the memory, the kernel's own algorithm, priority 5);
a unit of ours behind it gives them another algorithm and priority, and leaves their size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed_lines
from cohete.control.commands import TEE
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.text import decode

UNIT = "cohete-zram.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
SYSTEMCTL = "/bin/systemctl"
ALGORITHMS = ("zstd", "lz4", "lzo-rle", "lzo")
"""From what packs best to what every kernel has."""
LIMIT_S = 120.0
_OFFERED = re.compile(r"^/sys/block/(zram\d{1,3})/comp_algorithm:(.{1,200})$", re.MULTILINE)
_SWAP = re.compile(r"^/dev/(zram\d{1,3})\s+\S+\s+\d{1,15}\s+(\d{1,15})\s+(-?\d{1,6})$",
                   re.MULTILINE | re.ASCII)  # fmt: skip
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d{1,15}) kB$", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True)
class SetZram:
    """Algorithm and priority of every zram swap. An empty algorithm is the best the kernel has."""

    algorithm: str = ""
    priority: int = 100

    def __post_init__(self) -> None:
        if self.algorithm and self.algorithm not in ALGORITHMS:
            raise ChangeRefused(f"`{self.algorithm[:20]}` is no algorithm of zram")
        if not -1 <= self.priority <= 32_767:
            raise ChangeRefused("a priority of swap is -1 to 32767")

    @property
    def intent(self) -> str:
        return f"compress swap in memory by {self.algorithm or 'the best algorithm there is'}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("zram", ("sh", "-c", "grep -s . /sys/block/zram*/comp_algorithm /dev/null")),
            Probe("swaps", ("cat", "/proc/swaps")),
            Probe("zram_unit", ("cat", UNIT_FILE)),
            Probe("zram_starts", (SYSTEMCTL, "is-enabled", UNIT)),
            Probe("meminfo", ("cat", "/proc/meminfo")),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where there is no zram, or the kernel lacks the algorithm."""
        offered = {name: words.split() for name, words in
                   _OFFERED.findall(decode(board.get("zram", b"")))}  # fmt: skip
        swaps = {name: (int(used), int(priority)) for name, used, priority in
                 _SWAP.findall(decode(board.get("swaps", b"")))}  # fmt: skip
        if not offered or not swaps:
            raise ChangeRefused(
                "no swap of this board is zram", where=device,
                hint="NVIDIA's nvzramconfig.service makes it: systemctl enable --now nvzramconfig.",
            )  # fmt: skip
        wanted = self._chosen(device, offered)
        now = {name: _active(words) for name, words in offered.items() if name in swaps}
        unit = unit_lines(wanted, self.priority)
        kept = decode(board.get("zram_unit", b"")).splitlines() == unit
        starts = decode(board.get("zram_starts", b"")).strip() == "enabled"
        is_so = all(each == wanted for each in now.values()) and all(
            priority == self.priority for _, priority in swaps.values()
        )
        found = ", ".join(f"{name} {now.get(name, '?')} of priority {swaps[name][1]}"
                          for name in sorted(swaps))  # fmt: skip
        keeping = "also after a start" if kept and starts else "not kept for the next start"
        steps: list[Step] = []
        if not kept:
            argv = (TEE, UNIT_FILE)
            steps.append(
                Step("write its unit", fed_lines(unit, as_root(*argv)), rule=" ".join(argv))
            )
            steps.append(_systemctl("have it known", "daemon-reload"))
        if not starts:
            steps.append(_systemctl("at each start", "enable", UNIT))
        if not is_so:
            self._check_room(device, board, sum(used for used, _ in swaps.values()))
            steps.append(_systemctl("now", "restart", UNIT))
        return Change(
            device, self.intent, f"{found}, {keeping}",
            f"{wanted} of priority {self.priority}, also after a start", tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            notes=("What is swapped out comes back into memory for a moment.",) if steps else (),
            undo_words=f"Undone by `systemctl disable {UNIT}`, removing {UNIT_FILE} and a reboot.",
        )  # fmt: skip

    def _chosen(self, device: str, offered: dict[str, list[str]]) -> str:
        common = [each for each in ALGORITHMS
                  if all(each in [word.strip("[]") for word in words]
                         for words in offered.values())]  # fmt: skip
        if self.algorithm in common or (not self.algorithm and common):
            return self.algorithm or common[0]
        raise ChangeRefused(
            f"the kernel has no {self.algorithm or 'algorithm that is known'} for zram",
            where=device,
            hint=f"It has: {', '.join(common) or 'none of ' + ', '.join(ALGORITHMS)}.",
        )  # fmt: skip

    @staticmethod
    def _check_room(device: str, board: Sections, used_kib: int) -> None:
        available = _AVAILABLE.search(decode(board.get("meminfo", b"")))
        if available is None:
            raise ChangeRefused("the board does not tell how much memory is free", where=device)
        if used_kib > int(available[1]):
            raise ChangeRefused(
                f"{used_kib / 1024:.0f} MiB are swapped out, and memory for "
                f"{int(available[1]) / 1024:.0f} MiB is free to take them back", where=device,
                hint="Stop what needs the memory, then do this again.",
            )  # fmt: skip


def script(algorithm: str, priority: int, devices: str = "/sys/block/zram*") -> str:
    """What the unit runs, for /bin/sh: each device in use, emptied, set and used again."""
    return (
        # NVIDIA's service may not have come to its end.
        'n=0; while ! grep -q "^/dev/zram" /proc/swaps && [ "$n" -lt 30 ]; '
        "do sleep 1; n=$((n+1)); done; "
        f'for z in {devices}; do n=/dev/${{z##*/}}; grep -q "^$n " /proc/swaps || continue; '
        'size=$(cat "$z/disksize"); swapoff "$n" || exit 1; echo 1 > "$z/reset"; '
        f'echo {algorithm} > "$z/comp_algorithm"; echo "$size" > "$z/disksize"; '
        f'mkswap "$n" && swapon -p {priority} "$n" || exit 1; done'
    )


def unit_lines(algorithm: str, priority: int) -> list[str]:
    """The unit that runs it behind NVIDIA's."""
    # systemd reads `$` and `%` itself.
    line = script(algorithm, priority).replace("%", "%%").replace("$", "$$")
    return [
        "[Unit]",
        f"Description=zram by {algorithm}, of priority {priority}, as Cohete was told",
        "After=nvzramconfig.service",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart=/bin/sh -c '{line}'",
        "[Install]",
        "WantedBy=multi-user.target",
    ]


def rules_for() -> tuple[str, ...]:
    """The sudo rules that this step needs."""
    return (
        f"{TEE} {UNIT_FILE}", f"{SYSTEMCTL} daemon-reload", f"{SYSTEMCTL} enable {UNIT}",
        f"{SYSTEMCTL} restart {UNIT}",
    )  # fmt: skip


def _active(words: list[str]) -> str:
    return next((word.strip("[]") for word in words if word.startswith("[")), "")


def _systemctl(title: str, *argv: str) -> Step:
    return Step(title, as_root(SYSTEMCTL, *argv), rule=" ".join((SYSTEMCTL, *argv)),
                limit_s=LIMIT_S)  # fmt: skip
