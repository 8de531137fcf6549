"""`cohete quantize`: a smaller model out of a GGUF file, checked, with a report."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.options import FiniteRange, config_option
from cohete.cli.searching import fitted, tried_out
from cohete.cli.tooling import (
    ask_by_tool,
    bar_progress,
    converted,
    json_progress,
    refuse_foreign,
    run_tool,
    shown,
)

if TYPE_CHECKING:
    from cohete.quantize.plan import Plan
    from cohete.quantize.run import Outcome, Quantizer

INTERRUPTED = 130
SMALL_BYTES = 64_000_000
_TOOL_LEVELS = ("q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m",
                "q6_k", "iq4_nl", "iq4_xs")  # fmt: skip
_LEVELS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16")


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--level",
    type=click.Choice([*_LEVELS, *_TOOL_LEVELS]),
    metavar="LEVEL",
    help=f"What most tensors become: {', '.join(_LEVELS)}; with llama-quantize installed also "
    f"{', '.join(_TOOL_LEVELS)}.",
)
@click.option(
    "--tool",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where llama-quantize is (or convert_hf_to_gguf.py, for safetensors). Else on the PATH.",
)
@click.option(
    "--imatrix",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An importance matrix; llama-quantize then does the work.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file. Else MODEL's name with the level, beside it.",
)
@click.option(
    "--fit",
    "fit_mb",
    type=FiniteRange(0.01, 1e7),
    metavar="MB",
    help="Instead of a level, a type for each tensor: the best file of at most so many MB.",
)
@click.option(
    "--fit-device",
    metavar="ID",
    help="The same for what a board has free, less what cache and buffers need there.",
)
@click.option(
    "--context",
    type=click.IntRange(512, 1 << 24),
    default=2048,
    show_default=True,
    help="Tokens of context on the board, for --fit-device.",
)
@config_option
@click.option(
    "--quality",
    is_flag=True,
    help="Search for the best scales, by what goes through each column: same format and size, less "
    "error, a third as fast. Of a small model each tensor is tried out.",
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
@click.option("--replace", is_flag=True, help="Replace the new file, whoever made it.")
@click.option(
    "--dry-run", is_flag=True, help="Say what it would be, to the byte, and make nothing."
)
@click.option(
    "--text",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure perplexity on this text, before and after.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the report too: as JSON where the name ends so, else as text.",
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
    tool: Path | None,
    imatrix: Path | None,
    output: Path | None,
    fit_mb: float | None,
    fit_device: str | None,
    context: int,
    config_path: str | None,
    quality: bool,
    pure: bool,
    leave_output: bool,
    rules: tuple[str, ...],
    allow_requantize: bool,
    workers: int | None,
    replace: bool,
    dry_run: bool,
    text: Path | None,
    report_path: Path | None,
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

    one_thread_each()
    if verify_path is not None:
        _verify(verify_path, as_json=as_json)
        return
    ways = [each is not None for each in (level, fit_mb, fit_device)]
    if model is None or sum(ways) != 1:
        raise click.UsageError("say which MODEL, and one of --level, --fit and --fit-device")
    words = None
    if text is not None:
        from cohete.quantize.measuring import text_of

        # Before hours of work, not after them, and once: it may be a pipe.
        words = text_of(text)
    if model.is_dir():
        model = converted(model, tool, dry_run=dry_run, quiet=as_json)
    found = read_model(model)
    if level is not None and (imatrix is not None or level in _TOOL_LEVELS):
        if rules or pure or leave_output or quality or allow_requantize:
            raise click.UsageError("llama-quantize is given a level and an imatrix only")
        path = output or _beside(model, level)
        if dry_run:
            click.echo(f"{shown(path)}: llama-quantize would make it as {level}")
            return
        ask_by_tool(path, level, replace=replace, yes=yes)
        outcome = run_tool(found, level, path, tool, imatrix, as_json=as_json)
        _say(outcome, model, path, words, report_path, as_json=as_json)
        return
    if level is not None:
        recipe = Recipe(Level(level), pure, leave_output, tuple(map(parse_rule, rules)))
        plan = plan_model(found, recipe, by_search=quality, again=allow_requantize)
    elif rules or pure or leave_output:
        raise click.UsageError("--fit chooses the types by itself")
    else:
        budget = fit_mb * 1e6 if fit_mb is not None else None
        plan = fitted(
            found, budget, fit_device, context, config_path,
            threads=workers or os.cpu_count() or 1, as_json=as_json,
        )  # fmt: skip
    path = output or _beside(model, level or f"{plan.file_bytes / 1e6:.0f}mb")
    if dry_run:
        _say_plan(plan, path, as_json=as_json)
        return
    _ask(plan, path, replace=replace, yes=yes, quiet=as_json)
    outcome = carry_out(plan, path, workers, as_json=as_json)
    _say(outcome, plan.model.paths[0], path, words, report_path, as_json=as_json)


def one_thread_each() -> None:
    """Small matrices are multiplied faster by one thread; this is read when numpy is loaded."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _beside(model: Path, level: str) -> Path:
    """`tiny-f16.gguf` becomes `tiny-q4_0.gguf`."""
    import re

    stem = re.sub(r"-\d{5}-of-\d{5}$", "", model.stem)
    stem = re.sub(r"[-.](f16|bf16|f32)$", "", stem, flags=re.IGNORECASE)
    return model.with_name(f"{stem}-{level}.gguf")


