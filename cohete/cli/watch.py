"""`cohete watch`: samples as they come, as JSON lines or as plain text for readers and logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cohete.cli.options import fleet_options

if TYPE_CHECKING:
    from cohete.fleet.session import FleetPlan, FleetSession
    from cohete.fleet.state import Device, Event

POLL_S = 0.05


@click.command()
@fleet_options
@click.option("--plain", is_flag=True, help="One readable line a sample instead of JSON.")
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(0.1, 86_400 * 365),
    help="Stop after this many seconds. Else at ctrl+c.",
)
@click.option(
    "--interval", "interval_ms", type=click.IntRange(100, 60_000), help="Milliseconds a sample."
)
def command(
    targets: tuple[str, ...],
    config_path: str | None,
    accept_new: bool,
    plain: bool,
    for_s: float | None,
    interval_ms: int | None,
) -> None:
    """Samples and events of all devices as they come, one line each."""
    from cohete.cli.meant import fleet
    from cohete.loop import run

    plan = fleet(targets, config_path, accept_new=accept_new, interval_ms=interval_ms)
    run(_watch(plan, plain=plain, for_s=for_s))


async def _watch(plan: FleetPlan, *, plain: bool, for_s: float | None) -> None:
    from cohete.fleet.session import FleetSession

    async with FleetSession(plan) as session:
        clock, store = session.clock, session.store
        until = clock.monotonic() + for_s if for_s else None
        seen = dict.fromkeys(range(len(store)), 0)
        last_event = 0
        while until is None or clock.monotonic() < until:
            await clock.sleep(POLL_S)
            for event in [event for event in store.events if event.number > last_event]:
                last_event = event.number
                print_event(event, plain=plain)
            for index in sorted(store.take_changed()):
                device = store.devices[index]
                if device.samples > seen[index]:
                    seen[index] = device.samples
                    _print_sample(session, device, plain=plain)


def _print_sample(session: FleetSession, device: Device, *, plain: bool) -> None:
    import json

    from cohete.fleet.words import ROW_TITLES, row
    from cohete.tegra.export import as_dict

    stats = device.stats
    assert stats is not None
    when = _stamp(session.clock.time())
    if plain:
        cells = zip(ROW_TITLES[2:9], row(device, session.clock.monotonic())[2:9], strict=True)
        text = ", ".join(f"{title.strip().lower()} {cell}" for title, cell in cells)
        click.echo(f"{when} {device.id}: {text}")
    else:
        gpu = device.gpu_percent(session.clock.monotonic())
        document = {"at": when, "device": device.id, **as_dict(stats), "gpu_percent": gpu}
        click.echo(json.dumps(document))


def print_event(event: Event, *, plain: bool) -> None:
    """An event as one line."""
    import json

    when = _stamp(event.wall_s)
    if plain:
        hint = f". {event.hint}" if event.hint else ""
        click.echo(f"{when} {event.device}: {event.kind}: {event.text}{hint}")
    else:
        document = {"at": when, "device": event.device, "event": event.kind, "text": event.text}
        click.echo(json.dumps(document | ({"hint": event.hint} if event.hint else {})))


def _stamp(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds")
