"""What setting a simulated board up changes: its NVMe, its swap in memory, its network."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SimProfile:
    """A profile of NetworkManager, in memory until it is kept."""

    address: str
    is_kept: bool = False


@dataclass(slots=True)
class SimDisk:
    """The NVMe of a board: with its system on it, or blank until somebody sets it up."""

    has_system: bool = True
    is_partitioned: bool = False
    uuid: str = ""
    mount: str = ""
    zram_algorithm: str = "lzo-rle"
    modes: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of files and folders that were made: mode as octal text, size."""
