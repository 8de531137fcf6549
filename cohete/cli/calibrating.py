"""`cohete fit --calibrate`: what the runtime takes on a board, by the start of its server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cohete.memory.footprint import Serving
    from cohete.quantize.fitting import Candidate


def calibrate(
    model: str,
    candidate: Candidate,
    serving: Serving,
    device: str,
    config_path: str | None,
    *,
    accept_new: bool,
) -> None:
    """Ask for the server to be started, and keep what it took beyond its buffers.

    Raises CoheteError where that is not to be believed, or MODEL is no file.
    """
    from datetime import UTC, datetime

    from cohete.cli.fit import board_of
    from cohete.control.audit import default_folder
    from cohete.device.identity import known_by
    from cohete.errors import CoheteError
    from cohete.quantize.calibration import Calibration, Calibrations, overhead_of
    from cohete.quantize.fitting import need

    if not candidate.is_file:
        raise CoheteError(
            "only a file that is served can be measured", where=model[:120],
            hint="Name the GGUF file that the server has.",
        )  # fmt: skip
    buffers_mib = need(candidate, None, serving, 0.0).total_mib
    spec, before = board_of(device, config_path, accept_new=accept_new)
    click.echo(
        f"{spec.id}: {before.memory_available_mb} MiB can be had. Now have it serve this model, "
        f"and start nothing else there:\n\n    {' '.join(server_argv(model, serving))}\n\n"
        "Without mmap, or part of the model would not be seen: older ones say --no-mmap for it."
    )
    click.prompt("Press enter once it answers", default="", show_default=False, err=True)
    _, after = board_of(device, config_path, accept_new=accept_new)
    if before.memory_available_mb is None or after.memory_available_mb is None:
        raise CoheteError("it does not tell its memory", where=spec.id)
    mib = overhead_of(before.memory_available_mb, after.memory_available_mb, buffers_mib)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    kept = Calibrations(default_folder())
    kept.keep(known_by(after, spec.place), Calibration(mib, candidate.shape.name, when))
    click.echo(f"{spec.id}: {mib:.0f} MiB beside {buffers_mib:.0f} of buffers; kept for it.")


def server_argv(model: str, serving: Serving) -> tuple[str, ...]:
    """How llama-server is started for these numbers."""
    slots = str(serving.slots)
    return (
        "llama-server", "-m", model, "-ngl", "99", "-c", str(serving.context), "-np", slots,
        "-ub", str(serving.ubatch), "-fa", "on" if serving.flash_attention else "off",
        "-ctk", str(serving.kv_type), "-ctv", str(serving.kv_type), "-lm", "none",
    )  # fmt: skip
