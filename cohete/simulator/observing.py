"""The commands that show what a simulated board does and has: awk, dpkg-query, journalctl, ..."""

from __future__ import annotations

import re

from cohete.simulator import activity
from cohete.simulator.faults import Fault
from cohete.simulator.files import ESCAPES
from cohete.simulator.homes import sha256sum
from cohete.simulator.shell import Context, Program


async def getconf(context: Context, argv: list[str]) -> int:
    values = {"CLK_TCK": activity.HZ, "PAGESIZE": activity.PAGE_BYTES}
    if argv[-1] not in values:
        context.complain(f"getconf: Unrecognized variable `{argv[-1]}'")
        return 2
    context.say(str(values[argv[-1]]))
    return 0


async def awk(context: Context, argv: list[str]) -> int:
    """Only what Cohete asks of it: /proc/PID/stat as number, ticks, pages, name."""
    least = re.search(r"f\[22\]>=(\d+)", argv[1])
    least_pages = int(least[1]) if least else 0
    data = (await context.stdin.read_all()).decode()
    for line in data.splitlines():
        head, _, tail = line.rpartition(") ")
        pid, _, name = head.partition(" (")
        fields = tail.split()
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
        if ticks + pages > 0 and pages >= least_pages:
            context.say(f"{pid} {ticks} {pages} {name}")
    return 0


async def journalctl(context: Context, argv: list[str]) -> int:
    board = context.board
    if "--dmesg" in argv and not context.root:
        context.complain(
            "Hint: You are currently not seeing messages from other users and the system."
        )
        context.complain("No journal files were opened due to insufficient permissions.")
        return 1
    nth = 0
    while True:
        if board.has(Fault.ESCAPES):
            context.out(ESCAPES.encode("utf-8", "surrogateescape") + b"\n")
        context.say(activity.log_line(board, nth))
        nth += 1
        if nth > activity.LOG_BACKLOG:
            if "--follow" not in argv:
                return 0
            await board.clock.sleep(activity.LOG_PERIOD_S)


async def dmesg(context: Context, argv: list[str]) -> int:
    context.complain("dmesg: read kernel buffer failed: Operation not permitted")
    return 1


async def dpkg_query(context: Context, argv: list[str]) -> int:
    """Of one package its version, of all of them name, version and status."""
    packages = {name: version for name, version in context.board.packages.items() if version}
    if any(word.startswith("-f=") for word in argv):
        names = argv[3:]
        for name in names:
            if name in packages:
                context.say(f"{name} installed {packages[name]}")
            else:
                context.complain(f"dpkg-query: no packages found matching {name}")
        return 0 if all(name in packages for name in names) else 1
    if argv[-2] == "-f":
        for name in sorted(packages):
            context.say(f"{name} {packages[name]} installed")
        return 0
    if argv[-1] not in packages:
        context.complain(f"dpkg-query: no packages found matching {argv[-1]}")
        return 1
    context.out(packages[argv[-1]].encode())
    return 0


OBSERVING: dict[str, Program] = {
    "awk": awk,
    "dmesg": dmesg,
    "dpkg-query": dpkg_query,
    "getconf": getconf,
    "journalctl": journalctl,
    "sha256sum": sha256sum,
}
