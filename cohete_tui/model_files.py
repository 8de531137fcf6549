"""Where models are on this computer: those that were looked at lately, files, folders to go to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cohete.text import sanitise
from cohete_tui.draw import Line, fit

MAX_FILES = 200
MAX_RECENT = 10


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that was found."""

    path: Path
    bytes: int


class ModelFinder:
    """What can be chosen from: recent models and the usual places, or the folder gone to."""

    def __init__(self, recent: Path, places: Sequence[Path] | None, *, may_browse: bool) -> None:
        self._recent = recent
        self._places = list(places) if places is not None else None
        self._may_browse = may_browse
        self._folders: list[Path] = []
        self.here: Path | None = None
        """The folder that was gone to; None is where models usually are."""
        self.files: list[ModelFile] = []

    async def look(self) -> None:
        """Read what is there now."""
        recent: list[ModelFile] = []
        if self.here is None:
            recent = await asyncio.to_thread(recent_models, self._recent)
        places = self._usual if self.here is None else [self.here]
        found = await asyncio.to_thread(find_models, places)
        known = {each.path.resolve() for each in recent}
        self.files = recent + [each for each in found if each.path.resolve() not in known]
        if self._may_browse:
            self._folders = await asyncio.to_thread(find_folders, places[0])

    async def go(self, path: Path) -> bool:
        """Whether `path` is a folder, and may be gone to."""
        is_folder = self._may_browse and await asyncio.to_thread(path.is_dir)
        if is_folder:
            self.here = await asyncio.to_thread(path.absolute)
        return is_folder

    async def note(self, path: Path) -> None:
        """A model that was taken is a recent one from now on."""
        if self._may_browse:
            await asyncio.to_thread(note_recent, self._recent, path)

    def rows(self, cells: int) -> list[tuple[str, Line]]:
        """As a list; each row is told by its path."""
        return model_rows(self.files, self._folders, self.here or self._usual[0], cells)

    @property
    def _usual(self) -> list[Path]:
        return self._places or [Path.cwd(), Path.home() / "models"]


def find_models(folders: Iterable[Path]) -> list[ModelFile]:
    """GGUF files in some folders, the largest first; of a split model its first file. Blocking."""
    found: dict[Path, ModelFile] = {}
    for folder in folders:
        try:
            paths = sorted(folder.glob("*.gguf"))[:MAX_FILES]
        except OSError:
            continue
        for path in paths:
            if "-of-" in path.name and "-00001-of-" not in path.name:
                continue
            try:
                found[path.resolve()] = ModelFile(path, path.stat().st_size)
            except OSError:
                continue
    return sorted(found.values(), key=lambda each: (-each.bytes, each.path.name))[:MAX_FILES]


def find_folders(folder: Path) -> list[Path]:
    """The folder above, then those inside that are not hidden, by name. Blocking."""
    here = folder.absolute()
    above = [here.parent] if here.parent != here else []
    try:
        inside = [each for each in here.iterdir() if not each.name.startswith(".")]
        return above + sorted(each for each in inside if each.is_dir())[:MAX_FILES]
    except OSError:
        return above


def recent_models(file: Path) -> list[ModelFile]:
    """Models that were looked at lately and are still there, the newest first. Blocking."""
    found: list[ModelFile] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for line in lines[:MAX_RECENT]:
        path = Path(line)
        try:
            found.append(ModelFile(path, path.stat().st_size))
        except (OSError, ValueError):
            continue
    return found


def note_recent(file: Path, path: Path) -> None:
    """Remember a model; that this cannot be written is no reason to stop. Blocking."""
    line = str(path.resolve())
    if "\n" in line or not path.is_file():
        return
    kept = [str(each.path) for each in recent_models(file)]
    lines = [line, *(each for each in kept if each != line)][:MAX_RECENT]
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_name(f"{file.name}.part")
        part.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
        part.replace(file)


def model_rows(
    files: Sequence[ModelFile], folders: Sequence[Path], here: Path, cells: int
) -> list[tuple[str, Line]]:
    """Files by name, with size and folder; then the folders around `here` that can be gone to."""
    rows: list[tuple[str, Line]] = []
    for each in files:
        size = f"{each.bytes / 1e9:6.1f} GB" if each.bytes >= 1e8 else f"{each.bytes / 1e6:6.1f} MB"
        room = max(12, min(56, cells - 40))
        rows.append((
            str(each.path),
            [(f" {fit(sanitise(each.path.name), room)} ", ""), (f"{size}  ", "title"),
             (sanitise(str(each.path.parent)), "dim")],
        ))  # fmt: skip
    above = here.absolute().parent
    for folder in folders:
        name = "../" if folder == above else f"{folder.name}/"
        rows.append((str(folder), [(f" {fit(name, max(12, cells - 2))}", "accent")]))
    return rows
