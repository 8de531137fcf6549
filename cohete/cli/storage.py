"""`cohete storage`: disks, their health, their room, their speed."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

import click

from cohete.cli.options import fleet_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cohete.config.spec import DeviceSpec
    from cohete.control.gate import Gate
    from cohete.device.rooms import Room
    from cohete.errors import CoheteError
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.links.reopening import ReopeningLink
    from cohete.storage.benchmark import Speed
    from cohete.storage.disks import Disk, Storage
    from cohete.storage.reading import DiskState

T = TypeVar("T")
FOLDER = "/var/tmp"  # noqa: S108 - on the board, in a file of a name that nobody else has
_TITLES = ("DEVICE ", "DISK ", "WHAT ", "SIZE ", "MODEL ", "MOUNTED ", "FREE ", "NOTE ")


@click.group()
def command() -> None:
    """Disks of boards: what there is, how healthy, how full, how fast."""


@command.command()
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def show(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """Disks told apart (NVMe, eMMC, SD, USB), where they are mounted, what is free.

    Read without root. Exit code 1 where a file system has less than a tenth free, is mounted by a
    name that may change, or a board cannot be read.
    """
    from cohete.storage.reading import read_storage

    found = _ask(targets, config_path, accept_new, read_storage)
    rows = [_judged(spec, storage) for spec, storage in found]
    if as_json:
        import json

        click.echo(json.dumps({"devices": [document for _, document, _ in rows]}, indent=2))
    else:
        from cohete.cli.table import format_table

        click.echo(format_table(_TITLES, [line for lines, _, _ in rows for line in lines]))
    sys.exit(0 if all(well for _, _, well in rows) else 1)


@command.command()
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def health(
    targets: tuple[str, ...], config_path: str | None, accept_new: bool, as_json: bool
) -> None:
    """Wear, spare, errors and warnings of each NVMe, SATA and USB disk, and how fast it wears.

    By nvme-cli or smartmontools on the board, whichever is there: both need root, so that only
    boards with `sudo: true` are asked. Readings are kept for the trend. Exit code 1 where a disk
    warns, or a board cannot be asked.
    """
    found = _ask(targets, config_path, accept_new, _read_health)
    rows = [_health_row(spec, disks) for spec, disks in found]
    if as_json:
        import json

        click.echo(json.dumps({"devices": [document for _, document, _ in rows]}, indent=2))
    else:
        for lines, _, _ in rows:
            click.echo("\n".join(lines))
    sys.exit(0 if all(well for _, _, well in rows) else 1)


@command.command()
@fleet_options
@click.option("--folder", default=FOLDER, show_default=True, help="On the disk to measure.")
@click.option(
    "--size", "size_mb", type=click.IntRange(64, 65_536), default=512, show_default=True,
    help="MB of the file that is written.",
)  # fmt: skip
@click.option("--baseline", is_flag=True, help="Compare with this one from now on.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing.")
@click.option("--read-only", is_flag=True, help="Measure nothing: it writes a file.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def benchmark(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    folder: str,
    size_mb: int,
    baseline: bool,
    dry_run: bool,
    read_only: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Measure a disk past the page cache: MB/s in sequence, random reads, their latency.

    A file is written with O_DIRECT and fsync, read back, and removed. The first result is the
    baseline of that folder; later ones are compared with it. Exit code 1 where a board cannot be
    measured, or has less than 70 % of its baseline.
    """
    from cohete.cli.meant import fleet
    from cohete.control.gate import Gate
    from cohete.loop import run
    from cohete.storage.benchmark import step_for

    plan = fleet(targets, config_path, accept_new=accept_new)
    step = step_for(folder, size_mb)
    names = ", ".join(spec.id for spec in plan.specs if spec.enabled)
    if dry_run or not yes:
        click.echo(f"{names}: {step.title}", err=not dry_run)
        if dry_run:
            click.echo(f"    {step.line}")
            return
        if not sys.stdin.isatty():
            raise click.UsageError("somebody has to agree: --yes, or a terminal.")
        if not click.confirm("Measure?", err=True):
            sys.exit(1)
    gate = Gate(read_only or plan.control.read_only)
    found = run(_measure(plan, gate, folder, size_mb, baseline=baseline))
    if as_json:
        import json

        click.echo(json.dumps({"devices": [document for _, document, _ in found]}, indent=2))
    else:
        for text, _, _ in found:
            click.echo(text)
    sys.exit(0 if all(well for _, _, well in found) else 1)


def _ask(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    ask: Callable[[ReopeningLink], Awaitable[T]],
) -> list[tuple[DeviceSpec, T | CoheteError]]:
    from cohete.cli.asking import ask_each
    from cohete.cli.meant import fleet
    from cohete.loop import run

    return run(ask_each(fleet(targets, config_path, accept_new=accept_new), ask))


def _judged(
    spec: DeviceSpec, storage: Storage | CoheteError
) -> tuple[list[tuple[str, ...]], dict[str, Json], bool]:
    if isinstance(storage, Exception):
        row = (spec.id, *["–"] * (len(_TITLES) - 2), storage.what)
        return [row], {"id": spec.id, "error": str(storage)}, False
    if storage.note:
        row = (spec.id, *["–"] * (len(_TITLES) - 2), storage.note)
        return [row], {"id": spec.id, "error": storage.note}, False
    rows: list[tuple[str, ...]] = []
    well = True
    for disk in storage.disks:
        rooms = [room for room in storage.rooms if room.mount in disk.mounts]
        notes = _notes(disk, rooms, storage)
        well = well and not any(room.is_low for room in rooms)
        well = well and not any("may change" in note for note in notes)
        rows.append(
            (
                spec.id, disk.name, disk.kind.value, disk.size_words, disk.model or "–",
                ", ".join(disk.mounts) or "–",
                ", ".join(f"{room.free / 1e9:.0f} GB ({100 * room.free_share:.0f} %)"
                          for room in rooms) or "–",
                "; ".join(notes),
            )
        )  # fmt: skip
    return rows, _storage_dict(spec, storage), well


