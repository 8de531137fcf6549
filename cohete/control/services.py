"""systemd units of a board: stopped, started, paused; by name, never by pattern."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace

from cohete.control.change import Sections, Step, as_root
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe

SYSTEMCTL = "/bin/systemctl"
_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\\-]{0,127}", re.ASCII)


def unit_name(text: str) -> str:
    """A whole unit name. Raises ChangeRefused where it is none."""
    if not _UNIT.fullmatch(text):
        raise ChangeRefused(f"`{text[:40]!r}` is no name of a systemd unit")
    return text if "." in text else f"{text}.service"


def unit_step(verb: str, unit: str, title: str = "", *, waits: bool = True) -> Step:
    """`systemctl verb unit`, as root. Verbs: start, stop, restart, freeze, thaw.

    Where it does not wait, it is begun: what takes long to start or to end holds nobody up.
    """
    name = unit_name(unit)
    words = () if waits else ("--no-block",)
    return Step(
        title or f"{verb} {name}",
        as_root(SYSTEMCTL, verb, *words, name),
        rule=unit_rule(verb, name, waits=waits),
        limit_s=100.0,
    )


def unit_rule(verb: str, unit: str, *, waits: bool = True) -> str:
    """The line a sudoers file needs for it."""
    return f"{SYSTEMCTL} {verb} {'' if waits else '--no-block '}{unit_name(unit)}"


def active_probe(unit: str) -> Probe:
    """What tells whether a unit runs."""
    name = unit_name(unit)
    return Probe(f"unit-{zlib.crc32(name.encode()):08x}", (SYSTEMCTL, "is-active", name))


def is_active(board: Sections, unit: str) -> bool:
    """Whether it ran when the board was looked at."""
    words = board.get(active_probe(unit).name, b"").split()
    return words[:1] in ([b"active"], [b"activating"], [b"reloading"])


FINISH_LIMIT_S = 900.0


def finish_steps(command: tuple[str, ...]) -> tuple[Step, ...]:
    """Wait until nothing is under way; none where there is no command that tells."""
    if not command:
        return ()
    return (Step("wait until nothing is under way", command, limit_s=FINISH_LIMIT_S),)


def stop_steps(units: tuple[str, ...]) -> tuple[Step, ...]:
    """Stop each of them; systemd waits until it has ended in order, up to its own limit."""
    return tuple(unit_step("stop", unit) for unit in units)


def start_steps(units: tuple[str, ...]) -> tuple[Step, ...]:
    """Start each of them; those that run already go on."""
    return tuple(replace(unit_step("start", unit), goes_on=True) for unit in units)
