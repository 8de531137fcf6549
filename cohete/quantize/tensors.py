"""A tensor while it is made: its pieces, what it lost, and its line in the manifest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cohete.errors import CoheteError
from cohete.quantize.manifest import TensorNote
from cohete.quantize.plan import Output
from cohete.quantize.slabs import SLAB, digest
from cohete.quantize.types import Encoder


@dataclass(slots=True)
class TensorMade:
    """What is known of a tensor while it is made."""

    output: Output
    pieces: dict[int, tuple[str, str]] = field(default_factory=dict)
    error: float = 0.0
    squares: float = 0.0
    measured: int = 0
    sha256: str = ""
    reused: bool = True
    before: TensorNote | None = None
    """The same tensor in the file that was there: what it lost then it has lost now."""


def columns_digest(output: Output) -> str:
    """Of how much its columns count; empty where its encoder asks for nothing of that kind."""
    return digest(output.columns) if output.encoder is Encoder.WEIGHED else ""


def no_numbers(name: str, path: Path) -> CoheteError:
    """That a tensor cannot be quantized."""
    return CoheteError(
        f"{name or 'a tensor'} has numbers that are none (NaN or infinite)",
        where=str(path),
        hint="The model is damaged, or was converted wrongly. Convert it again.",
    )


def spans_of(output: Output) -> Iterator[tuple[int, int]]:
    """First number and how many, of each piece."""
    numbers = output.source.numbers
    for at in range(0, numbers, SLAB):
        yield at, min(SLAB, numbers - at)


def relative_error(tensor: TensorMade) -> float | None:
    """Root mean square of what it lost, of itself; None where nothing was measured."""
    if not tensor.measured or tensor.squares <= 0:
        return None
    return math.sqrt(tensor.error / tensor.squares)


def note_of(tensor: TensorMade, encoder: str) -> TensorNote:
    """Its line in the manifest."""
    output = tensor.output
    rms = math.sqrt(tensor.error / tensor.measured) if tensor.measured else None
    relative = relative_error(tensor)
    if tensor.reused and tensor.before is not None:
        rms, relative = tensor.before.rms_error, tensor.before.relative_error
    return TensorNote(
        name=output.name,
        type=output.type.label,
        source_type=output.source.type.label,
        numbers=output.source.numbers,
        sha256=tensor.sha256,
        rms_error=rms,
        relative_error=relative,
        encoder=encoder,
        columns=columns_digest(output),
        pieces=tuple(tensor.pieces[nth] for nth in range(len(tensor.pieces))),
    )
