"""systemd on a simulated board: units that run, stop, freeze and come back."""

from __future__ import annotations

from cohete.provision.turning import BACK, NMCLI, UP
from cohete.provision.usb import USB_UNIT
from cohete.simulator.board import SimBoard
from cohete.simulator.network import nmcli, profile_of
from cohete.simulator.provisioning import ZRAM_UNIT, zram_unit
from cohete.simulator.shell import Context, Program

FAN_UNIT = "nvfancontrol.service"
TIMERS = ("cohete-fan-a.timer", "cohete-fan-b.timer", f"{BACK}.timer")


async def systemctl(context: Context, argv: list[str]) -> int:
    board = context.board
    board.advance()
    if argv[1:2] == ["show"]:
        return _show(context, argv[-1])
    verb, *names = [word for word in argv[1:] if not word.startswith("-")] or [""]
    if verb == "daemon-reload":
        return 0
    if names == [USB_UNIT]:
        context.say("enabled" if verb == "is-enabled" else "active")
        return 0
    if names == [ZRAM_UNIT]:
        return zram_unit(context, verb)
    status = 0
    for name in names:
        status = _one(context, board, verb, name if "." in name else f"{name}.service") or status
    return status


def _one(context: Context, board: SimBoard, verb: str, unit: str) -> int:
    running = _running(board, unit)
    if running is None:
        if verb == "is-active":
            context.say("inactive")
            return 4
        context.complain(f"Failed to {verb} {unit}: Unit {unit} not found.")
        return 5
    if verb == "is-active":
        context.say("active" if running else "inactive")
        return 0 if running else 3
    if not context.root:
        context.complain("Failed: Interactive authentication required.")
        return 1
    if verb in ("freeze", "thaw"):
        (board.frozen_units.add if verb == "freeze" else board.frozen_units.discard)(unit)
        return 0
    if verb == "stop" and running:
        board.stopped_units.append(unit)
    _set(board, unit, verb in ("start", "restart"))
    return 0


def _show(context: Context, unit: str) -> int:
    board = context.board
    running = _running(board, unit)
    context.say(f"ActiveState={'active' if running else 'inactive'}")
    context.say(f"FreezerState={'frozen' if unit in board.frozen_units else 'running'}")
    return 0


def _running(board: SimBoard, unit: str) -> bool | None:
    if unit == FAN_UNIT and board.has_fan_service:
        return board.fan_service_active
    if unit in TIMERS:
        return True if unit in board.timers else None
    return board.services.get(unit)


def _set(board: SimBoard, unit: str, on: bool) -> None:
    if unit == FAN_UNIT and on:
        board.start_fan_service()
        board.fan_profile = board.fan_default_profile
    elif unit == FAN_UNIT:
        board.fan_service_active = False
    elif unit in TIMERS:
        board.timers.pop(unit, None)
    else:
        board.services[unit] = on


async def systemd_run(context: Context, argv: list[str]) -> int:
    """A timer, and what it starts: only the one that gives the fan back."""
    board = context.board
    options = dict(word.split("=", 1) for word in argv if word.startswith("--") and "=" in word)
    if not context.root:
        context.complain(
            "Failed to start transient timer unit: Interactive authentication required."
        )
        return 1
    unit = f"{options['--unit']}.timer"
    if unit in board.timers:
        context.complain(
            f"Failed to start transient timer unit: Unit {unit} was already loaded or has a "
            "fragment file."
        )
        return 1
    if "systemd-run" in board.refuses:
        context.complain("Failed to start transient timer unit: Connection timed out")
        return 1
    if options["--unit"] == UP:
        return await nmcli(context, argv[argv.index(NMCLI) :])
    if options["--unit"] == BACK:
        board.way_back = profile_of(board, argv[argv.index("uuid") + 1])
    board.timers[unit] = board.clock.monotonic() + float(options["--on-active"])
    context.complain(f"Running timer as unit: {options['--unit']}.timer")
    return 0


async def docker(context: Context, argv: list[str]) -> int:
    board, verb, name = context.board, argv[1], argv[-1]
    if verb == "info":
        context.complain("docker: a simulated board has containers, and no data of Docker's")
        return 1
    if name not in board.containers:
        context.complain(f"Error response from daemon: No such container: {name}")
        return 1
    status = board.containers[name]
    if verb == "inspect":
        context.say(status)
        return 0
    if verb in board.refuses:
        context.complain(f"Error response from daemon: cannot {verb} container {name}")
        return 1
    if (verb, status) not in (("pause", "running"), ("unpause", "paused")):
        context.complain(f"Error response from daemon: Container {name} is not {verb}able")
        return 1
    board.containers[name] = "paused" if verb == "pause" else "running"
    return 0


async def ps(context: Context, argv: list[str]) -> int:
    """Process groups of the programs of one name: number and state."""
    found = [
        (group, is_stopped)
        for group, (name, is_stopped) in context.board.groups.items()
        if name == argv[-1]
    ]
    for group, is_stopped in found:
        context.say(f"{group:>7} {'T' if is_stopped else 'Sl'}")
    return 0 if found else 1


async def kill(context: Context, argv: list[str]) -> int:
    board, group = context.board, int(argv[-1].lstrip("-"))
    if group not in board.groups:
        context.complain(f"kill: ({argv[-1]}) - No such process")
        return 1
    board.groups[group] = (board.groups[group][0], argv[1] == "-STOP")
    return 0


async def set_batch(context: Context, argv: list[str]) -> int:
    """What a user's own server offers: how many requests it takes together."""
    context.board.batch = max(1, min(4, int(argv[1])))
    return 0


SERVICES: dict[str, Program] = {
    "set-batch": set_batch,
    "docker": docker,
    "kill": kill,
    "ps": ps,
    "systemctl": systemctl,
    "systemd-run": systemd_run,
}
