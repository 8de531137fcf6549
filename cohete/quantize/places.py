"""Where a file is made: what stands beside it, what must not be overwritten, who writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from platformdirs import user_state_path

from cohete.claim import Claim
from cohete.errors import CoheteError
from cohete.quantize.manifest import hashes_path, manifest_path
from cohete.quantize.slabs import digest


def files_of(path: Path) -> tuple[Path, Path, Path, Path]:
    """What stands beside a file while and after it is made: part, journal, manifest, hashes."""
    return (
        path.with_name(f"{path.name}.part"),
        path.with_name(f"{path.name}.part.journal"),
        manifest_path(path),
        hashes_path(path),
    )


def check_places(path: Path, sources: Iterable[Path]) -> None:
    """That nothing that is written is something that is read, and has a name that can be told.

    Raises CoheteError.
    """
    if path.exists() and not path.is_file():
        raise CoheteError("it is there and is no regular file", where=str(path),
                          hint="Name another file with --output.")  # fmt: skip
    if written(path.name) != path.name:
        raise CoheteError(
            "this name is no UTF-8 text", where=written(str(path)),
            hint="Name another file with --output.",
        )  # fmt: skip
    kept = {source.resolve() for source in sources}
    for place in (path, *files_of(path)):
        if place.resolve() in kept:
            raise CoheteError(
                "that is the model itself", where=str(place),
                hint="Name another file with --output.",
            )  # fmt: skip


def check_folder(path: Path, need: int) -> None:
    """That a file of so many bytes can be made there. Raises OSError, CoheteError."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    part, *_ = files_of(path)
    free = shutil.disk_usage(folder).free
    if need > free and not part.exists():
        raise CoheteError(
            f"it needs {need / 1e6:.0f} MB and {free / 1e6:.0f} MB are free",
            where=str(folder.absolute()),
            hint="Make room, or name another folder with --output.",
        )


def sync_folder(folder: Path) -> None:
    """Names in it are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def told(error: OSError, where: str) -> CoheteError:
    """What a disk refused, in words."""
    hints = {
        28: "The disk is full. Make room; the next run goes on from where this one ended.",
        30: "The disk is mounted read-only. Name another folder with --output.",
        13: "You may not write there. Name another folder with --output.",
    }
    words = error.strerror or str(error) or type(error).__name__
    hint = hints.get(error.errno or 0, "")
    if not error.errno and error.filename:
        hint = "Something changed it meanwhile. Copy it again, then run the same command."
    return CoheteError(words, where=error.filename or where, hint=hint)


def written(name: str) -> str:
    """A name of a file as text; bytes of it that are none as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextlib.contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Nobody else of this user makes the same file meanwhile. Raises CoheteError."""
    name = digest(os.fsencode(path.resolve()))
    claim = Claim(user_state_path("cohete") / "locks" / name)
    if not claim.take():
        raise CoheteError(
            "another run is making this file", where=str(path),
            hint="Wait for it, or name another file with --output.",
        )  # fmt: skip
    try:
        yield
    finally:
        claim.drop()
