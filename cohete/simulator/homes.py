"""Files that somebody put on a simulated board: real ones, in a temporary folder of this machine.

The folder is the board's `/` to SFTP, which sees nothing else of this machine, and to the commands
that handle what came that way.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path

from cohete.simulator.board import SimBoard
from cohete.simulator.files import read_file
from cohete.simulator.shell import Context


def home_of(board: SimBoard) -> Path:
    """The folder of a board, made when it is first needed."""
    if board.home is None:
        board.home = Path(tempfile.mkdtemp(prefix="cohete-sim-"))
    return board.home


def forget(board: SimBoard) -> None:
    """Remove the folder and all in it."""
    home, board.home = board.home, None
    if home is not None:
        shutil.rmtree(home, ignore_errors=True)


def make_folder(board: SimBoard, path: str) -> None:
    """As `mkdir -p` does."""
    _place(home_of(board), path).mkdir(parents=True, exist_ok=True)


def stored(board: SimBoard, path: str) -> Path | None:
    """Where a file of the board is, if it came over SFTP."""
    if board.home is None:
        return None
    place = _place(board.home, path)
    return place if place.is_file() and not place.is_symlink() else None


def move(board: SimBoard, source: str, target: str) -> bool:
    """Whether there was such a file, which has the other name now."""
    place = stored(board, source)
    if place is None:
        return False
    place.replace(_place(home_of(board), target))
    return True


async def sha256sum(context: Context, argv: list[str]) -> int:
    """Of files, and with `-c -` against what standard input says."""
    if "-c" in argv:
        lines = (await context.stdin.read_all()).decode("utf-8", "replace").splitlines()
        failed = 0
        for line in lines:
            wanted, _, path = line.partition("  ")
            found = await asyncio.to_thread(_digest, context.board, path)
            context.say(f"{path}: {'OK' if found == wanted else 'FAILED'}")
            failed += found != wanted
        return int(failed > 0)
    status = 0
    for path in argv[argv.index("--") + 1 :]:
        found = await asyncio.to_thread(_digest, context.board, path)
        if found is None:
            context.complain(f"sha256sum: {path}: No such file or directory")
            status = 1
        else:
            context.say(f"{found}  {path}")
    return status


def _place(home: Path, path: str) -> Path:
    return home.joinpath(*(part for part in path.split("/") if part not in ("", ".", "..")))


def _digest(board: SimBoard, path: str) -> str | None:
    place = stored(board, path)
    if place is None:
        data = read_file(board, path)
        return None if data is None else hashlib.sha256(data).hexdigest()
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
