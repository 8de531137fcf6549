"""llama.cpp's own tools for `cohete quantize`, and how any run tells how far it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.text import sanitise

if TYPE_CHECKING:
    from cohete.quantize.gguf import Model
    from cohete.quantize.run import Outcome, Progress


def shown(path: Path) -> str:
    """A path as it can be printed: a name may hold anything."""
    return sanitise(str(path), 4096)


def bar_progress(progress: Progress) -> None:
    """A line on a terminal."""
    if not sys.stderr.isatty():
        return
    share = progress.done_bytes / max(1, progress.total_bytes)
    eta = f"{progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
    rate = f"{progress.mb_s:.0f} MB/s  " if progress.mb_s else ""
    click.echo(
        f"\r{progress.step}  {100 * share:3.0f} %  {rate}{eta}, "
        f"waits for {progress.bound}   ", nl=False, err=True,
    )  # fmt: skip


def json_progress(progress: Progress) -> None:
    """A line of JSON."""
    import json
    from dataclasses import asdict

    click.echo(json.dumps(asdict(progress)), err=True)


def refuse_foreign(path: Path, *, replace: bool) -> None:
    """Raises CoheteError for a file that somebody else made."""
    from cohete.errors import CoheteError
    from cohete.quantize.manifest import manifest_path, read_manifest

    try:
        is_there = path.exists()
    except OSError as error:
        raise CoheteError(f"no file can have this name: {error.strerror}",
                          where=str(path)[:200]) from None  # fmt: skip
    if is_there and not replace and read_manifest(path) is None:
        words = "it exists, and was not made by `cohete quantize`"
        if manifest_path(path).exists():
            words = "it exists, and its manifest is damaged or cannot be read"
        raise CoheteError(words, where=str(path), hint="--replace makes it anew.")


def converted(folder: Path, tool: Path | None, *, dry_run: bool, quiet: bool) -> Path:
    """A folder of safetensors as GGUF, by the converter a person has."""
    from cohete.errors import CoheteError
    from cohete.quantize.tools import CONVERT, convert, find_tool, is_converted, was_converted

    if not any(folder.glob("*.safetensors")):
        raise CoheteError("there are no safetensors in it, and it is no GGUF file",
                          where=str(folder))  # fmt: skip
    path = folder / f"{folder.resolve().name}-f16.gguf"
    if path.exists():
        if is_converted(folder, path):
            if not quiet:
                click.echo(f"{shown(path)} was converted from these files before", err=True)
            return path
        if not was_converted(path):
            raise CoheteError(
                "it is in the way: it is not known to be of these safetensors", where=str(path),
                hint="Quantize it by its own name, or move it away to convert them.",
            )  # fmt: skip
    try:
        found = find_tool(CONVERT, tool)
    except CoheteError as error:
        raise CoheteError(
            f"safetensors are read through llama.cpp's converter, and {error.what}",
            where=str(folder),
            hint=f"Name it with --tool, or make a GGUF file with {CONVERT} first.",
        ) from None
    if dry_run:
        raise CoheteError(
            f"it would be converted to {shown(path)} first; then more can be said",
            where=str(folder),
        )
    return convert(found, folder, path)


def ask_by_tool(path: Path, level: str, *, replace: bool, yes: bool) -> None:
    """Whether a person wants it; raises Abort where not."""
    from cohete.errors import CoheteError

    refuse_foreign(path, replace=replace)
    if yes:
        return
    if not sys.stdin.isatty():
        raise CoheteError("nobody can be asked here", hint="--yes does not ask.")
    if not click.confirm(f"Let llama-quantize make {shown(path)} as {level}?", default=True):
        raise click.Abort


def run_tool(
    model: Model, level: str, path: Path, tool: Path | None, imatrix: Path | None, *, as_json: bool
) -> Outcome:
    """Let llama-quantize make it; a signal to end ends it too."""
    import signal

    from cohete.errors import CoheteError
    from cohete.quantize.pool import Cancelled
    from cohete.quantize.tools import QUANTIZE, find_tool, quantize_with

    def end(*_: object) -> None:
        raise Cancelled

    previous = signal.signal(signal.SIGTERM, end)
    try:
        return quantize_with(
            find_tool(QUANTIZE, tool), model, level, path, imatrix=imatrix,
            threads=os.cpu_count() or 1, progress=json_progress if as_json else bar_progress,
        )  # fmt: skip
    except (Cancelled, KeyboardInterrupt):
        raise CoheteError("cancelled: nothing was kept", where=str(path)) from None
    finally:
        signal.signal(signal.SIGTERM, previous)
