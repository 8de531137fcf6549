"""Who writes a folder of history, who guards a device: one program at a time, while it lives."""

from __future__ import annotations

import contextlib
import hashlib
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


class DeviceClaims:
    """Which devices this program guards: each is one byte of a file, locked while it lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._taken: set[str] = set()

    def take(self, device: str) -> bool:
        """Be the one that guards it; False while another program does. Blocking, and quick."""
        if device in self._taken:
            return True
        try:
            import fcntl
        except ImportError:
            return True
        try:
            if self._descriptor is None:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            # Without a place to agree in, a board is rather guarded twice than by nobody.
            return True
        place = int.from_bytes(hashlib.sha256(device.encode()).digest()[:6])
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            # The second is how some systems say that somebody else has it.
            return False
        except OSError:
            return True
        self._taken.add(device)
        return True

    def drop(self) -> None:
        """Let other programs guard them."""
        self._taken.clear()
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
