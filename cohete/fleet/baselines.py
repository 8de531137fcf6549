"""How each board was when somebody said that it is as it should be. Blocking; a file a board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from cohete.device.inventory import Inventory
from cohete.kept import keep

FOLDER = "baselines"
MAX_BYTES = 4_000_000


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = 1
    device: str
    taken_s: float
    mode: str | None
    packages: dict[str, str] | None
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Baseline:
    """An inventory and the wall clock time in s at which it was accepted."""

    taken_s: float
    inventory: Inventory


def _path(folder: Path, device: str) -> Path:
    return folder / FOLDER / f"{quote(device, safe='')}.json"


def read_baseline(folder: Path, device: str) -> Baseline | None:
    """What was accepted of a device; None where nothing was, or the file is none of ours."""
    path = _path(folder, device)
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        found = _Document.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if (found.version, found.device) != (1, device):
        return None
    return Baseline(found.taken_s, Inventory(found.mode, found.packages, found.files))


def write_baseline(folder: Path, device: str, baseline: Baseline) -> None:
    """Keep it, all or nothing, for nobody else to read. Raises OSError."""
    path = _path(folder, device)
    taken = baseline.inventory
    document = _Document(
        device=device,
        taken_s=baseline.taken_s,
        mode=taken.mode,
        packages=None if taken.packages is None else dict(taken.packages),
        files=dict(taken.files),
    )
    keep(path, document.model_dump_json(indent=1))
