"""`cohete record`: a fleet into one file, to be looked at later with `cohete-tui --replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.options import fleet_options, new_file_option

if TYPE_CHECKING:
    from cohete.fleet.session import FleetPlan


@click.command()
@fleet_options
@new_file_option
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(0.1, 86_400 * 365),
    help="Stop after this many seconds. Else at ctrl+c.",
)
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    output: Path,
    for_s: float | None,
) -> None:
    """Record what all devices print and what happens to them, into one file.

    Two seconds are lost at most, whatever ends it. cohete-tui --replay FILE shows it again.
    """
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new)
    run(_record(plan, output, for_s))


async def _record(plan: FleetPlan, output: Path, for_s: float | None) -> None:
    import asyncio

    from cohete.fleet.recorder import Recorder
    from cohete.fleet.session import FleetSession

    async with FleetSession(plan) as session:
        recorder = Recorder(session.store, output)
        await recorder.open()
        click.echo(f"Recording {len(session.store)} devices to {output}.", err=True)
        task = asyncio.create_task(recorder.run())
        try:
            await asyncio.wait({task}, timeout=for_s)
        finally:
            task.cancel()
            await asyncio.wait({task})
        if recorder.problem is not None:
            raise recorder.problem
        click.echo(f"{recorder.bytes_written / 1e6:.1f} MB. Show it: cohete-tui --replay {output}",
                   err=True)  # fmt: skip
