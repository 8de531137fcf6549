"""The commands of a simulated board, with the words, prompts and exit codes of the real ones."""

from __future__ import annotations

import asyncio

from cohete.simulator.activity import processes
from cohete.simulator.board import SimBoard, TegraStatsRun
from cohete.simulator.coreutils import COREUTILS
from cohete.simulator.faults import Fault
from cohete.simulator.files import ESCAPES
from cohete.simulator.modules import Mode
from cohete.simulator.network import NETWORK
from cohete.simulator.observing import OBSERVING
from cohete.simulator.provisioning import PROVISIONING
from cohete.simulator.services import SERVICES
from cohete.simulator.shell import Context, Program, run_argv, run_line

_SLOW_S = 3.0
_GARBAGE = (
    b"\xff\xfe\x00 RAM 12/34MB\x80 (lfb\n",
    b"RAM 4..7/99MB CPU [12%@\n",
    b"Welcome to Ubuntu 22.04 LTS\r\n",
    b"A" * 40_000 + b"\n",
)


async def tegrastats(context: Context, argv: list[str]) -> int:
    board = context.board
    if board.has(Fault.NO_TEGRASTATS):
        context.complain("sh: 1: tegrastats: not found")
        return 127
    interval_s = 1.0
    rest = argv[1:]
    while rest:
        option = rest.pop(0)
        if option == "--interval" and rest and rest[0].isdigit():
            interval_s = max(0.02, int(rest.pop(0)) / 1000)
        elif option not in ("--readall", "--verbose"):
            context.complain(f"Unknown command: {option}")
            return 1
    run = TegraStatsRun(board, root=context.root)
    count = 0
    while True:
        await _while_hanging(board)
        line = run.line().encode()
        count += 1
        if board.has(Fault.GARBAGE):
            context.out(_GARBAGE[count % len(_GARBAGE)])
        if board.has(Fault.ESCAPES):
            context.out(ESCAPES.encode("utf-8", "surrogateescape") + b"\n")
            line += b" " + ESCAPES.encode("utf-8", "surrogateescape")
        if board.has(Fault.SLOW):
            await board.clock.sleep(_SLOW_S)
        context.out(line + b"\n")
        await board.clock.sleep(interval_s)


async def _while_hanging(board: SimBoard) -> None:
    while board.has(Fault.HANG):
        await board.clock.sleep(0.1)


async def nvpmodel(context: Context, argv: list[str]) -> int:
    board = context.board
    if not board.module.modes:
        context.complain("sh: 1: nvpmodel: not found")
        return 127
    if "-q" in argv or "--query" in argv:
        _print_mode(context)
        if "--verbose" in argv:
            _print_values(context)
        return 0
    if "-p" in argv or "--parse" in argv:
        default = board.mode_by_id(board.module.default_mode)
        context.say(
            f"NVPM VERB: PM_CONFIG: DEFAULT={default.name if default else ''}"
            f"({board.module.default_mode})"
        )
        for mode in board.module.modes:
            context.say(f"NVPM VERB: POWER_MODEL: ID={mode.id} NAME={mode.name}")
        return 0
    if "-m" in argv:
        wanted = argv[argv.index("-m") + 1 :][:1]
        number = int(wanted[0]) if wanted and wanted[0].isdigit() else -1
        target = board.mode_by_id(number)
        if target is None:
            context.complain(f"NVPM ERROR: request for bad power mode {number}")
            return 255
        if not context.root:
            context.complain("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13")
            return 255
        return await _set_mode(context, target)
    context.complain("nvpmodel: unknown option")
    return 255


def _print_mode(context: Context) -> None:
    board = context.board
    if board.module.l4t.startswith("32"):
        context.say("NVPM WARN: fan mode is not set!")
    context.say(f"NV Power Mode: {board.mode.name}")
    context.say(str(board.mode.id))
    if board.module.key == "agx-xavier" and not context.root:
        context.say("NVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13")


