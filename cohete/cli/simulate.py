"""`cohete simulate`: Jetsons that do not exist, over real SSH on loopback."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--devices", "count", type=click.IntRange(1, 5000), default=12, show_default=True)
@click.option("--scenario", "name", default="demo", show_default=True, help="Or `list`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same boards.")
@click.option(
    "--base-port",
    type=click.IntRange(0, 65_000),
    default=0,
    help="First port; 0 lets the system choose.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for cohete.yaml, known_hosts and the key. Else in the user's cache.",
)
@click.option("--sudo/--no-sudo", default=False, help="Whether the boards allow `sudo -n`.")
def command(
    count: int, name: str, seed: int, base_port: int, output: Path | None, sudo: bool
) -> None:
    """Serve simulated Jetsons on 127.0.0.1, one port each, until ctrl+c.

    Writes a ready cohete.yaml, so that in another terminal `cohete-tui --config FILE` shows them.
    """
    from cohete.errors import CoheteError
    from cohete.fleet.session import default_folder
    from cohete.loop import run
    from cohete.simulator.scenario import SCENARIOS

    if name == "list":
        for key, (what, _) in SCENARIOS.items():
            click.echo(f"{key:10} {what}")
        return
    if name not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise CoheteError(f"no scenario is called {name!r}", hint=f"There are: {known}.")
    folder = output or default_folder()
    run(_serve(count, name, seed, base_port, folder, sudo=sudo))


async def _serve(
    count: int, name: str, seed: int, base_port: int, folder: Path, *, sudo: bool
) -> None:
    import asyncio
    import shlex
    import signal

    from cohete.clock import SystemClock
    from cohete.errors import CoheteError
    from cohete.simulator.scenario import build, play
    from cohete.simulator.server import KEY_FILE, KNOWN_HOSTS_FILE, LOOPBACK, USER, SimFleet

    clock = SystemClock()
    scenario = build(name, clock, count, seed)
    fleet = SimFleet(scenario.boards, clock=clock, sudo=sudo)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        try:
            await fleet.start(base_port)
        except OSError as error:
            raise CoheteError(
                f"cannot listen on loopback: {(error.strerror or 'failed').lower()}",
                hint="Choose another --base-port, or leave it out.",
            ) from None
        path = await asyncio.to_thread(fleet.write_files, folder, f"simulated {name}")
        click.echo(f"{count} simulated boards on 127.0.0.1. In another terminal:")
        click.echo(f"  cohete-tui --config {path}")
        first = next(iter(fleet.hosts.values()))
        login = ("ssh", "-p", str(first.port), "-i", str(folder / KEY_FILE),
                 "-o", f"UserKnownHostsFile={folder / KNOWN_HOSTS_FILE}",
                 f"{USER}@{LOOPBACK}")  # fmt: skip
        click.echo(f"  {shlex.join(login)} tegrastats")
        click.echo("Stop with ctrl+c.")
        story = asyncio.create_task(play(scenario, fleet))
        await stop.wait()
        story.cancel()
        await asyncio.gather(story, return_exceptions=True)
    finally:
        await fleet.stop()
