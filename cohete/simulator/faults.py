"""What can go wrong with a simulated board, on command."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """One fault; a board may have several at a time."""

    DOWN = "down"
    """Nothing listens: connections are refused."""
    CUT = "cut"
    """Open connections are cut once; new ones work."""
    HANG = "hang"
    """The board stays connected and says nothing more."""
    SLOW = "slow"
    """Each line comes 3 s late, in a lump."""
    GARBAGE = "garbage"
    """Between the samples come torn lines, bytes that are no UTF-8 and endless lines."""
    ESCAPES = "escapes"
    """What the board prints is full of terminal escape sequences and bidirectional marks."""
    HOST_KEY = "host_key"
    """The board shows another host key than before."""
    AUTH = "auth"
    """The board lets nobody in."""
    DISK_FULL = "disk_full"
    """Nothing can be written."""
    GATED = "gated"
    """The GPU's power domain is off: its zone has no value."""
    OVERHEAT = "overheat"
    """The fan has stopped and the air around is hot."""
    STUCK = "stuck"
    """Commands that change something never end."""
    STUBBORN = "stubborn"
    """Commands that change something say that all is well, and change nothing."""
    CUT_MID = "cut_mid"
    """The connection is cut right after a command changed something."""
    NO_TEGRASTATS = "no_tegrastats"
    """tegrastats is not installed."""
