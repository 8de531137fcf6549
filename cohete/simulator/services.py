"""systemd on a simulated board: units that run, stop, freeze and come back."""

from __future__ import annotations

from cohete.simulator.board import SimBoard
from cohete.simulator.shell import Context, Program

FAN_UNIT = "nvfancontrol.service"


async def systemctl(context: Context, argv: list[str]) -> int:
    board = context.board
    verb, *names = [word for word in argv[1:] if not word.startswith("-")] or [""]
    status = 0
    for name in names:
        status = _one(context, board, verb, name if "." in name else f"{name}.service") or status
    return status


def _one(context: Context, board: SimBoard, verb: str, unit: str) -> int:
    running = _running(board, unit)
    if running is None:
        context.complain(f"Unit {unit} could not be found.")
        return 4 if verb == "is-active" else 5
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


def _running(board: SimBoard, unit: str) -> bool | None:
    if unit == FAN_UNIT:
        return board.fan_service_active
    return board.services.get(unit)


def _set(board: SimBoard, unit: str, on: bool) -> None:
    if unit == FAN_UNIT:
        board.fan_service_active = on
        if on:
            board.fan_pwm = None
    else:
        board.services[unit] = on


SERVICES: dict[str, Program] = {"systemctl": systemctl}