def _print_values(context: Context) -> None:
    board, module, mode = context.board, context.board.module, context.board.mode
    cpu = "/sys/devices/system/cpu"
    for nth in range(module.cores):
        on = int(nth < mode.cores)
        context.say(
            f"NVPM VERB: PARAM CPU_ONLINE: ARG CORE_{nth}: PATH {cpu}/cpu{nth}/online: "
            f"REAL_VAL: {on} CONF_VAL: {on}"
        )
    low, high = module.cpu_mhz
    most = min(high, mode.cpu_mhz or high)
    least = most if board.clocks_locked else low
    path = f"{cpu}/cpu0/cpufreq/scaling"
    for arg, file, real, conf in (
        ("MIN_FREQ", "min_freq", f"{least}000", f"{low}000"),
        ("MAX_FREQ", "max_freq", f"{most}000", f"{mode.cpu_mhz}000" if mode.cpu_mhz else "-1"),
    ):
        context.say(
            f"NVPM VERB: PARAM CPU_A78_0: ARG {arg}: PATH {path}_{file}: "
            f"REAL_VAL: {real} CONF_VAL: {conf}"
        )


async def _set_mode(context: Context, mode: Mode) -> int:
    board = context.board
    if board.gpu_used_since_boot and mode.mask != board.mode.mask:
        context.say("NVPM WARN: Golden image context is already created")
        context.say(f"NVPM WARN: Reboot required for changing to this power mode: {mode.id}")
        context.say("NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:")
        answer = (await context.stdin.read_lines(1)).decode("utf-8", "replace").strip()
        if answer in ("YES", "yes"):
            context.say("NVPM WARN: rebooting")
            board.pending_mode = mode
            board.reboot()
            return 0
        if not answer:
            context.complain("NVPM ERROR: bad input!")
        context.complain("NVPM ERROR: optMask is 1, no request for power mode")
        return 255
    board.set_mode(mode)
    return 0


async def jetson_clocks(context: Context, argv: list[str]) -> int:
    board = context.board
    if not context.root:
        context.complain("Please run as root")
        return 1
    if "--show" in argv:
        _show_clocks(context)
    elif "--store" in argv:
        path = _operand(argv, "--store")
        if path in board.written:
            context.say(f"File {path} already exists. Can I overwrite it? Y/N:")
            if (await context.stdin.read_lines(1)).strip() not in (b"Y", b"y"):
                return 1
        board.written[path] = b"stored\n"
    elif "--restore" in argv:
        if _operand(argv, "--restore") not in board.written:
            context.complain("Error: Could not restore Jetson clocks: file not found")
            return 1
        board.clocks_locked = False
    else:
        board.clocks_locked = True
    return 0


def _operand(argv: list[str], option: str) -> str:
    rest = argv[argv.index(option) + 1 :]
    return rest[0] if rest else "/root/l4t_dfs.conf"


def _show_clocks(context: Context) -> None:
    board, module = context.board, context.board.module
    board.advance()
    low, high = module.cpu_mhz
    high = min(high, board.mode.cpu_mhz or high)
    online = "" if int(module.l4t.split(".")[0]) >= 38 else "Online={} "
    space = "  " if int(module.l4t.split(".")[0]) >= 36 else " "
    context.say(
        f"SOC family:{module.compatible[-1].removeprefix('nvidia,')}  Machine:{module.model}"
    )
    for nth in sorted(range(module.cores), key=str):
        is_on = nth < board.mode.cores
        minimum = high if board.clocks_locked else low
        current = high if board.clocks_locked else (low + high) // 2
        context.say(
            f"cpu{nth}:{space}{online.format(int(is_on))}Governor=schedutil MinFreq={minimum}000 "
            f"MaxFreq={high}000 CurrentFreq={current}000 IdleStates: WFI=1 c7=1 "
        )
    gpu_low, gpu_high = module.gpu_mhz
    gpu_high = min(gpu_high, board.mode.gpu_mhz or gpu_high)
    gpu_min = gpu_high if board.clocks_locked else gpu_low
    context.say(f"GPU MinFreq={gpu_min}000000 MaxFreq={gpu_high}000000 CurrentFreq={gpu_min}000000")
    emc = module.emc_mhz
    context.say(
        f"EMC MinFreq=204000000 MaxFreq={emc}000000 CurrentFreq={emc}000000 "
        f"FreqOverride={int(board.clocks_locked)}"
    )
    context.say(f"NV Power Mode: {board.mode.name}")


