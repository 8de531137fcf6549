"""How full the file systems of a board are, from `df -P -k`. Pure. Sizes are bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.text import sanitise

MAX_LINES = 512
LOW_SHARE = 0.10
"""With less of it free, a file system is low."""
_DF = re.compile(
    r"^(\S{1,255}) +(\d{1,15}) +(\d{1,15}) +(\d{1,15}) +\S+ +(/.{0,255})$", re.MULTILINE | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Room:
    """A mounted file system: bytes in all, and for who is not root still free."""

    source: str
    mount: str
    total: int
    free: int

    @property
    def free_share(self) -> float:
        """0 to 1."""
        return self.free / self.total if self.total else 0.0

    @property
    def is_low(self) -> bool:
        """Whether less than a tenth is free."""
        return self.free_share < LOW_SHARE


def rooms_from(text: str) -> tuple[Room, ...]:
    """File systems of `df -P -k` that are on something. Never raises."""
    return tuple(
        Room(sanitise(source, 255), sanitise(mount, 255), int(total) * 1024, int(free) * 1024)
        for source, total, _, free, mount in _DF.findall(text)[:MAX_LINES]
        if source.startswith("/dev/") and not source.startswith("/dev/loop")
    )
