"""A secret typed at a terminal, while connections go on beside it."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading

import click

LOOK_S = 0.2
"""How soon typing is given up once nobody waits for it any more."""


async def ask_secret(prompt: str) -> str:
    """A line that is not shown while it is typed; empty at the end of the input.

    Whoever is cancelled meanwhile, as by ctrl+c, leaves a terminal that shows what is typed.
    """
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(_typed, prompt, given_up)
    finally:
        given_up.set()


def _typed(prompt: str, given_up: threading.Event) -> str:
    if not sys.stdin.isatty():
        # From a pipe, a line each.
        return sys.stdin.readline().rstrip("\r\n")
    if os.name == "nt":
        return str(click.prompt(prompt, hide_input=True, err=True))
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    hidden = [*before]
    hidden[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, hidden)
    try:
        click.echo(f"{prompt}: ", nl=False, err=True)
        while not given_up.is_set():
            if select.select([terminal], [], [], LOOK_S)[0]:
                return os.read(terminal, 4096).decode("utf-8", "replace").rstrip("\r\n")
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        click.echo("", err=True)
    return ""
