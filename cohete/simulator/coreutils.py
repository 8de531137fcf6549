"""The everyday Unix commands of a simulated board."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from cohete.simulator import homes
from cohete.simulator.activity import nvmap_clients
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.files import ESCAPES, read_file
from cohete.simulator.shell import Context, Program
from cohete.simulator.sysfs import sysfs

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
    board = context.board
    words = [word for word in argv[1:] if not word.startswith("-")]
    most = int(argv[argv.index("-m") + 1]) if "-m" in argv else 1_000_000
    if "-m" in argv:
        words.remove(argv[argv.index("-m") + 1])
    pattern, *wanted = words
    # Made once: a thousand boards are asked for their facts at the same time.
    about = " ".join(wanted)
    tree = sysfs(board, about) if "*" in about else {}
    files = [name for word in wanted for name in _matching(tree, word)]
    flags = re.IGNORECASE if "-i" in argv else 0
    found = 0
    for name in files:
        data = tree[name] if name in tree else read_file(board, name)
        for line in (data or b"").decode("utf-8", "replace").splitlines():
            if re.search(pattern, line, flags) and found < most:
                found += 1
                context.say(f"{name}:{line}" if len(wanted) > 1 else line)
    return 0 if found else 1


def _matching(tree: Iterable[str], word: str) -> list[str]:
    """What a shell makes of a pattern; files of a plain name as they are."""
    if "*" not in word:
        return [word]
    matches = re.compile(fnmatch.translate(word)).match
    return sorted(name for name in tree if matches(name))


async def ls(context: Context, argv: list[str]) -> int:
    devices = ["/usr/local/cuda"]
    if context.board.module.style.has_zones:
        thor = context.board.module.key.startswith("thor")
        devices.append("/dev/nvidiactl" if thor else "/dev/nvhost-gpu")
    devices += context.board.written
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
    if "-un" in argv:
        context.say("root" if context.root else "nvidia")
        return 0
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
    if path.startswith("/sys/"):
        if not context.root:
            context.complain(f"tee: {path}: Permission denied")
            return 1
        _write_sysfs(context.board, path, int(data or b"0"))
    else:
        before = context.board.written.get(path, b"") if "-a" in argv else b""
        context.board.written[path] = before + data
    context.out(data)
    return 0


def _write_sysfs(board: SimBoard, path: str, value: int) -> None:
    if path.endswith("/temp_control"):
        board.fan_service_active = bool(value)
        if value:
            board.start_fan_service()
    elif not board.fan_service_active:
        # Who controls the fan by itself writes over it at once.
        board.fan_pwm = min(255, max(0, value))


async def rm(context: Context, argv: list[str]) -> int:
    for path in argv[1:]:
        context.board.written.pop(path, None)
        place = homes.stored(context.board, path)
        if place is not None:
            place.unlink()
    return 0


async def sed(context: Context, argv: list[str]) -> int:
    """Only the change of the default fan profile, and the removal of a line."""
    board, script, path = context.board, argv[-2] if argv[2:] else "", argv[-1]
    line = re.fullmatch(r"/\^(.*)\$/d", script)
    if line is not None:
        kept = [
            each
            for each in board.written.get(path, b"").decode().splitlines()
            if not re.fullmatch(line[1], each)
        ]
        board.written[path] = "".join(f"{each}\n" for each in kept).encode()
        return 0
    match = re.fullmatch(r"s/FAN_DEFAULT_PROFILE (\w+)\$/FAN_DEFAULT_PROFILE (\w+)/", script)
    if match is None or not context.root:
        context.complain(f"sed: couldn't open temporary file: Permission denied ({path})")
        return 4
    if board.fan_default_profile == match[1]:
        board.fan_default_profile = match[2]
    return 0


async def find(context: Context, argv: list[str]) -> int:
    """Only what removes an empty file."""
    if context.board.written.get(argv[1]) == b"":
        del context.board.written[argv[1]]
    return 0


async def printf(context: Context, argv: list[str]) -> int:
    """Only lines."""
    for word in argv[2:]:
        context.say(word)
    return 0


COREUTILS: dict[str, Program] = {
    "cat": cat,
    "find": find,
    "echo": echo,
    "export": true,
    "grep": grep,
    "head": head,
    "hostname": uname,
    "id": identity,
    "ls": ls,
    "printf": printf,
    "rm": rm,
    "sed": sed,
    "sleep": sleep,
    "tee": tee,
    "true": true,
    "uname": uname,
}