def _notes(disk: Disk, rooms: list[Room], storage: Storage) -> list[str]:
    from cohete.storage.disks import Kind

    notes = [f"{room.mount} is low" for room in rooms if room.is_low]
    if disk.is_blank and disk.kind is Kind.NVME:
        notes.append("nothing is on it yet")
    notes += [
        f"{part.name} has a file system and is not mounted"
        for part in disk.parts
        if part.fstype == "ext4" and not part.mount and disk.kind is Kind.NVME
    ]
    notes += [
        f"{line.mount} is mounted by a name that may change ({line.source})"
        for line in storage.fstab
        if line.mount in disk.mounts and line.source.startswith("/dev/nvme") and not line.by_uuid
    ]
    if disk.kind in (Kind.SD, Kind.EMMC) and any(
        swap.startswith(f"/dev/{disk.name}") for swap in storage.swaps
    ):
        notes.append(f"swap on it wears the {disk.kind}")
    return notes


def _storage_dict(spec: DeviceSpec, storage: Storage) -> dict[str, Json]:
    disks: list[Json] = []
    for disk in storage.disks:
        parts: list[Json] = [{**asdict(part)} for part in disk.parts]
        disks.append(
            {
                "name": disk.name, "kind": disk.kind.value, "bytes": disk.size,
                "model": disk.model or None, "serial": disk.serial or None,
                "namespace": disk.namespace, "blank": disk.is_blank, "parts": parts,
            }
        )  # fmt: skip
    rooms: list[Json] = [
        {"mount": room.mount, "bytes": room.total, "free": room.free, "low": room.is_low}
        for room in storage.rooms
    ]
    return {"id": spec.id, "disks": disks, "file_systems": rooms}


async def _read_health(link: ReopeningLink) -> list[DiskState]:
    from cohete.errors import CommandError
    from cohete.storage.reading import NEEDS_ROOT, read_disks

    if not link.spec.sudo:
        raise CommandError(NEEDS_ROOT)
    return await read_disks(link, sudo=True)


def _health_row(
    spec: DeviceSpec, found: list[DiskState] | CoheteError
) -> tuple[list[str], dict[str, Json], bool]:
    from cohete.control.audit import default_folder
    from cohete.storage.reading import with_trend

    if isinstance(found, Exception):
        return [f"{spec.id}: {found}"], {"id": spec.id, "error": str(found)}, False
    lines: list[str] = []
    documents: list[Json] = []
    well = True
    for each in with_trend(default_folder(), spec.id, found, time.time()):
        disk, problems = each.disk, each.health.problems
        well = well and not problems and not each.why
        words = "; ".join((each.words, *problems))
        lines.append(f"{spec.id}: {disk.name} {disk.model}: {words}")
        warned: list[Json] = list(problems)
        documents.append(
            {"disk": disk.name, **asdict(each.health), "problems": warned,
             "trend": each.trend or None, "unknown": each.why or None}
        )  # fmt: skip
    if not found:
        lines.append(f"{spec.id}: no disk here tells its health (NVMe, SATA, USB)")
    return lines, {"id": spec.id, "disks": documents}, well


async def _measure(
    plan: FleetPlan, gate: Gate, folder: str, size_mb: int, *, baseline: bool
) -> list[tuple[str, dict[str, Json], bool]]:
    from cohete.cli.asking import ask_each
    from cohete.clock import SystemClock
    from cohete.control.audit import AuditLog, default_folder
    from cohete.control.noting import noted
    from cohete.control.outcome import Outcome
    from cohete.errors import ChangeRefused
    from cohete.storage.benchmark import change_for, speed_from, step_for

    log = AuditLog(default_folder(), SystemClock())
    step = step_for(folder, size_mb)

    async def ask(link: ReopeningLink) -> Speed:
        if refusal := gate.refusal(link.spec):
            raise ChangeRefused(f"refused: {refusal}")
        async with noted(log, change_for(link.spec.id, step)) as what:
            done = await link.run(step.argv, timeout_s=step.limit_s)
            speed = speed_from(step, done)
            what.outcome, what.found = Outcome.DONE, speed.words
            return speed

    found = await ask_each(plan, ask)
    return [_measured(spec, speed, folder, baseline=baseline) for spec, speed in found]


def _measured(
    spec: DeviceSpec, speed: Speed | CoheteError, folder: str, *, baseline: bool
) -> tuple[str, dict[str, Json], bool]:
    from cohete.control.audit import default_folder
    from cohete.errors import CoheteError
    from cohete.storage.benchmark import compared, is_slower
    from cohete.storage.records import read_records, write_records

    if isinstance(speed, Exception):
        return f"{spec.id}: {speed}", {"id": spec.id, "error": str(speed)}, False
    records = read_records(default_folder(), spec.id)
    before = records.speed_before(folder)
    words, slower = "the baseline from now on", False
    if before is None or baseline:
        records.set_baseline(folder, time.time(), speed)
        try:
            write_records(default_folder(), records)
        except CoheteError as error:
            words = str(error)
    else:
        words, slower = compared(before[1], speed), is_slower(before[1], speed)
    document: dict[str, Json] = {
        "id": spec.id,
        "folder": folder,
        **asdict(speed),
        "baseline": None if before is None else {**asdict(before[1])},
        "slower": slower,
    }
    return f"{spec.id}: {folder}: {speed.words}; {words}", document, not slower
