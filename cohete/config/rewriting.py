"""A file of this person's changed in one piece, with what it was kept beside it. Blocking."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from cohete.errors import ConfigError


def rewrite(path: Path, data: bytes, what: str) -> Path:
    """Put other bytes into a file; the path of the backup. `what` names the file in errors.

    A link stays a link, and mode and owner stay. A new file is for nobody else. Raises ConfigError.
    """
    try:
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        backup = _backup(real, what)
        part = real.with_name(f"{real.name}.cohete-part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if real.exists():
            shutil.copymode(real, part)
            with contextlib.suppress(OSError):
                status = real.stat()
                os.chown(part, status.st_uid, status.st_gid)
        part.replace(real)
    except OSError as error:
        raise ConfigError(f"{what} cannot be written: {error.strerror}", path=str(path)) from None
    return backup


def _backup(real: Path, what: str) -> Path:
    """A copy beside it that no later one replaces."""
    for nth in range(1, 10_000):
        backup = real.with_name(f"{real.name}.cohete-backup-{nth}")
        if not backup.exists():
            if real.exists():
                shutil.copy2(real, backup)
            else:
                backup.touch(mode=0o600)
            return backup
    raise ConfigError(f"there are too many backups of {what}", path=str(real))
