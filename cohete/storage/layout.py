"""Where models, data and caches lie on a board, under names that cannot lead elsewhere. Pure.

The layout is the documented one: `/mnt/nvme/{models,data,cache,docker}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from cohete.errors import ChangeRefused

ROOT = "/mnt/nvme"
FOLDERS = ("models", "data", "cache", "docker")
MODES = {"models": 0o755, "data": 0o755, "cache": 0o755, "docker": 0o711}
"""Docker's own folder is root's, as it makes it itself."""
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StorageLayout:
    """`models`, `data`, `cache` and `docker` under one folder. Raises ChangeRefused for a bad one.

    `quota_mb` limits a folder by name; without one it may fill the disk.
    """

    root: str = ROOT
    quota_mb: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        path = PurePosixPath(self.root)
        parts = self.root.strip("/").split("/")
        if not path.is_absolute() or self.root == "/" or not all(map(_PART.fullmatch, parts)):
            raise ChangeRefused(f"`{self.root[:60]}` is no folder for a board's disk")
        for name, megabytes in self.quota_mb:
            if name not in FOLDERS or megabytes <= 0:
                raise ChangeRefused(f"a quota is for one of {', '.join(FOLDERS)}, and above 0 MB")

    def folder(self, name: str) -> str:
        """The path of one of the four. Raises ChangeRefused."""
        if name not in FOLDERS:
            raise ChangeRefused(f"there is no folder {name[:40]!r} in the layout")
        return f"{self.root}/{name}"

    def model(self, name: str) -> str:
        """The path of a model: `llama.gguf`, or `family/llama.gguf`. Raises ChangeRefused for a
        name that is absolute, leads out of the folder, or is no name."""
        parts = name.split("/")
        if len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
            raise ChangeRefused(
                f"`{name[:60]}` is no name for a model", hint="Letters, digits, . _ - and a folder."
            )
        return "/".join((self.folder("models"), *parts))

    def refusal(self, name: str, used_mb: int, more_mb: int) -> str:
        """Why so much more may not be put into a folder; empty where it may."""
        quota = dict(self.quota_mb).get(name)
        if quota is None or used_mb + more_mb <= quota:
            return ""
        return f"{name} holds {used_mb} of {quota} MB, and {more_mb} more would be too much"
