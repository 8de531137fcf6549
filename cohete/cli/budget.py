"""`cohete budget`: the memory of each board against its budget, and whether a model would fit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cohete.cli.options import fleet_options

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.device.memory import BoardMemory
    from cohete.errors import CoheteError
    from cohete.fleet.export import Json
    from cohete.fleet.session import FleetPlan
    from cohete.links.reopening import ReopeningLink

    Found = tuple[DeviceSpec, BoardMemory | CoheteError]

_TITLES = (
    "DEVICE ", "TOTAL", "RESERVED", "BUDGET", "USED", "CAN BE HAD", "IN LARGE BLOCKS", "SWAP",
    "STALLED", "NOTE ",
)  # fmt: skip


@click.command()
@fleet_options
@click.option(
    "--fits", "fits_mb", type=click.IntRange(1), metavar="MB", help="Would so much fit now?"
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    fits_mb: int | None,
    as_json: bool,
) -> None:
    """Memory in MB as the kernel of each board tells it, beside its budget.

    RESERVED is what the budget leaves to the system, CAN BE HAD is MemAvailable. IN LARGE BLOCKS is
    what is free in blocks of 4 MB: where it is little, large GPU allocations fail. STALLED is how
    much of the last 10 s something waited for memory. Exit code 1 where a board is over its budget,
    cannot be read, or MB would not fit.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(read_budgets(plan))
    rows = [_row(each, fits_mb) for each in found]
    if as_json:
        import json

        click.echo(json.dumps({"devices": [_as_dict(each, fits_mb) for each in found]}, indent=2))
    else:
        from cohete.cli.table import format_table

        click.echo(format_table(_TITLES, [cells for cells, _ in rows]))
    sys.exit(0 if all(well for _, well in rows) else 1)


async def read_budgets(plan: FleetPlan) -> list[Found]:
    """The memory of each board, or why it cannot be read."""
    from cohete.cli.asking import ask_each
    from cohete.device.memory import memory_from
    from cohete.links.commands import MEMORY_PROBES, PROBE_LIMIT_S, look, split_sections

    async def ask(link: ReopeningLink) -> BoardMemory:
        done = await link.run(look(MEMORY_PROBES), timeout_s=PROBE_LIMIT_S + 5)
        return memory_from(split_sections(done.stdout))

    return await ask_each(plan, ask)


def _used_mb(memory: BoardMemory) -> int | None:
    if memory.total_mb is None or memory.available_mb is None:
        return None
    return memory.total_mb - memory.available_mb


def _reserved_mb(spec: DeviceSpec, memory: BoardMemory) -> int | None:
    """What the budget leaves to the system."""
    if memory.total_mb is None or spec.memory_budget_mb is None:
        return None
    return max(0, memory.total_mb - spec.memory_budget_mb)


def _judge(spec: DeviceSpec, memory: BoardMemory, fits_mb: int | None) -> tuple[list[str], bool]:
    """What to say of a board, and whether all is well."""
    from cohete.memory.pressure import Moment, fits

    used = _used_mb(memory)
    if used is None or memory.total_mb is None or memory.available_mb is None:
        return ["it does not tell its memory"], False
    notes, well = [], True
    if spec.memory_budget_mb is not None and used > spec.memory_budget_mb:
        notes.append(f"over budget by {used - spec.memory_budget_mb} MB")
        well = False
    if memory.swap_is_zram:
        notes.append("swap is zram, which is memory too")
    if fits_mb is not None:
        moment = Moment(0.0, memory.total_mb, memory.available_mb)
        fit = fits(fits_mb, moment)
        in_pieces = memory.large_free_mb is not None and memory.large_free_mb < fits_mb
        words = fit.words
        if fit.fits and in_pieces:
            words += f", only {memory.large_free_mb} MB of it in large blocks: drop caches first"
        notes.append(words)
        well = well and fit.fits
    return notes, well


def _row(found: Found, fits_mb: int | None) -> tuple[tuple[str, ...], bool]:
    spec, memory = found
    if isinstance(memory, Exception):
        return (spec.id, *["–"] * (len(_TITLES) - 2), memory.what), False
    notes, well = _judge(spec, memory, fits_mb)
    swap = None
    if memory.swap_total_mb is not None and memory.swap_free_mb is not None:
        swap = memory.swap_total_mb - memory.swap_free_mb
    stalled = "–" if memory.psi_some is None else f"{memory.psi_some:.0f}%"
    numbers = (
        memory.total_mb, _reserved_mb(spec, memory), spec.memory_budget_mb, _used_mb(memory),
        memory.available_mb, memory.large_free_mb, swap,
    )  # fmt: skip
    cells = ("–" if number is None else str(number) for number in numbers)
    return (spec.id, *cells, stalled, "; ".join(notes)), well


def _as_dict(found: Found, fits_mb: int | None) -> dict[str, Json]:
    spec, memory = found
    if isinstance(memory, Exception):
        return {"id": spec.id, "error": str(memory)}
    notes, well = _judge(spec, memory, fits_mb)
    words: list[Json] = list(notes)
    return {
        "id": spec.id,
        "well": well,
        "notes": words,
        "budget_mb": spec.memory_budget_mb,
        "reserved_mb": _reserved_mb(spec, memory),
        "total_mb": memory.total_mb,
        "used_mb": _used_mb(memory),
        "available_mb": memory.available_mb,
        "large_free_mb": memory.large_free_mb,
        "gpu_mb": memory.nvmap_mb,
        "swap_total_mb": memory.swap_total_mb,
        "swap_free_mb": memory.swap_free_mb,
        "swap_is_zram": memory.swap_is_zram,
        "pages_swapped_in": memory.swapped_in,
        "pages_swapped_out": memory.swapped_out,
        "stalled_some_percent": memory.psi_some,
        "stalled_full_percent": memory.psi_full,
    }
