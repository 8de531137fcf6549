"""The NVMe of a simulated board, and how its swap in memory is packed."""

from __future__ import annotations

from dataclasses import dataclass, field


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