async def nvfancontrol(context: Context, argv: list[str]) -> int:
    if not context.root:
        context.complain(
            "NVFAN ERROR: Sudo permissions are required to execute nvfancontrol user daemon"
        )
        return 1
    context.say(f"FAN1:FAN_PROFILE:{context.board.fan_profile}")
    context.say("FAN1:FAN_GOVERNOR:pid")
    context.say("FAN1:FAN_CONTROL:close_loop")
    return 0


async def nvidia_smi(context: Context, argv: list[str]) -> int:
    board = context.board
    thor = board.module.key.startswith("thor")
    if not thor:
        if not board.module.l4t.startswith("36"):
            context.complain("sh: 1: nvidia-smi: not found")
            return 127
        context.say("[N/A]")
        return 0
    if any("compute-apps" in word for word in argv):
        for each in processes(board):
            if each.gpu_mb:
                context.say(f"{each.pid}, {each.gpu_mb}")
        return 0
    period = float(argv[argv.index("-l") + 1]) if "-l" in argv else 0.0
    while True:
        await _while_hanging(board)
        context.say(str(board.gpu_percent()))
        if not period:
            return 0
        await board.clock.sleep(period)


async def timeout(context: Context, argv: list[str]) -> int:
    rest = argv[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in ("-k", "-s") else rest[1:]
    limit_s = float(rest[0])
    run = asyncio.create_task(run_argv(rest[1:], context, PROGRAMS))
    limit = asyncio.create_task(context.board.clock.sleep(limit_s))
    try:
        await asyncio.wait({run, limit}, return_when=asyncio.FIRST_COMPLETED)
        return run.result() if run.done() else 124
    finally:
        run.cancel()
        limit.cancel()
        await asyncio.gather(run, limit, return_exceptions=True)


async def sudo(context: Context, argv: list[str]) -> int:
    rest = [word for word in argv[1:] if word not in ("-n", "--")]
    if rest == ["-v"] and context.environment.get("SIM_SUDO"):
        return 0
    if not context.environment.get("SIM_SUDO"):
        context.complain("sudo: a password is required")
        return 1
    inner = Context(
        context.board, True, context.out, context.err, context.stdin, context.environment
    )
    board = context.board
    if not _changes(rest):
        return await run_argv(rest, inner, PROGRAMS)
    if board.has(Fault.STUCK):
        await asyncio.Event().wait()
    if board.has(Fault.STUBBORN):
        return 0
    status = await run_argv(rest, inner, PROGRAMS)
    if board.has(Fault.CUT_MID):
        board.faults.discard(Fault.CUT_MID)
        board.on_cut()
    return status


def _changes(argv: list[str]) -> bool:
    """Whether this is no mere reading."""
    name = argv[0].rsplit("/", 1)[-1] if argv else ""
    if name == "nvpmodel":
        return "-m" in argv
    if name in ("jetson_clocks", "nvfancontrol"):
        return "--show" not in argv and "-q" not in argv
    return name not in ("tegrastats", "cat", "timeout", "nvidia-smi", "blkid", "od")


async def sh(context: Context, argv: list[str]) -> int:
    if "-c" in argv:
        return await run_line(argv[argv.index("-c") + 1], context, PROGRAMS)
    return 0


PROGRAMS: dict[str, Program] = {
    **COREUTILS,
    **OBSERVING,
    **PROVISIONING,
    **NETWORK,
    **SERVICES,
    "bash": sh,
    "jetson_clocks": jetson_clocks,
    "nvfancontrol": nvfancontrol,
    "nvidia-smi": nvidia_smi,
    "nvpmodel": nvpmodel,
    "sh": sh,
    "sudo": sudo,
    "tegrastats": tegrastats,
    "timeout": timeout,
}
