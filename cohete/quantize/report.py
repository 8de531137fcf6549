"""What came of a quantization, for a program and for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cohete.quantize.manifest import Manifest
from cohete.quantize.quality import WARN_PERCENT, published
from cohete.quantize.run import Outcome
from cohete.quantize.types import PLAIN, Level
from cohete.text import sanitise

WORST = 10


@dataclass(frozen=True, slots=True)
class TensorError:
    """What a tensor lost: root mean square of the difference, and by its own root mean square."""

    name: str
    type: str
    rms_error: float
    relative_error: float
    is_weighed: bool = False
    """Whether an error counts there as the column it is in."""


@dataclass(frozen=True, slots=True)
class PerplexityChange:
    """How much perplexity rose over the source, in percent. `how`: measured, published, unknown."""

    how: str
    percent: float | None = None
    source: str = ""
    before: float | None = None
    after: float | None = None
    divergence: float | None = None
    """Mean KL divergence from the source's predictions, in nats."""
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Sizes, what was lost, what that means, how it went."""

    file: str
    source: str
    level: str
    encoder: str
    bytes: int
    source_bytes: int
    ratio: float
    bits_per_weight: float
    blake3: str
    seconds: float
    mb_s: float
    reused_bytes: int
    resumed_bytes: int
    tensors: int
    worst: tuple[TensorError, ...]
    perplexity: PerplexityChange
    warnings: tuple[str, ...]
    choice: str = ""
    """How encoders were chosen, or why they were not."""
    choosing_s: float = 0.0
    """What that took, before the `seconds`."""


def report_of(outcome: Outcome, path: Path, perplexity: PerplexityChange | None = None) -> Report:
    """The report of a run; with a measured change of perplexity, else with the published one."""
    manifest = outcome.manifest
    errors = [
        TensorError(name=each.name, type=each.type, rms_error=each.rms_error,
                    relative_error=each.relative_error, is_weighed=each.columns != "")
        for each in manifest.tensors
        if each.rms_error is not None and each.relative_error is not None
    ]  # fmt: skip
    errors.sort(key=lambda each: -each.relative_error)
    level = Level(manifest.level) if manifest.level in Level.__members__.values() else None
    change = perplexity or published_change(
        manifest.model or manifest.source, level, is_ordinary=manifest.is_ordinary
    )
    return Report(
        file=str(path),
        source=manifest.source,
        level=manifest.level,
        encoder=manifest.encoder,
        bytes=manifest.bytes,
        source_bytes=manifest.source_bytes,
        ratio=manifest.source_bytes / manifest.bytes,
        bits_per_weight=manifest.bits_per_weight,
        blake3=manifest.blake3,
        seconds=outcome.seconds,
        mb_s=outcome.mb_s,
        reused_bytes=outcome.reused_bytes,
        resumed_bytes=outcome.resumed_bytes,
        tensors=len(manifest.tensors),
        worst=tuple(errors[:WORST]),
        perplexity=change,
        warnings=(*_unchanged(manifest, level), *_warnings(level, change)),
        choice=manifest.choice,
        choosing_s=outcome.choosing_s,
    )


def published_change(
    model: str, level: Level | None, *, is_ordinary: bool = True
) -> PerplexityChange:
    """What was published of this very model, else that it is not known.

    `is_ordinary`: it is made as that was, not with other types or another encoder.
    """
    found = published(model, level) if level is not None else None
    if found is not None and not is_ordinary:
        return PerplexityChange(how="not measured", source="no --text was given; what is published "
                                "is of the level's own mixture")  # fmt: skip
    if found is None:
        return PerplexityChange(how="not measured", source="no --text was given")
    return PerplexityChange(
        how="published", percent=found.percent, source=f"{found.source}: {found.model}"
    )


def _unchanged(manifest: Manifest, level: Level | None) -> tuple[str, ...]:
    """Whether it was asked to be smaller and is not."""
    plain = {kind.label for kind in PLAIN}
    if level is Level.F16 or not all(each.type in plain for each in manifest.tensors):
        return ()
    return ("no tensor of it became smaller; rows that 32 does not divide stay F16",)


def _warnings(level: Level | None, perplexity: PerplexityChange) -> tuple[str, ...]:
    limit = WARN_PERCENT.get(level) if level is not None else None
    if limit is None or perplexity.percent is None or perplexity.percent <= limit:
        return ()
    better = "--quality, or a level with more bits" if level is not Level.Q8_0 else "F16"
    return (
        f"perplexity rises by {perplexity.percent:.3g} % ({perplexity.how}), more than {limit:g} %:"
        f" consider {better}",
    )


def as_json(report: Report) -> str:
    """For a program."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False)


def read_report(document: Mapping[str, object]) -> Report:
    """What `as_json` wrote. Raises ValueError."""
    from pydantic import TypeAdapter

    return TypeAdapter(Report).validate_python(document)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def as_text(report: Report) -> str:
    """For a person."""
    lines = [
        f"{sanitise(report.file, 4096)}: {report.bytes / 1e6:.1f} MB, "
        f"{report.ratio:.2f} times smaller, {report.bits_per_weight:.2f} bits per weight",
        f"{report.seconds:.1f} s, {report.mb_s:.0f} MB/s of {sanitise(report.source)}",
    ]
    if report.choosing_s >= 0.05:
        lines.append(f"{report.choosing_s:.1f} s before it, to find out how tensors are made best")
    if report.reused_bytes:
        share = 100 * report.reused_bytes / report.bytes
        lines.append(f"{_size(report.reused_bytes)} ({share:.0f} %) had not changed and were "
                     "not quantized again")  # fmt: skip
    if report.resumed_bytes:
        lines.append(f"{_size(report.resumed_bytes)} were there from a run that was killed")
    perplexity = report.perplexity
    if perplexity.percent is None:
        lines.append(f"perplexity: not measured ({perplexity.source})")
    else:
        lines.append(
            f"perplexity: {perplexity.percent:+.2g} %, {perplexity.how} ({perplexity.source})"
        )
    if report.choice:
        lines.append(f"encoders: {report.choice}")
    if report.worst:
        how = (
            ", as their columns count" if any(each.is_weighed for each in report.worst[:5]) else ""
        )
        lines.append(f"lost most, of their own size{how}:")
        lines += [f"  {100 * each.relative_error:5.2f} %  {each.type:5}  {each.name}"
                  for each in report.worst[:5]]  # fmt: skip
    lines += [f"warning: {text}" for text in report.warnings]
    lines.append(f"blake3 {report.blake3}")
    return "\n".join(lines)
