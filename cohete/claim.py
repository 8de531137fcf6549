"""Who writes a folder of history: one program at a time, as long as it lives."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Claim:
    """The right to write in a folder; it ends with the program, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Be the one that writes here; False while another program is."""
        if self._descriptor is not None:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._folder / "writer.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            # Whatever is wrong with the folder is told by the first write.
            return True
        if not _locked(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        """Let another program write."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
