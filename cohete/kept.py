"""Small files of the state folder, written so that they are whole whenever they are read."""

from __future__ import annotations

import os
from pathlib import Path


def keep(path: Path, text: str) -> None:
    """All of it or nothing, also where the power goes; for nobody else to read.

    The folder is made where it is missing. Raises OSError. Blocking.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.part")
    # One that was left by a kill could be for everybody.
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
