"""`cohete decode`: tegrastats lines in, one JSON object a sample out."""

from __future__ import annotations

import sys
from typing import IO

import click


@click.command()
@click.argument("file", default="-", type=click.Path(allow_dash=True, dir_okay=False))
@click.option("--strict", is_flag=True, help="Exit 1 if a line was no sample.")
def command(file: str, strict: bool) -> None:
    """Decode tegrastats lines of FILE (- is standard input), any L4T from R21 to R39.

    One JSON object a sample on standard output; null is unknown. How many lines were no samples
    goes to standard error.
    """
    from cohete.errors import CoheteError

    if file == "-":
        rejected = _decode(sys.stdin.buffer)
    else:
        try:
            with click.open_file(file, "rb") as stream:
                rejected = _decode(stream)
        except OSError as error:
            raise CoheteError(
                f"cannot read it: {(error.strerror or 'unreadable').lower()}", where=file
            ) from None
    if rejected:
        lines = "line was no sample" if rejected == 1 else "lines were no samples"
        click.echo(f"{rejected} {lines}", err=True)
    if strict and rejected:
        sys.exit(1)


def _decode(stream: IO[bytes]) -> int:
    import json

    from cohete import tegra
    from cohete.tegra.export import as_dict

    rejected = 0
    for number, raw in enumerate(stream, 1):
        stats = tegra.parse(raw.decode("utf-8", "replace"))
        if stats is None:
            rejected += 1
            continue
        click.echo(json.dumps({**as_dict(stats), "line_number": number}))
    return rejected