def _ask(plan: Plan, path: Path, *, replace: bool, yes: bool, quiet: bool) -> None:
    from cohete.errors import CoheteError

    refuse_foreign(path, replace=replace)
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
        f"{shown(path)}: {plan.file_bytes / 1e6:.1f} MB of {plan.model.file_bytes / 1e6:.1f} MB, "
        f"{plan.bits_per_weight:.2f} bits per weight; {words}"
    )


def carry_out(
    plan: Plan, path: Path, workers: int | None = None, *, as_json: bool = False
) -> Outcome:
    """Make it, told meanwhile. Raises CoheteError where it fails or is cancelled."""
    import signal

    from cohete.errors import CoheteError
    from cohete.quantize.pool import Cancelled, Pool

    cancel = threading.Event()

    made: Quantizer | None = None

    def end(number: int, _: object) -> None:
        # Whoever presses it twice does not want to wait.
        is_ending = made is not None and made.is_ending
        if number == signal.SIGINT and cancel.is_set() and not is_ending:
            raise KeyboardInterrupt
        cancel.set()

    # In the background of a script ctrl+c is for others.
    heard = [each for each in (signal.SIGTERM, signal.SIGINT)
             if signal.getsignal(each) is not signal.SIG_IGN]  # fmt: skip
    previous = {each: signal.signal(each, end) for each in heard}
    try:
        pool = Pool(workers or workers_for(plan), cancel)
        pool.start()
        # It takes as long as a worker takes to start.
        from cohete.quantize.run import Quantizer as Run

        def refine(plan: Plan) -> Plan:
            return tried_out(plan, path, workers or os.cpu_count() or 1, cancel, as_json=as_json)

        made = Run(
            plan, path, cancel=cancel, refine=refine if plan.by_search else None,
            progress=json_progress if as_json else bar_progress,
        )  # fmt: skip
        return made.run(pool)
    except (Cancelled, KeyboardInterrupt):
        raise CoheteError("cancelled: nothing was kept", where=str(path)) from None
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        if not as_json and sys.stderr.isatty():
            click.echo("", err=True)


def workers_for(plan: Plan) -> int:
    """One a core; for a small model starting them would take longer than the work."""
    return 1 if plan.input_bytes < SMALL_BYTES else os.cpu_count() or 1


def _say(
    outcome: Outcome,
    source: Path,
    path: Path,
    words: str | None,
    report_path: Path | None,
    *,
    as_json: bool,
) -> None:
    from cohete.errors import CoheteError
    from cohete.quantize.report import PerplexityChange, as_text, report_of
    from cohete.quantize.report import as_json as json_of

    change, status = None, 0
    if words is not None:
        from cohete.quantize.measuring import measured_change

        try:
            change = measured_change(source, path, words)
        except KeyboardInterrupt:
            status = INTERRUPTED
            change = PerplexityChange(how="not measured", source="it was interrupted")
    report = report_of(outcome, path, change)
    if report_path is not None:
        is_json = report_path.suffix == ".json"
        page = json_of(report) if is_json else as_text(report)
        try:
            report_path.write_text(f"{page}\n", encoding="utf-8")
        except OSError as error:
            raise CoheteError(
                f"the model was made; its report cannot be written: {error.strerror}",
                where=str(report_path),
            ) from None
    click.echo(json_of(report) if as_json else as_text(report))
    if status:
        sys.exit(status)


def _verify(path: Path, *, as_json: bool) -> None:
    import json

    from cohete.quantize.manifest import verify

    manifest = verify(path)
    if as_json:
        click.echo(json.dumps({"file": str(path), "ok": True, "blake3": manifest.blake3,
                               "tensors": len(manifest.tensors)}))  # fmt: skip
        return
    click.echo(f"{shown(path)}: as it was made, {len(manifest.tensors)} tensors, "
               f"blake3 {manifest.blake3}")  # fmt: skip
