"""`cohete power`: the power modes of each board, by name, with what they cap."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options, fleet_options

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.config.spec import DeviceSpec
    from cohete.errors import CoheteError
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.power.nvpmodel import Mode
    from cohete.power.reading import BoardPower

    Found = tuple[DeviceSpec, BoardPower | CoheteError]

_TITLES = ("MODE ", "WATTS", "CORES", "CPU MHZ", "GPU MHZ", "EMC MHZ", "NOTE ")


@click.group()
def command() -> None:
    """Power modes."""


@command.command("list")
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def list_modes(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """The modes each board has: watts, cores, and the clocks they cap.

    Read from the board's own nvpmodel.conf, without root. More watts are not faster in every clock:
    where a mode with more watts lowers one, it is said. Exit code 1 if any board cannot be read.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(_read(plan))
    if as_json:
        import json

        click.echo(json.dumps({"devices": [_as_dict(each) for each in found]}, indent=2))
    else:
        click.echo("\n\n".join(_as_text(each) for each in found))
    sys.exit(1 if any(_failed(power) for _, power in found) else 0)


@command.command()
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """The mode each board is in, what it caps, and where the board differs from it.

    Differences are what nvpmodel itself reports; without root it cannot read every value.
    Exit code 1 if any board cannot be read.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    found = run(_read(fleet(targets, config_path, accept_new=accept_new)))
    if as_json:
        import json

        click.echo(json.dumps({"devices": [_shown_as_dict(each) for each in found]}, indent=2))
    else:
        click.echo("\n".join(_shown_as_text(each) for each in found))
    sys.exit(1 if any(_failed(power) for _, power in found) else 0)


@command.command("set")
@click.argument("mode")
@acting_options
@click.option(
    "--reboot",
    is_flag=True,
    help="Where a board asks for a reboot, stop what is drained, say yes, and wait for it.",
)
def set_mode(mode: str, reboot: bool, **given: Unpack[Given]) -> None:
    """Set the power mode MODE, by its name on each board: `cohete power set 15W cam-01`.

    Shows the exact commands first and asks. A board that is in it already is left alone; a board
    that wants a reboot stays as it is unless --reboot is given. Needs the sudo rule that
    `cohete sudoers` prints. Exit code 1 if any board is not in the mode at the end.
    """
    from cohete.power.modes import SetMode

    act(
        Options(**given, reboot=reboot),
        lambda plan: SetMode(mode, tuple(plan.control.drain), tuple(plan.control.finish)),
    )


@command.command("profile")
@click.argument("name")
@acting_options
@click.option("--reboot", is_flag=True, help="Agree to a reboot where a board asks for one.")
def set_profile(name: str, reboot: bool, **given: Unpack[Given]) -> None:
    """Set the power profile NAME: mode, clocks and fan at once.

    max_performance, balanced, power_saver, or one of power.profiles. Each means the same on every
    board, whatever its modes are called.
    """
    from cohete.fleet.desired import profile_named

    act(
        Options(**given, reboot=reboot),
        lambda plan: profile_named(name, plan.power, plan.control, plan.specs),
    )


@command.command("measure")
@fleet_options
@click.option(
    "--every",
    "interval_ms",
    type=click.IntRange(50, 10_000),
    default=100,
    show_default=True,
    help="Milliseconds between two readings.",
)
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(1, 900),
    default=10.0,
    show_default=True,
    help="Seconds to measure.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def measure(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    interval_ms: int,
    for_s: float,
    as_json: bool,
) -> None:
    """Measure power at the board's own sensor chip, ten times a second: spikes are kept.

    Reads the INA3221's files, without root (JetPack 5 and later). The total is by the module's
    rule: no rail counts twice. Exit code 1 if any board has no such sensor.
    """
    from cohete.cli.meant import fleet
    from cohete.cli.measuring import measure_all, print_traces
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(measure_all(plan, interval_ms, for_s))
    sys.exit(0 if print_traces(found, as_json=as_json) else 1)


async def _read(plan: FleetPlan) -> list[Found]:
    from cohete.cli.asking import ask_each
    from cohete.power.reading import read_power

    return await ask_each(plan, read_power)


def _failed(power: BoardPower | CoheteError) -> bool:
    return isinstance(power, Exception) or not power.conf.modes


def _as_text(found: Found) -> str:
    from cohete.cli.table import format_table

    spec, power = found
    if isinstance(power, Exception):
        return f"{spec.id}: {power}"
    active = power.current_mode
    rows = [_row(power, mode) for mode in power.conf.modes]
    head = f"{spec.id}: {active.name if active else 'the active mode is unknown'}"
    lines = [head, *([format_table(_TITLES, rows)] if rows else [])]
    return "\n".join([*lines, *([power.note] if power.note else [])])


def _shown_as_text(found: Found) -> str:
    from cohete.power.modes import cap_words

    spec, power = found
    if isinstance(power, Exception):
        return f"{spec.id}: {power}"
    mode = power.current_mode
    if mode is None:
        return f"{spec.id}: {power.note}"
    caps = power.conf.caps(mode)
    lines = [
        f"{spec.id}: {mode.name}: {caps.cores_online} of {caps.cores} cores, CPU "
        f"{cap_words(caps.highest_cpu_mhz)}, GPU {cap_words(caps.gpu_mhz)}, EMC "
        f"{cap_words(caps.emc_mhz)}"
    ]
    lines += [f"  {drift}" for drift in power.drift]
    return "\n".join(lines)


def _shown_as_dict(found: Found) -> dict[str, Json]:
    document = _as_dict(found)
    _, power = found
    if isinstance(power, Exception):
        return document
    document.pop("modes")
    document["drift"] = [
        {
            "param": each.param,
            "arg": each.arg,
            "path": each.path,
            "real": each.real,
            "configured": each.configured,
        }
        for each in power.drift
    ]
    return document


def _row(power: BoardPower, mode: Mode) -> tuple[str, ...]:
    from cohete.power.modes import lowered

    caps = power.conf.caps(mode)
    notes = []
    if mode is power.current_mode:
        notes.append("active")
    elif power.current_mode is not None and power.conf.asks_for_reboot(power.current_mode, mode):
        notes.append("may ask for a reboot")
    if mode.id == power.conf.default:
        notes.append("default")
    notes += [f"lowers {clock}" for clock in lowered(power.conf, mode)]
    return (
        mode.name,
        "–" if mode.watts is None else str(mode.watts),
        f"{caps.cores_online} of {caps.cores}" if caps.cores else "–",
        _mhz(caps.highest_cpu_mhz),
        _mhz(caps.gpu_mhz),
        _mhz(caps.emc_mhz),
        ", ".join(notes),
    )


def _mhz(value: float | None) -> str:
    return "no cap" if value is None else f"{value:.0f}"


def _as_dict(found: Found) -> dict[str, Json]:
    spec, power = found
    if isinstance(power, Exception):
        return {"id": spec.id, "error": str(power)}
    modes: list[Json] = []
    for mode in power.conf.modes:
        caps = power.conf.caps(mode)
        cpu_mhz: dict[str, Json] = dict(caps.cpu_mhz)
        modes.append(
            {
                "id": mode.id,
                "name": mode.name,
                "watts": mode.watts,
                "cores_online": caps.cores_online,
                "cores": caps.cores,
                "cpu_max_mhz": cpu_mhz,
                "gpu_max_mhz": caps.gpu_mhz,
                "emc_max_mhz": caps.emc_mhz,
                "default": mode.id == power.conf.default,
                "reboot_predicted": power.current_mode is not None
                and power.conf.asks_for_reboot(power.current_mode, mode),
            }
        )
    active = power.current.name if power.current else None
    return {"id": spec.id, "active": active, "modes": modes, "note": power.note or None}
