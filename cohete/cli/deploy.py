"""`cohete deploy`: a model file on boards, whole and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, act
from cohete.cli.options import acting_options

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.control.files import PutFile


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@acting_options
@click.option(
    "--to",
    "folder",
    default="models",
    show_default=True,
    help="A folder on the board; without a slash before it, in the user's home there.",
)
def command(file: Path, folder: str, **given: Unpack[Given]) -> None:
    """Copy FILE to a folder of each board, and check it there.

    Room is looked for first; a copy that was cut off goes on where it stopped; the file gets its
    name once its digest is right on the board. What is there already is not copied again.
    """
    act(Options(**given), lambda _: put_of(file, folder))


def put_of(file: Path, folder: str) -> PutFile:
    """The action for a file: with the digest of its manifest, if that is of it, else worked out.

    Blocking. Raises CoheteError.
    """
    from cohete.control.files import PutFile
    from cohete.errors import CoheteError
    from cohete.quantize.hashing import hash_file
    from cohete.quantize.manifest import read_manifest, verify

    try:
        size = file.stat().st_size
        # What is damaged here is not carried anywhere.
        known = verify(file) if read_manifest(file) is not None else None
        digest = known.sha256 if known is not None else hash_file(file)[1]
    except OSError as error:
        raise CoheteError(f"it cannot be read: {error.strerror}", where=str(file)) from None
    return PutFile(str(file.resolve()), digest, size, folder)
