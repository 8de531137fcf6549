"""How a device is now, as an action asks: one command, and only reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from cohete.config.spec import DeviceSpec
from cohete.control.change import Action, Sections, output_of
from cohete.errors import CommandError
from cohete.links.base import Completed
from cohete.links.commands import PROBE_LIMIT_S, Probe, look, split_sections
from cohete.text import decode

BOOT_ID = Probe("boot_id", ("cat", "/proc/sys/kernel/random/boot_id"))


class Runner(Protocol):
    """What runs a command on a device over the connection there is now."""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run it to its end. Raises LinkError while there is no connection, CommandError."""
        ...


@runtime_checkable
class Movable(Protocol):
    """A runner that can follow a device to another address."""

    async def move(self, host: str) -> None:
        """From now on over a new connection, to this host; its key stays the one it had.

        Empty is where it was first.
        """
        ...


async def read(spec: DeviceSpec, runner: Runner, action: Action) -> Sections:
    """What the action needs to know of the device. Raises LinkError, CommandError."""
    done = await runner.run(look((*action.probes, BOOT_ID)), timeout_s=PROBE_LIMIT_S + 5)
    sections = split_sections(done.stdout)
    if BOOT_ID.name not in sections:
        raise CommandError(
            f"the board does not answer in full: {output_of(done) or 'nothing'}", where=spec.id
        )
    return sections


def boot_id_of(sections: Sections) -> str:
    """What tells one start of the device from the next."""
    return decode(sections.get(BOOT_ID.name, b"")).strip()[:64]
