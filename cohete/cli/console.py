"""`cohete console`: the serial console of a board on USB."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from cohete.cli.secrets import ask_secret

if TYPE_CHECKING:
    from cohete.links.console import Console, SerialPort

LEAVE = b"\x1d"
"""ctrl+], as telnet and virsh have it."""


@click.command()
@click.argument("port", required=False, default="")
@click.option("--identify", is_flag=True, help="Log in, and say what board it is.")
@click.option("--join", "network", metavar="SSID", help="Log in, and join a wireless network.")
@click.option("--user", default="nvidia", show_default=True, help="Login name, for these two.")
@click.option("--read-only", is_flag=True, help="Join nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a network is joined.")
def command(
    port: str, identify: bool, network: str | None, user: str, read_only: bool, yes: bool
) -> None:
    """The serial console at PORT, or of the only board on USB: 115200 baud, 8N1. No network needed.

    ctrl+] leaves. With --identify and --join commands run by themselves; passwords are asked for,
    sent, and kept nowhere.
    """
    from cohete.errors import ConfigError
    from cohete.loop import run

    path = port or _only_console()
    if identify or network:
        if network and read_only:
            raise ConfigError("Cohete runs read-only: no network is joined", path=path)
        run(_act(path, user, identify=identify, network=network, yes=yes))
        return
    if not sys.stdin.isatty():
        raise click.UsageError("the console needs a terminal. Without one: --identify.")
    click.echo(f"{path}, 115200 8N1. ctrl+] leaves; enter wakes the prompt.\r", err=True)
    run(_bridge(path))


def _only_console() -> str:
    from cohete.device.discovery.usb import on_usb
    from cohete.errors import ConfigError

    consoles = [each.console for each in on_usb() if each.console]
    if len(consoles) == 1:
        return consoles[0]
    if not consoles:
        raise ConfigError(
            "no board with a console is on USB",
            hint="Name its port, as in /dev/ttyACM0, or see `cohete discover --usb`.",
        )
    raise ConfigError("several boards are on USB", hint=f"Name one of: {', '.join(consoles)}.")


async def _act(path: str, user: str, *, identify: bool, network: str | None, yes: bool) -> None:
    from cohete.device.identity import facts_from
    from cohete.links.commands import PROBE_LIMIT_S, probe, split_sections
    from cohete.links.console import Console, SerialPort

    async with SerialPort(path) as port:
        console = Console(port)
        await console.log_in(user, ask_secret)
        if identify:
            done = await console.run(probe(), timeout_s=2 * PROBE_LIMIT_S + 30)
            facts = facts_from(split_sections(done.stdout))
            module = facts.module_name or "unknown module"
            name, machine = facts.hostname or "no name", facts.machine_id or "unknown"
            click.echo(f"{module}, L4T {facts.l4t or 'unknown'}, {name}, id {machine}")
            addresses = await console.run(("ip", "-brief", "address"), timeout_s=10)
            click.echo(_printable(addresses.stdout))
        if network:
            await _join(console, path, network, yes=yes)


async def _join(console: Console, path: str, network: str, *, yes: bool) -> None:
    """One change, shown before it runs and written down, as every other."""
    from cohete.clock import SystemClock
    from cohete.control.audit import AuditLog, default_folder
    from cohete.control.change import Change, Step
    from cohete.control.noting import noted
    from cohete.control.outcome import Outcome

    step = Step(f"join {network}", ("nmcli", "--ask", "device", "wifi", "connect", network))
    change = Change(
        f"console {path}", f"join the network {network}", "not known", f"in {network}", (step,)
    )
    click.echo(f"{path}: {step.line}")
    if not yes and not click.confirm("Run it?", err=True):
        return
    log = AuditLog(default_folder(), SystemClock())
    async with noted(log, change) as what:
        what.words = await console.answer(step.argv, "Password", ask_secret, timeout_s=60)
        what.outcome = Outcome.DONE
    click.echo(what.words)


def _printable(raw: bytes) -> str:
    from cohete.text import decode, sanitise_lines

    return sanitise_lines(decode(raw)).rstrip()


async def _bridge(path: str) -> None:
    """Keys there, and what it prints here, as they are."""
    import termios
    import tty

    from cohete.links.console import SerialPort

    loop, keys = asyncio.get_running_loop(), asyncio.Queue[bytes]()
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    async with SerialPort(path) as port:
        # What was typed meanwhile is not thrown away.
        tty.setraw(stdin, termios.TCSADRAIN)
        loop.add_reader(stdin, lambda: keys.put_nowait(os.read(stdin, 4096)))
        try:
            printing = asyncio.create_task(_print(port))
            typing = asyncio.create_task(_type(port, keys))
            done, running = await asyncio.wait(
                [printing, typing], return_when=asyncio.FIRST_COMPLETED
            )
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for task in done:
                task.result()
        finally:
            loop.remove_reader(stdin)
            with contextlib.suppress(termios.error):
                termios.tcsetattr(stdin, termios.TCSADRAIN, before)


async def _print(port: SerialPort) -> None:
    while True:
        data = await port.read()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


async def _type(port: SerialPort, keys: asyncio.Queue[bytes]) -> None:
    while True:
        data = await keys.get()
        before, leave, _ = data.partition(LEAVE)
        if before:
            await port.write(before)
        if leave or not data:
            return
