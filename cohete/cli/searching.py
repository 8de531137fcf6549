"""What is looked at before a model is made: which types fit, which columns count, what turns out
best."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cohete.cli.tooling import bar_progress, json_progress

if TYPE_CHECKING:
    from cohete.quantize.gguf import Model
    from cohete.quantize.plan import Plan

TOLD_EVERY_S = 0.25
SURE_SHARE = 0.03


def fitted(
    model: Model,
    budget: float | None,
    device: str | None = None,
    context: int = 0,
    config_path: str | None = None,
    *,
    threads: int = 1,
    as_json: bool = False,
) -> Plan:
    """A plan of at most so many bytes, or of as many as a board leaves for weights."""
    from cohete.cli.fit import room_on
    from cohete.errors import CoheteError
    from cohete.memory.footprint import MIB, Serving
    from cohete.quantize.choosing import not_weighed
    from cohete.quantize.fitting import candidate_of_model, need
    from cohete.quantize.measuring import FAILURES
    from cohete.quantize.mixture import Recipe
    from cohete.quantize.plan import plan_model
    from cohete.quantize.sizing import header_bytes_of, sized_for
    from cohete.quantize.types import Level
    from cohete.quantize.weighing import columns_for_types, with_columns

    if budget is None:
        assert device is not None
        free, overhead = room_on(device, config_path, accept_new=False)
        besides = need(candidate_of_model(model), Level.Q4_0, Serving(context), overhead)
        left = free - (besides.total_mib - besides.weights_mib - besides.tied_copy_mib)
        if left <= 0:
            raise CoheteError(
                f"{free:.0f} MiB are free there, and cache and buffers alone need more",
                where=device,
                hint="Shorten the --context, or free memory.",
            )
        budget = left * MIB
    columns: dict[str, bytes] = {}
    failed: BaseException | None = None
    try:
        columns = columns_for_types(
            model, threads, _telling("weighing", model.file_bytes, as_json=as_json)
        )
    except FAILURES as error:
        failed = error
    if columns and not as_json and sys.stderr.isatty():
        click.echo("", err=True)
    sized = sized_for(
        model, int(budget), by_search=True, doubles_embedding=device is not None, columns=columns,
        besides_bytes=header_bytes_of(model),
    )  # fmt: skip
    plan = plan_model(model, Recipe(sized.level), by_search=True, chosen=sized.types)
    return not_weighed(plan, failed) if failed is not None else with_columns(plan, columns)


def tried_out(
    plan: Plan, path: Path, threads: int, cancel: threading.Event, *, as_json: bool
) -> Plan:
    """The plan with the encoders that turn out best. Raises Cancelled."""
    from cohete.quantize.choosing import try_out
    from cohete.quantize.manifest import read_manifest
    from cohete.quantize.pool import Cancelled

    def telling(step: str) -> Callable[[float], None]:
        told = _telling(step, plan.input_bytes, as_json=as_json)

        def tell(share: float) -> None:
            if cancel.is_set():
                raise Cancelled
            told(share)

        return tell

    return try_out(plan, read_manifest(path), threads, telling("choosing"), telling("weighing"))


def _telling(step: str, total: int, *, as_json: bool) -> Callable[[float], None]:
    """Tells, now and then, how far a step is."""
    from cohete.quantize.run import Progress

    begun = told = 0.0

    def tell(share: float) -> None:
        nonlocal begun, told
        now = time.monotonic()
        if not begun:
            begun = told = now
        if now - told < TOLD_EVERY_S:
            return
        told = now
        # The first steps say nothing of the others: numpy is still warming up.
        left_s = (now - begun) * (1 - share) / share if share > SURE_SHARE else None
        progress = Progress(step, int(share * total), total, 0.0, left_s, "cpu")
        (json_progress if as_json else bar_progress)(progress)

    return tell
