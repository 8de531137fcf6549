"""`cohete provision`: fresh boards as the configuration says; a second time changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, acted
from cohete.cli.options import acting_options
from cohete.cli.secrets import ask_secret

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.config.schema import Provision
    from cohete.fleet.session import FleetPlan
    from cohete.links.handshake import Ask
    from cohete.links.reopening import ReopeningLink


@click.command()
@acting_options
@click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The public key to install. Else the first ~/.ssh/id_*.pub.",
)
@click.option(
    "--password",
    is_flag=True,
    help="Ask for the password of a board that takes none of your keys yet; it is kept nowhere.",
)
@click.option(
    "--ssh-config",
    "ssh_config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("~/.ssh/config"),
    show_default=True,
    help="Where `Host` entries go.",
)
def command(
    key_file: Path | None, password: bool, ssh_config: Path, **given: Unpack[Given]
) -> None:
    """Make boards as `provision:` of cohete.yaml says: key, packages, CUDA variables, disk, swap.

    First each board's release is read and judged. Then a step at a time, on all boards: looked at,
    shown with its exact commands, asked about, applied, read back. What is so already is left
    alone. A disk that holds something is never erased, and a blank one only where
    `provision.nvme.erase` names the board, the disk and its size. Exit code 1 where anything is not
    as wanted at the end.
    """
    from cohete.cli.meant import fleet
    from cohete.config.loading import find_config, load
    from cohete.errors import ConfigError
    from cohete.provision.wanted import all_wanted

    options = Options(**given, ask=asker() if password else None)
    path = find_config(options.config_path)
    config = load(path) if path is not None else None
    if config is None or config.provision.is_empty:
        raise ConfigError(
            "there is nothing to provision",
            hint="Write a `provision:` into cohete.yaml; see sample-configs/provision.yaml.",
        )
    wanted = config.provision
    plan = fleet(options.targets, options.config_path, accept_new=options.accept_new)
    well = _releases(plan, options.ask)
    for part in all_wanted(wanted, lambda: _public_key(key_file)):
        if not options.as_json:
            click.echo(f"== {part.intent}")
        well = acted(options, plan, part.wish, part.intent) and well
    if wanted.ssh is not None:
        refused = options.read_only or plan.control.read_only
        only_told = options.dry_run or refused
        _entries(plan, wanted, ssh_config.expanduser(), only_told=only_told, yes=options.yes)
    sys.exit(0 if well else 1)


def asker() -> Ask:
    """Asks for each board's password once; it is forgotten when this command ends."""
    import asyncio

    known: dict[str, str] = {}
    turn = asyncio.Lock()

    async def ask(prompt: str) -> str:
        async with turn:
            if prompt not in known:
                known[prompt] = await ask_secret(prompt)
            return known[prompt]

    return ask


def _releases(plan: FleetPlan, password: Ask | None) -> bool:
    """Tell each board's release and what it means; whether every board could be read."""
    from cohete.cli.asking import ask_each
    from cohete.errors import CoheteError
    from cohete.hardware import parse_l4t
    from cohete.links.commands import PROBE_LIMIT_S, PROBES, look, split_sections
    from cohete.loop import run
    from cohete.provision.release import judge
    from cohete.text import decode

    probes = tuple(probe for probe in PROBES if probe.name in ("l4t", "l4t_core"))

    async def ask(link: ReopeningLink) -> str | None:
        done = await link.run(look(probes), timeout_s=PROBE_LIMIT_S + 5)
        said = split_sections(done.stdout)
        return parse_l4t(decode(said.get("l4t", b"")), decode(said.get("l4t_core", b"")))

    well = True
    for spec, l4t in run(ask_each(plan, ask, password)):
        if isinstance(l4t, CoheteError):
            well = False
            click.echo(f"{spec.id}: {l4t}", err=True)
            continue
        judged = judge(l4t)
        advice = f". {judged.advice}" if judged.advice else ""
        click.echo(f"{spec.id}: {judged.words}{advice}", err=True)
    return well


def _public_key(named: Path | None) -> str:
    from cohete.errors import ConfigError

    own = Path.home() / ".ssh"
    candidates = [own / f"id_{kind}.pub" for kind in ("ed25519", "ecdsa", "rsa")]
    path = named or next((each for each in candidates if each.is_file()), candidates[0])
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            "there is no public key to install", path=str(path),
            hint="Make one with `ssh-keygen -t ed25519`, or name one with --key.",
        ) from None  # fmt: skip


def _entries(plan: FleetPlan, wanted: Provision, path: Path, *, only_told: bool, yes: bool) -> None:
    """One `Host` a board: the name that is configured for a single board, else its id."""
    from cohete.provision.sshconfig import HostEntry, add_entry

    assert wanted.ssh is not None
    alone = len(plan.specs) == 1
    given = wanted.network.addresses if wanted.network is not None else {}
    for spec in plan.specs:
        target = spec.target
        moved = given.get(spec.id, "keep")
        entry = HostEntry(
            wanted.ssh.config_host if alone else spec.id,
            # Where it is from now on.
            target.host if moved == "keep" else moved.partition("/")[0],
            target.user or wanted.ssh.username,
            target.port or 22,
            spec.identity_file or "",
        )
        if only_told or not yes:
            click.echo("\n".join([f"{path}: would have", *entry.lines]))
        if only_told or not (yes or click.confirm("Write it?", err=True)):
            continue
        backup = add_entry(path, entry)
        if backup is None:
            click.echo(f"{path}: Host {entry.alias} is there already")
        else:
            click.echo(f"{path}: Host {entry.alias} added; before it: {backup.name}")
