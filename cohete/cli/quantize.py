"""`cohete quantize`: a smaller model out of a GGUF file, checked, with a report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cohete.quantize.plan import Plan
    from cohete.quantize.run import Outcome, Progress

SMALL_BYTES = 64_000_000
_LEVELS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16")


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--level", type=click.Choice(_LEVELS), help="What most tensors become.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file. Else MODEL's name with the level, beside it.",
)
@click.option(
    "--quality",
    is_flag=True,
    help="Search for the best scales: same format and size, less error, slower.",
)
@click.option("--pure", is_flag=True, help="The level for every tensor; no mixture.")
@click.option("--leave-output", is_flag=True, help="Keep output.weight as it is.")
@click.option(
    "--tensor",
    "rules",
    multiple=True,
    metavar="PATTERN=TYPE",
    help="A type for some tensors, as in 'token_embd.weight=q8_0' or 'blk.0.*=keep'.",
)
@click.option("--allow-requantize", is_flag=True, help="Also from a file that is quantized.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes. Else one a core.")
@click.option("--replace", is_flag=True, help="Replace the new file where it exists.")
@click.option(
    "--dry-run", is_flag=True, help="Say what it would be, to the byte, and make nothing."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--verify",
    "verify_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check a file against its manifest, and do nothing else.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The report as JSON; progress as JSON lines on stderr."
)
def command(
    model: Path | None,
    level: str | None,
    output: Path | None,
    quality: bool,
    pure: bool,
    leave_output: bool,
    rules: tuple[str, ...],
    allow_requantize: bool,
    workers: int | None,
    replace: bool,
    dry_run: bool,
    yes: bool,
    verify_path: Path | None,
    as_json: bool,
) -> None:
    """Quantize MODEL (GGUF: F16, BF16 or F32; any file of a split one) to a level.

    Its tensors are byte for byte those of llama-quantize, unless --quality is asked for. It is made
    beside its final name, read back, and only then given it; a run that was killed goes on where it
    was. Beside it stand a manifest, for --verify, and the hashes that llama-gguf-hash checks.
    """  # fmt: skip
    from cohete.quantize.gguf import read_model
    from cohete.quantize.mixture import Recipe, parse_rule
    from cohete.quantize.plan import plan_model
    from cohete.quantize.types import Level

    if verify_path is not None:
        _verify(verify_path, as_json=as_json)
        return
    if model is None or level is None:
        raise click.UsageError("say which MODEL and --level, or --verify FILE")
    recipe = Recipe(Level(level), pure, leave_output, tuple(map(parse_rule, rules)))
    plan = plan_model(read_model(model), recipe, by_search=quality, again=allow_requantize)
    path = output or _beside(model, level)
    _ask(plan, path, replace=replace, yes=yes or dry_run, quiet=as_json)
    if dry_run:
        _say_plan(plan, path, as_json=as_json)
        return
    _say(_run(plan, path, workers, as_json=as_json), path, as_json=as_json)


def _beside(model: Path, level: str) -> Path:
    """`tiny-f16.gguf` becomes `tiny-q4_0.gguf`."""
    import re

    stem = re.sub(r"-\d{5}-of-\d{5}$", "", model.stem)
    stem = re.sub(r"[-.](f16|bf16|f32)$", "", stem, flags=re.IGNORECASE)
    return model.with_name(f"{stem}-{level}.gguf")


def _ask(plan: Plan, path: Path, *, replace: bool, yes: bool, quiet: bool) -> None:
    from cohete.errors import CoheteError

    if path.exists() and not (replace or yes):
        raise CoheteError("it exists", where=str(path), hint="--replace makes it anew.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise CoheteError("nobody can be asked here", hint="--yes does not ask.")
    if not quiet:
        _say_plan(plan, path, as_json=False)
    if not click.confirm("Make it?", default=True, err=quiet):
        raise click.Abort


def _say_plan(plan: Plan, path: Path, *, as_json: bool) -> None:
    kinds: dict[str, int] = {}
    for each in plan.outputs:
        kinds[each.type.label] = kinds.get(each.type.label, 0) + 1
    if as_json:
        import json

        click.echo(json.dumps({
            "file": str(path), "bytes": plan.file_bytes, "source_bytes": plan.model.file_bytes,
            "bits_per_weight": round(plan.bits_per_weight, 4), "tensors": kinds,
        }, indent=2))  # fmt: skip
        return
    words = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    click.echo(
        f"{path}: {plan.file_bytes / 1e6:.1f} MB of {plan.model.file_bytes / 1e6:.1f} MB, "
        f"{plan.bits_per_weight:.2f} bits per weight; {words}"
    )


def _run(plan: Plan, path: Path, workers: int | None, *, as_json: bool) -> Outcome:
    import signal

    from cohete.errors import CoheteError
    from cohete.quantize.pool import Cancelled
    from cohete.quantize.run import Quantizer

    quantizer = Quantizer(plan, path, progress=_json_progress if as_json else _bar_progress)
    previous = signal.signal(signal.SIGTERM, lambda *_: quantizer.cancel())
    try:
        return quantizer.run(workers or workers_for(plan))
    except (Cancelled, KeyboardInterrupt):
        raise CoheteError("cancelled: nothing was kept", where=str(path)) from None
    finally:
        signal.signal(signal.SIGTERM, previous)
        if not as_json and sys.stderr.isatty():
            click.echo("", err=True)


def workers_for(plan: Plan) -> int:
    """One a core; for a small model starting them would take longer than the work."""
    import os

    return 1 if plan.input_bytes < SMALL_BYTES else os.cpu_count() or 1


def _bar_progress(progress: Progress) -> None:
    if not sys.stderr.isatty():
        return
    share = progress.done_bytes / max(1, progress.total_bytes)
    eta = f"{progress.eta_s:.0f} s left" if progress.eta_s is not None else ""
    click.echo(
        f"\r{progress.step}  {100 * share:3.0f} %  {progress.mb_s:.0f} MB/s  {eta}, "
        f"waits for {progress.bound}   ", nl=False, err=True,
    )  # fmt: skip


def _json_progress(progress: Progress) -> None:
    import json
    from dataclasses import asdict

    click.echo(json.dumps(asdict(progress)), err=True)


def _say(outcome: Outcome, path: Path, *, as_json: bool) -> None:
    from cohete.quantize.report import as_text, report_of

    report = report_of(outcome, path)
    click.echo(report.model_dump_json(indent=2) if as_json else as_text(report))


def _verify(path: Path, *, as_json: bool) -> None:
    import json

    from cohete.quantize.manifest import verify

    manifest = verify(path)
    if as_json:
        click.echo(json.dumps({"file": str(path), "ok": True, "blake3": manifest.blake3,
                               "tensors": len(manifest.tensors)}))  # fmt: skip
        return
    click.echo(f"{path}: as it was made, {len(manifest.tensors)} tensors, blake3 {manifest.blake3}")
