"""What `cohete clocks show` and `cohete fan show` have in common: read, print, exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cohete.errors import CoheteError

if TYPE_CHECKING:
    from cohete.fleet.export import Json
    from cohete.links.reopening import ReopeningLink
    from cohete.power.state import PowerState


def print_states(
    targets: tuple[str, ...],
    config_path: str | None,
    *,
    accept_new: bool,
    as_json: bool,
    words: Callable[[PowerState], str],
    document: Callable[[PowerState], dict[str, Json]],
) -> None:
    """A line, or a document, for each board; exits 1 where one cannot be read."""
    from cohete.cli.asking import ask_each
    from cohete.cli.meant import fleet
    from cohete.links.commands import PROBE_LIMIT_S, look, split_sections
    from cohete.loop import run
    from cohete.power.state import state_from, state_probes

    async def ask(link: ReopeningLink) -> PowerState:
        argv = look(state_probes(sudo=link.spec.sudo))
        done = await link.run(argv, timeout_s=PROBE_LIMIT_S + 5)
        return state_from(link.spec.id, split_sections(done.stdout), sudo=link.spec.sudo)

    plan = fleet(targets, config_path, accept_new=accept_new)
    found = run(ask_each(plan, ask))
    if as_json:
        import json

        devices: list[dict[str, Json]] = [
            {"id": spec.id, "error": str(state)}
            if isinstance(state, CoheteError)
            else {"id": spec.id, **document(state)}
            for spec, state in found
        ]
        click.echo(json.dumps({"devices": devices}, indent=2))
    else:
        for spec, state in found:
            text = str(state) if isinstance(state, CoheteError) else words(state)
            click.echo(f"{spec.id}: {text}")
    sys.exit(1 if any(isinstance(state, CoheteError) for _, state in found) else 0)
