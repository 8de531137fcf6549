"""`cohete deploy`: models on boards, whole and checked; those of a configuration made first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.acting import Given, Options, acted
from cohete.cli.options import acting_options

if TYPE_CHECKING:
    from typing import Unpack

    from cohete.config.schema import Config, Model
    from cohete.control.files import PutFile
    from cohete.fleet.session import FleetPlan


@click.command()
@click.option(
    "--to",
    "folder",
    default="models",
    show_default=True,
    help="A folder on the board; without a slash before it, in the user's home there.",
)
@click.option(
    "--context",
    type=click.IntRange(512, 1 << 24),
    default=2048,
    show_default=True,
    help="Tokens of context it has to be served with.",
)
@acting_options
def command(folder: str, context: int, **given: Unpack[Given]) -> None:
    """Copy a model, named first as FILE.gguf, to a folder of each board; without one, the models of
    cohete.yaml to their boards.

    Room and memory are looked at first: a model that could not be served there is not copied. A
    copy that was cut off goes on where it stopped, is checked on the board, and only then gets its
    name. What is there already is not copied again.

    A model of cohete.yaml whose `quantization` is not that of its file is made at that level first,
    beside its source; without a `quantization`, at the best level that fits its boards. `quality`
    and `fit_mb` there are --quality and --fit of `cohete quantize`.
    """
    from cohete.cli.meant import fleet

    targets = given["targets"]
    if targets and targets[0].endswith(".gguf"):
        file, given["targets"] = Path(targets[0]), targets[1:]
        options = Options(**given)
        plan = fleet(options.targets, options.config_path, accept_new=options.accept_new)
        action = put_of(file, folder, context)
        sys.exit(0 if acted(options, plan, lambda _: action, action.intent) else 1)
    options = Options(**given)
    sys.exit(0 if _deploy_configured(options, folder, context) else 1)


def put_of(file: Path, folder: str, context: int = 2048) -> PutFile:
    """The action for a file; one with a manifest is checked against it first.

    Blocking. Raises CoheteError.
    """
    from cohete.control.files import PutFile
    from cohete.errors import CoheteError
    from cohete.memory.footprint import Serving
    from cohete.quantize.fitting import as_it_is, candidate_of_model, fit
    from cohete.quantize.gguf import GgufError, read_model
    from cohete.quantize.hashing import sha256_of
    from cohete.quantize.manifest import read_manifest, verify

    try:
        size = file.stat().st_size
        if read_manifest(file) is not None:
            # What is damaged here is not carried anywhere.
            verify(file)
        digest = sha256_of(file)
    except OSError as error:
        raise CoheteError(f"it cannot be read: {error.strerror}", where=str(file)) from None
    try:
        candidate = candidate_of_model(read_model(file))
        found = as_it_is(fit(candidate, Serving(context), float("inf")))
        needs_mib = round(found.need.total_mib)
    except GgufError:
        # No model that is known here: whether it can be served is not.
        needs_mib = 0
    return PutFile(str(file.resolve()), digest, size, folder, needs_mib)


def _deploy_configured(options: Options, folder: str, context: int) -> bool:
    from dataclasses import replace

    from cohete.cli.meant import fleet
    from cohete.config.loading import find_config, load
    from cohete.errors import ConfigError

    path = find_config(options.config_path)
    config = load(path) if path is not None else None
    if config is None or path is None or not config.models:
        raise ConfigError(
            "there is no model to deploy",
            hint="Name a FILE.gguf, or models in a cohete.yaml (see sample-configs/models.yaml).",
        )
    plan = fleet(options.targets, options.config_path, accept_new=options.accept_new)
    well = True
    todo: list[tuple[Model, FleetPlan]] = []
    for model in config.models:
        wanted = set(_boards(config, model))
        theirs = replace(plan, specs=[spec for spec in plan.specs if spec.id in wanted])
        if theirs.specs:
            # That one is missing is told before hours of work on others.
            _source_of(model, path.parent)
            todo.append((model, theirs))
    for model, theirs in todo:
        file = _made(model, path.parent, theirs, options, context)
        if file is None:
            continue
        action = put_of(file, folder, context)
        well = acted(options, theirs, lambda _, put=action: put, action.intent) and well  # type: ignore[misc]
    return well


def _boards(config: Config, model: Model) -> list[str]:
    """Ids of the devices a model is for."""
    named = [model.devices] if isinstance(model.devices, str) else model.devices
    found: list[str] = []
    for name in named:
        if name == "all":
            found += [device.id for device in config.fleet.devices]
        elif name in config.fleet.groups:
            found += config.members(name)
        else:
            found.append(name)
    return found


def _source_of(model: Model, folder: Path) -> Path:
    from cohete.errors import ConfigError

    source = (folder / Path(model.source).expanduser()).resolve()
    if "://" in model.source or not source.exists():
        raise ConfigError(
            f"the source of {model.name} is no file here: {model.source}",
            hint="References are not fetched yet: name a GGUF file.",
        )
    return source


def _made(
    model: Model, folder: Path, plan: FleetPlan, options: Options, context: int
) -> Path | None:
    """The file to copy: the source, or what is made of it. None where it is only told."""
    from cohete.cli.quantize import carry_out, one_thread_each
    from cohete.cli.searching import fitted
    from cohete.cli.tooling import refuse_foreign
    from cohete.errors import ConfigError
    from cohete.quantize.fitting import candidate_of_model
    from cohete.quantize.gguf import read_model
    from cohete.quantize.mixture import Recipe
    from cohete.quantize.plan import plan_model
    from cohete.quantize.types import SEARCHED, Level

    one_thread_each()
    source = _source_of(model, folder)
    found = read_model(source)
    candidate = candidate_of_model(found)
    if not candidate.is_plain:
        if model.fit_mb is not None and found.file_bytes > model.fit_mb * 1e6:
            raise ConfigError(
                f"{model.name}: {source.name} has {found.file_bytes / 1e6:.0f} MB and is quantized "
                f"already, so it cannot be made to fit {model.fit_mb:g} MB",
                hint="Name the F16 or BF16 file it was made from.",
            )
        return source
    if model.fit_mb is not None:
        target = source.with_name(f"{model.name}-{model.fit_mb:g}mb.gguf")
        work = fitted(
            found, model.fit_mb * 1e6, threads=os.cpu_count() or 1, as_json=options.as_json
        )
    else:
        level = model.quantization or _best_for(model.name, source, plan, context)
        if level == "f16":
            return source
        if level not in Level.__members__.values():
            raise ConfigError(
                f"{model.name}: {level} cannot be made here",
                hint=f"Levels: {', '.join(Level)}; for others, llama-quantize makes the file.",
            )
        by_search = model.quality and Level(level).type in SEARCHED
        searched = "-searched" if by_search else ""
        target = source.with_name(f"{model.name}-{level}{searched}.gguf")
        work = plan_model(found, Recipe(Level(level)), by_search=by_search)
    if options.dry_run:
        click.echo(f"{model.name}: would be made as {target.name}, {work.file_bytes / 1e6:.1f} MB")
        return None
    refuse_foreign(target, replace=False)
    outcome = carry_out(work, target)
    is_new = outcome.reused_bytes < sum(output.bytes for output in work.outputs)
    if is_new and not options.as_json:
        click.echo(f"{model.name}: made as {target.name}, {work.file_bytes / 1e6:.1f} MB")
    return target


def _best_for(name: str, source: Path, plan: FleetPlan, context: int) -> str:
    """The best level that fits every board, by the memory each has. Raises CoheteError."""
    from cohete.cli.budget import read_budgets
    from cohete.control.files import SYSTEM_MIB
    from cohete.errors import CoheteError
    from cohete.loop import run
    from cohete.memory.footprint import Serving
    from cohete.quantize.fitting import candidate_of_model, fit
    from cohete.quantize.gguf import read_model

    totals: list[float] = []
    for _, memory in run(read_budgets(plan)):
        if isinstance(memory, CoheteError):
            raise memory
        if memory.total_mb is not None:
            totals.append(memory.total_mb - SYSTEM_MIB)
    available = min(totals, default=0.0)
    found = fit(candidate_of_model(read_model(source)), Serving(context), available)
    if found.best is None or found.best.level is None:
        raise CoheteError(
            f"{name} fits at no level: {available:.0f} MiB can be had on its smallest board",
            where=str(source),
            hint=f"What would help: {'; '.join(found.advice)}.",
        )
    return found.best.level.value
