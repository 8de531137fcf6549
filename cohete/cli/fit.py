"""`cohete fit`: what a model needs at each level, part by part, and which of them fits a board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.options import FiniteRange, config_option

if TYPE_CHECKING:
    from cohete.config.spec import DeviceSpec
    from cohete.device.identity import Facts
    from cohete.fleet.export import Json
    from cohete.quantize.fitting import Candidate, Fit, Row

RESERVE_MIB = 512
"""Kept free on a board for what else runs there."""
_KV_TYPES = ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
_TITLES = ("LEVEL ", "WEIGHTS", "KV", "COMPUTE", "OUTPUT", "TIED COPY", "OVERHEAD", "TOTAL",
           "FITS ", "LONGEST CONTEXT", "QUALITY ")  # fmt: skip


@click.command()
@click.argument("model", metavar="MODEL")
@config_option
@click.option("--device", metavar="ID", help="A board: what it has free now is read from it.")
@click.option(
    "--memory",
    "memory_mib",
    type=FiniteRange(1, 1 << 24),
    metavar="MIB",
    help="What can be had, in MiB.",
)
@click.option("--preset", metavar="MODULE", help="A module by name, as in orin-nano-8gb.")
@click.option("--level", help="Show this one: q4_0 to q8_0, f16, or `file` for it as it is.")
@click.option(
    "--context",
    type=click.IntRange(1, 1 << 24),
    default=2048,
    show_default=True,
    help="Tokens of context, over all slots.",
)
@click.option(
    "--slots", type=click.IntRange(1, 256), default=1, show_default=True, help="Requests at a time."
)
@click.option(
    "--split-slots/--shared-slots",
    "split",
    default=None,
    help="A cache for each slot, or one for all. Else what needs more.",
)
@click.option(
    "--ubatch",
    type=click.IntRange(1, 1 << 16),
    default=512,
    show_default=True,
    help="Tokens that are worked on at once.",
)
@click.option(
    "--flash-attention", type=click.Choice(["on", "off"]), default="on", show_default=True
)
@click.option(
    "--kv-type",
    type=click.Choice(_KV_TYPES),
    default="f16",
    show_default=True,
    help="How the cache is stored.",
)
@click.option(
    "--overhead",
    "overhead_mib",
    type=FiniteRange(0, 1 << 20),
    metavar="MIB",
    help="Of CUDA and the process. Else what was measured on that board, else 450.",
)
@click.option(
    "--calibrate",
    "calibrates",
    is_flag=True,
    help="Measure that overhead on --device: before and after you start its server.",
)
@click.option("--accept-new", is_flag=True, help="Accept the key of a host never seen before.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table. Sizes are MiB.")
def command(
    model: str,
    config_path: str | None,
    device: str | None,
    memory_mib: float | None,
    preset: str | None,
    level: str | None,
    context: int,
    slots: int,
    split: bool | None,
    ubatch: int,
    flash_attention: str,
    kv_type: str,
    overhead_mib: float | None,
    calibrates: bool,
    accept_new: bool,
    as_json: bool,
) -> None:
    """What MODEL needs to be served by llama.cpp on a GPU, at each level.

    MODEL is a GGUF file (only its header is read), a model by name (llama-3.2-1b, qwen2.5:7b), or a
    size as F16 (14000MB). Weights and cache are exact; COMPUTE is an upper bound; OVERHEAD is an
    estimate until it was measured on that board (--calibrate). Exit code 1 where nothing fits.
    """  # fmt: skip
    from cohete.memory.footprint import OVERHEAD_MIB, KvType, Serving
    from cohete.quantize.fitting import fit

    if sum(each is not None for each in (device, memory_mib, preset)) > 1:
        raise click.UsageError("say one of --device, --memory and --preset")
    candidate = candidate_of(model)
    serving = Serving(context, slots, split, ubatch, flash_attention == "on", KvType(kv_type))
    if calibrates:
        if device is None:
            raise click.UsageError("--calibrate measures on a board: say --device")
        from cohete.cli.calibrating import calibrate

        calibrate(model, candidate, serving, device, config_path, accept_new=accept_new)
        return
    available, overhead = memory_mib, OVERHEAD_MIB
    if preset is not None:
        available = _of_preset(preset)
    elif device is not None:
        available, overhead = room_on(device, config_path, accept_new=accept_new)
    overhead = overhead if overhead_mib is None else overhead_mib
    found = fit(candidate, serving, float("inf") if available is None else available, overhead)
    shown = _shown(found, level, available)
    if as_json:
        import json

        click.echo(json.dumps(_as_dict(found, shown, available), indent=2))
    else:
        click.echo(_as_text(found, available))
    fits = shown.fits if level is not None else found.best is not None
    sys.exit(0 if fits or available is None else 1)


def candidate_of(text: str) -> Candidate:
    """A model by file, name or size. Raises CoheteError for what is none of them."""
    import re

    from cohete.errors import CoheteError
    from cohete.quantize.fitting import candidate_of_model, candidate_of_shape, candidate_of_size
    from cohete.quantize.gguf import read_model
    from cohete.quantize.shapes import TABLE, named

    shape = named(text)
    try:
        is_file = Path(text).exists()
    except OSError:
        # Too long for a name, for one.
        is_file = False
    if is_file:
        return candidate_of_model(read_model(Path(text)))
    if shape is not None:
        return candidate_of_shape(shape)
    size = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?) ?([MG])B", text, re.IGNORECASE)
    if size is not None:
        try:
            return candidate_of_size(float(size[1]) * (1000 if size[2] in "gG" else 1))
        except ValueError as error:
            raise CoheteError(str(error), where=text[:120]) from None
    raise CoheteError(
        "it is no file, no model of the table and no size",
        where=text[:120],
        hint=f"Known by name: {', '.join(TABLE)}.",
    )


def _of_preset(name: str) -> float:
    from cohete.errors import CoheteError
    from cohete.memory.budget import PRESETS, MemoryBudget

    if name not in PRESETS:
        raise CoheteError(f"`{name[:40]}` is no module", hint=f"Known: {', '.join(PRESETS)}.")
    return float(MemoryBudget.preset(name).available_mb)


def board_of(name: str, config_path: str | None, *, accept_new: bool) -> tuple[DeviceSpec, Facts]:
    """A board and what it has now. Raises CoheteError where it does not tell."""
    from cohete.cli.asking import read_facts
    from cohete.errors import CoheteError
    from cohete.fleet.session import plan_fleet, require_fleet

    plan = require_fleet(plan_fleet((name,), config_path, accept_new=accept_new))
    ((spec, facts),) = read_facts(plan)
    if isinstance(facts, CoheteError):
        raise facts
    if facts.memory_available_mb is None or facts.memory_total_mb is None:
        raise CoheteError("it does not tell its memory", where=spec.id)
    return spec, facts


def room_on(name: str, config_path: str | None, *, accept_new: bool) -> tuple[float, float]:
    """What a board has free now and what the runtime takes there, in MiB.

    Some is kept free, and never more counts as free than its budget leaves.
    """
    from cohete.control.audit import default_folder
    from cohete.device.identity import known_by
    from cohete.memory.footprint import OVERHEAD_MIB
    from cohete.quantize.calibration import Calibrations

    spec, facts = board_of(name, config_path, accept_new=accept_new)
    assert facts.memory_available_mb is not None
    assert facts.memory_total_mb is not None
    free = facts.memory_available_mb - RESERVE_MIB
    if spec.memory_budget_mb is not None:
        used = facts.memory_total_mb - facts.memory_available_mb
        free = min(free, spec.memory_budget_mb - used)
    known = Calibrations(default_folder()).of(known_by(facts, spec.place))
    return float(max(0, free)), OVERHEAD_MIB if known is None else known.overhead_mib


def _shown(found: Fit, level: str | None, available: float | None) -> Row:
    """Whose numbers come first: the level asked for, else a file as it is, else the best level."""
    from cohete.errors import CoheteError
    from cohete.quantize.fitting import as_it_is

    if level == "file":
        return as_it_is(found)
    if level is not None:
        row = next((row for row in found.rows if row.name == level), None)
        if row is None:
            known = ", ".join([*(row.name for row in found.rows), "file"])
            raise CoheteError(f"`{level[:20]}` is no level of it", hint=f"There are: {known}.")
        return row
    if found.candidate.is_file:
        return as_it_is(found)
    if found.best is not None and available is not None:
        return found.best
    return found.rows[-1]


def _as_text(found: Fit, available: float | None) -> str:
    from cohete.cli.table import format_table

    shape = found.candidate.shape
    lines = [f"{shape.name}, {found.candidate.parameters / 1e9:.2f} B parameters, "
             f"context {found.serving.context}, MiB"]  # fmt: skip
    rows = []
    for row in found.rows:
        need = row.need
        parts = (need.weights_mib, need.kv_mib, need.compute_mib, need.output_mib,
                 need.tied_copy_mib, need.overhead_mib, need.total_mib)  # fmt: skip
        fits = "–" if available is None else "yes" if row.fits else "no"
        if row is found.best and available is not None:
            fits = "best"
        longest = "–" if row.longest is None or available is None else str(row.longest)
        quality = row.quality.words if row.quality is not None else "–"
        rows.append((row.name, *(f"{part:.0f}" for part in parts), fits, longest, quality))
    lines.append(format_table(_TITLES, rows))
    if available is not None:
        verdict = f"{found.best.name} fits" if found.best is not None else "nothing fits"
        lines.append(f"{available:.0f} MiB can be had: {verdict}")
        if found.best is None:
            lines += [f"What would help: {text}" for text in found.advice]
    return "\n".join(lines)


def _needs(row: Row, available: float | None) -> dict[str, Json]:
    need = row.need
    return {
        "weights_mib": round(need.weights_mib, 3),
        "kv_mib": round(need.kv_mib, 3),
        "compute_mib": round(need.compute_mib, 3),
        "output_mib": round(need.output_mib, 3),
        "tied_copy_mib": round(need.tied_copy_mib, 3),
        "overhead_mib": round(need.overhead_mib, 3),
        "total_mib": round(need.total_mib, 3),
        "available_mib": available,
        "fits": None if available is None else row.fits,
    }


def _as_dict(found: Fit, shown: Row, available: float | None) -> dict[str, Json]:
    levels: list[Json] = []
    for row in found.rows:
        quality = row.quality
        levels.append({
            "level": row.name,
            **_needs(row, available),
            "longest_context": row.longest if available is not None else None,
            "perplexity_percent": quality.percent if quality is not None else None,
            "quality_source": f"{quality.source}: {quality.model}" if quality is not None else None,
        })  # fmt: skip
    advice: list[Json] = list(found.advice)
    return {
        "model": found.candidate.shape.name,
        "parameters": found.candidate.parameters,
        "level": shown.name,
        **_needs(shown, available),
        "best": found.best.name if found.best is not None and available is not None else None,
        "advice": advice,
        "levels": levels,
    }
