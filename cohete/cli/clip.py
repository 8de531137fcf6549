"""`cohete clip`: a part of a recording, to keep or to give to somebody."""

from __future__ import annotations

from pathlib import Path

import click

from cohete.cli.options import new_file_option


@click.command()
@click.argument("recording", type=click.Path(dir_okay=False, path_type=Path))
@new_file_option
@click.option("--from", "from_text", help="Since when: 14:30, or 5m before the end. Else all.")
@click.option("--to", "to_text", help="Until when, likewise.")
@click.option("--mask", is_flag=True, help="Without addresses, users, hosts, serials and keys.")
@click.option("--mask-names", is_flag=True, help="The same, and devices, tags and sites renamed.")
def command(
    recording: Path,
    output: Path,
    from_text: str | None,
    to_text: str | None,
    mask: bool,
    mask_names: bool,
) -> None:
    """Copy a part of RECORDING into a file of its own.

    Masked, it also leaves out lines that are no plain tegrastats samples.
    """  # fmt: skip
    from datetime import datetime

    from cohete.errors import CoheteError
    from cohete.telemetry.clip import clip, mask_of
    from cohete.telemetry.recording import RecordingFile
    from cohete.telemetry.when import parse_when_ms

    reader = RecordingFile(recording)
    reader.close()
    end = datetime.fromtimestamp(reader.end_ms / 1000).astimezone()
    from_ms = parse_when_ms(from_text, end) if from_text else reader.begin_ms
    to_ms = parse_when_ms(to_text, end) if to_text else reader.end_ms
    if from_ms >= to_ms or from_ms >= reader.end_ms or to_ms <= reader.begin_ms:
        raise CoheteError(
            "nothing was recorded in this time",
            where=str(recording),
            hint=f"It goes from {_clock(reader.begin_ms)} to {_clock(reader.end_ms)}.",
        )
    chosen = mask_of(recording, names=mask_names) if mask or mask_names else None
    size = clip(recording, output, from_ms, to_ms, chosen)
    click.echo(f"{size / 1e6:.2f} MB. Show it: cohete-tui --replay {output}", err=True)


def _clock(time_ms: int) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(time_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - the wall clock of whoever looks
