"""`cohete discover`: boards on USB, in the local network, and where ssh already goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.options import config_option

if TYPE_CHECKING:
    from cohete.device.discovery.found import Found
    from cohete.device.discovery.search import Search, Wanted
    from cohete.fleet.export import Json

_TITLES = ("NAME ", "WHAT ", "SEEN BY ", "ADDRESSES ", "HOST KEY ", "NOTE ")


@click.command()
@click.option("--usb", is_flag=True, help="Look on this computer's USB.")
@click.option("--mdns", is_flag=True, help="Listen for boards that announce themselves.")
@click.option(
    "--ssh", is_flag=True, help="Try the hosts of your ssh configuration and known_hosts."
)
@click.option(
    "--net",
    "networks",
    metavar="CIDR",
    multiple=True,
    help="Try every host of a network, as in 10.0.8.0/24, or one address. May be repeated.",
)
@click.option(
    "--for",
    "for_s",
    type=click.FloatRange(0.1, 300),
    default=5.0,
    show_default=True,
    help="Seconds to watch USB and listen.",
)
@click.option("--forget", is_flag=True, help="Forget what earlier searches found, first.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@config_option
def command(
    usb: bool,
    mdns: bool,
    ssh: bool,
    networks: tuple[str, ...],
    for_s: float,
    forget: bool,
    as_json: bool,
    config_path: str | None,
) -> None:
    """Find boards: each once, however it was seen, by its host key or serial number.

    Without an option: USB, announcements and the hosts ssh knows (its configuration, known_hosts),
    or what `discovery.methods` of the configuration says. Networks are only tried where you name
    them: one connection a host, and no login. What answers SSH and announces no Jetson is a
    candidate: log in to know. Boards in recovery mode are told apart. What is found is remembered.
    Exit code 1 where nothing is.
    """
    from cohete.clock import SystemClock
    from cohete.device.discovery import memory
    from cohete.device.discovery.search import Search
    from cohete.loop import run

    wanted = _wanted(config_path, usb=usb, mdns=mdns, ssh=ssh, networks=networks, for_s=for_s)
    if forget and wanted.state_folder is not None:
        (wanted.state_folder / memory.FILE).unlink(missing_ok=True)
    search = Search(wanted, SystemClock())
    if sys.stderr.isatty():
        search.changed = lambda: _progress(search)
    found = run(search.run())
    if sys.stderr.isatty():
        click.echo("\r" + " " * 60 + "\r", nl=False, err=True)
    for note in search.notes:
        click.echo(note, err=True)
    if as_json:
        import json

        click.echo(json.dumps({"boards": [_as_dict(each) for each in found]}, indent=2))
    elif found:
        from cohete.cli.table import format_table

        click.echo(format_table(_TITLES, [_row(each) for each in found]))
    else:
        click.echo("No board was found. Is it powered, and is its USB-C cable one for data?")
    sys.exit(0 if found else 1)


def _wanted(
    config_path: str | None,
    *,
    usb: bool,
    mdns: bool,
    ssh: bool,
    networks: tuple[str, ...],
    for_s: float,
) -> Wanted:
    from cohete.config.loading import find_config, load
    from cohete.control.audit import default_folder
    from cohete.device.discovery.search import Wanted, wanted_by

    path = find_config(config_path)
    config = load(path) if path is not None else None
    folder = default_folder()
    methods = config.discovery.methods if config is not None else []
    if methods and not (usb or mdns or ssh or networks):
        return wanted_by(methods, folder, for_s)
    everything = not (usb or mdns or ssh or networks)
    own = Path.home() / ".ssh"
    use_ssh = ssh or everything
    return Wanted(
        on_usb=usb or everything,
        by_mdns=mdns or everything,
        networks=networks,
        ssh_config=own / "config" if use_ssh else None,
        known_hosts=own / "known_hosts" if use_ssh else None,
        state_folder=folder,
        for_s=for_s,
    )


def _progress(search: Search) -> None:
    tried = f", {search.tried} of {search.to_try} hosts tried" if search.to_try else ""
    click.echo(f"\rsearching: {len(search.found)} found{tried} ...  ", nl=False, err=True)


def _row(found: Found) -> tuple[str, ...]:
    addresses = ", ".join(
        f"{address}{'' if address.is_open else ' (no answer)'}" for address in found.addresses
    )
    notes = [*found.notes, *([f"console {found.console}"] if found.console else [])]
    return (
        found.name or "–", found.kind, ", ".join(found.ways), addresses or "–",
        found.host_key or "–", "; ".join(notes),
    )  # fmt: skip


def _as_dict(found: Found) -> dict[str, Json]:
    ways: list[Json] = [way.value for way in found.ways]
    ids: list[Json] = list(found.ids)
    notes: list[Json] = list(found.notes)
    addresses: list[Json] = [
        {"host": each.host, "port": each.port, "answers": each.is_open} for each in found.addresses
    ]
    return {
        "name": found.name or None,
        "kind": found.kind.value,
        "seen_by": ways,
        "addresses": addresses,
        "host_key": found.host_key or None,
        "ids": ids,
        "console": found.console or None,
        "notes": notes,
    }
