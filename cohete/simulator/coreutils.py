"""The everyday Unix commands of a simulated board."""

from __future__ import annotations

import fnmatch
import re

from cohete.simulator.activity import nvmap_clients
from cohete.simulator.faults import Fault
from cohete.simulator.files import ESCAPES, read_file
from cohete.simulator.shell import Context, Program

NVMAP_PATH = "/sys/kernel/debug/nvmap/iovmm/clients"


async def cat(context: Context, argv: list[str]) -> int:
    if argv[1:] in ([], ["-"]):
        context.out(await context.stdin.read_all())
        return 0
    status = 0
    for path in argv[1:]:
        data = read_file(context.board, path)
        if path == NVMAP_PATH:
            if not context.root:
                context.complain(f"cat: {path}: Permission denied")
                status = 1
                continue
            data = nvmap_clients(context.board).encode()
        if data is None:
            context.complain(f"cat: {path}: No such file or directory")
            status = 1
        else:
            context.out(data)
    return status


async def head(context: Context, argv: list[str]) -> int:
    try:
        if "-c" in argv:
            context.out(await context.stdin.read_all(int(argv[argv.index("-c") + 1])))
            return 0
        count = int(argv[argv.index("-n") + 1]) if "-n" in argv else 10
        files = [word for word in argv[1:] if word.startswith("/")]
        if files:
            data = read_file(context.board, files[0])
            if data is None:
                context.complain(f"head: cannot open '{files[0]}' for reading")
                return 1
            context.out(b"".join(data.splitlines(keepends=True)[:count]))
        else:
            context.out(await context.stdin.read_lines(count))
    finally:
        context.stdin.close_reader()
    return 0


async def grep(context: Context, argv: list[str]) -> int:
    words = [word for word in argv[1:] if not word.startswith("-")]
    most = int(argv[argv.index("-m") + 1]) if "-m" in argv else 1_000_000
    if "-m" in argv:
        words.remove(argv[argv.index("-m") + 1])
    pattern, *files = words
    data = b"".join(read_file(context.board, name) or b"" for name in files)
    flags = re.IGNORECASE if "-i" in argv else 0
    found = [line for line in data.decode("utf-8", "replace").splitlines()
             if re.search(pattern, line, flags)][:most]  # fmt: skip
    for line in found:
        context.say(line)
    return 0 if found else 1


async def ls(context: Context, argv: list[str]) -> int:
    devices = ["/usr/local/cuda"]
    if context.board.module.style.has_zones:
        thor = context.board.module.key.startswith("thor")
        devices.append("/dev/nvidiactl" if thor else "/dev/nvhost-gpu")
    status = 0
    for path in (word for word in argv[1:] if not word.startswith("-")):
        if any(fnmatch.fnmatch(device, path) for device in devices):
            context.say(path)
        else:
            context.complain(f"ls: cannot access '{path}': No such file or directory")
            status = 2
    return status


async def uname(context: Context, argv: list[str]) -> int:
    evil = ESCAPES if context.board.has(Fault.ESCAPES) else ""
    context.say(context.board.module.kernel if "-r" in argv else context.board.name + evil)
    return 0


async def echo(context: Context, argv: list[str]) -> int:
    context.say(" ".join(argv[1:]))
    return 0


async def identity(context: Context, argv: list[str]) -> int:
    context.say(("0" if context.root else "1000") if "-u" in argv else "uid=1000(nvidia)")
    return 0


async def true(context: Context, argv: list[str]) -> int:
    return 0


async def sleep(context: Context, argv: list[str]) -> int:
    await context.board.clock.sleep(float(argv[1]))
    return 0


async def tee(context: Context, argv: list[str]) -> int:
    if context.board.has(Fault.DISK_FULL):
        context.complain(f"tee: {argv[-1]}: No space left on device")
        return 1
    data = await context.stdin.read_all()
    path = argv[-1]
    if path.endswith("/pwm1"):
        if not context.root:
            context.complain(f"tee: {path}: Permission denied")
            return 1
        context.board.fan_pwm = min(255, max(0, int(data or b"0")))
    else:
        context.board.written[path] = data
    context.out(data)
    return 0


async def df(context: Context, argv: list[str]) -> int:
    used = 100 if context.board.has(Fault.DISK_FULL) else 41
    context.say("Filesystem     1K-blocks     Used Available Use% Mounted on")
    total = 61_255_492
    taken = total * used // 100
    context.say(f"/dev/nvme0n1p1  {total} {taken}  {total - taken}  {used}% /")
    return 0


COREUTILS: dict[str, Program] = {
    "cat": cat,
    "df": df,
    "echo": echo,
    "grep": grep,
    "head": head,
    "hostname": uname,
    "id": identity,
    "ls": ls,
    "sleep": sleep,
    "tee": tee,
    "true": true,
    "uname": uname,
}
