"""`cohete drift`: what is not as it was accepted on each board."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from cohete.cli.options import fleet_options

if TYPE_CHECKING:
    from pathlib import Path

    from cohete.config.spec import DeviceSpec
    from cohete.device.inventory import Difference, Inventory
    from cohete.errors import CoheteError
    from cohete.fleet.baselines import Baseline
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.links.reopening import ReopeningLink

    Found = tuple[DeviceSpec, Inventory | CoheteError]


@click.command()
@fleet_options
@click.option("--accept", is_flag=True, help="Take each board as it is now to be as it should be.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    accept: bool,
    as_json: bool,
) -> None:
    """Power mode, packages and files of each board against what was accepted of it.

    `--accept` keeps how the boards are, on this computer; later runs tell what differs. Of files
    only checksums are kept, and no difference shows what is in them; `control.watch_files` names
    more of them. Boards are only read. Exit code 1 where a board differs, cannot be read, or
    nothing was accepted.
    """
    from cohete.cli.meant import fleet
    from cohete.control.audit import default_folder
    from cohete.errors import CoheteError
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    folder = default_folder()
    found = run(_read(plan))
    try:
        rows = [_judge(each, folder, accept=accept) for each in found]
    except OSError as error:
        raise CoheteError(
            f"what was accepted cannot be kept: {error.strerror}", where=str(folder),
            hint="Make room there, or the folder writable.",
        ) from None  # fmt: skip
    if as_json:
        import json

        click.echo(json.dumps({"devices": [document for _, document in rows]}, indent=2))
    else:
        for lines, _ in rows:
            click.echo("\n".join(lines))
    sys.exit(0 if all(document["well"] for _, document in rows) else 1)


async def _read(plan: FleetPlan) -> list[Found]:
    from cohete.cli.asking import ask_each
    from cohete.device.inventory import FILES, inventory_from, take_inventory
    from cohete.links.commands import PROBE_LIMIT_S, split_sections

    files = tuple(dict.fromkeys([*FILES, *plan.control.watch_files]))

    async def ask(link: ReopeningLink) -> Inventory:
        done = await link.run(take_inventory(files), timeout_s=PROBE_LIMIT_S + 5)
        return inventory_from(split_sections(done.stdout), files)

    return await ask_each(plan, ask)


def _judge(found: Found, folder: Path, *, accept: bool) -> tuple[list[str], dict[str, Json]]:
    """The lines to print of a board, and the same as a document. Raises OSError."""
    from cohete.device.inventory import compare
    from cohete.fleet.baselines import Baseline, read_baseline, write_baseline

    spec, now = found
    if isinstance(now, Exception):
        return [f"{spec.id}: {now.what}"], {"device": spec.id, "well": False, "error": now.what}
    missing = _untold(now)
    if accept:
        baseline = Baseline(time.time(), now)
        write_baseline(folder, spec.id, baseline)
        head = f"{spec.id}: accepted as it is now: {_extent(now)}"
        return [head, *missing], _document(spec, baseline, [], now)
    accepted = read_baseline(folder, spec.id)
    if accepted is None:
        hint = "nothing was accepted yet; `cohete drift --accept` takes it as it is now"
        document: dict[str, Json] = {"device": spec.id, "well": False, "error": hint}
        return [f"{spec.id}: {hint}"], document
    differences = compare(accepted.inventory, now)
    return (
        [*_lines(spec, accepted, differences), *missing],
        _document(spec, accepted, differences, now),
    )


def _lines(spec: DeviceSpec, accepted: Baseline, differences: list[Difference]) -> list[str]:
    from cohete.fleet.words import span

    ago = span(max(0.0, time.time() - accepted.taken_s))
    if not differences:
        return [f"{spec.id}: as accepted {ago} ago"]
    lines = [f"{spec.id}: {len(differences)} not as accepted {ago} ago"]
    lines += [f"  {difference}" for difference in differences]
    for difference in differences:
        if difference.kind == "mode" and difference.before is not None:
            way = "cohete apply" if spec.power_profile else f"cohete power set {difference.before}"
            lines.append(f"  `{way}` sets the mode again.")
    return lines


def _extent(now: Inventory) -> str:
    from cohete.device.inventory import ABSENT, UNREADABLE

    read = sum(state not in (ABSENT, UNREADABLE) for state in now.files.values())
    words = [f"mode {now.mode}"] if now.mode is not None else []
    if now.packages is not None:
        words.append(f"{len(now.packages)} packages")
    return ", ".join([*words, f"{read} files"])


def _untold(now: Inventory) -> list[str]:
    """What could not be looked at, and so was not compared."""
    from cohete.device.inventory import UNREADABLE

    lines = []
    if now.mode is None:
        lines.append("  it does not tell its power mode")
    if now.packages is None:
        lines.append("  it does not tell its packages")
    lines += [
        f"  {path} is not readable without root"
        for path, state in now.files.items()
        if state == UNREADABLE
    ]
    return lines


def _document(
    spec: DeviceSpec, accepted: Baseline, differences: list[Difference], now: Inventory
) -> dict[str, Json]:
    return {
        "device": spec.id,
        "well": not differences,
        "accepted_s": accepted.taken_s,
        "mode": now.mode,
        "packages": None if now.packages is None else len(now.packages),
        "differences": [
            {"kind": each.kind, "name": each.name, "before": each.before, "now": each.now}
            for each in differences
        ],
        "not_told": [line.strip() for line in _untold(now)],
    }
