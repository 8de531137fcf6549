"""What the quantization wizard shows, as values and lines of text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cohete.errors import CoheteError
from cohete.fleet.words import UNKNOWN, gib, span
from cohete.text import sanitise
from cohete_tui.draw import Line, bar, fit, spread, width, wrap
from cohete_tui.quantizing import JobState, QuantizeJob

if TYPE_CHECKING:
    from cohete.fleet.state import Device
    from cohete.memory.footprint import Serving
    from cohete.quantize.fitting import Candidate, Fit, Row

RESERVE_MIB = 512
"""Kept free on a board for what else runs there."""
AS_REFERENCE = "Scales: as llama-quantize's, to the byte."
BY_SEARCH = (
    "Scales: searched for, by what goes through each column, at a third of the speed. A small "
    "model (60 million numbers) is tried out tensor by tensor: seconds to minutes more."
)
NAMES_MODEL = "path of a GGUF file, or the name of a model"
NAMES_OUTPUT = "where it will be: a file, or a folder"
NO_MODELS = (
    "No GGUF file here. Go to another folder, or press / and type the path of one (F16 or BF16), "
    "or the name of a model, as in llama-3.2-1b, to see what it would need."
)
AGAIN = "enter tries again, / names another file or folder for it, n begins anew."
NO_SEARCH = "Scales: this level has none to search for."
CONTEXTS = (512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)
SLOTS = (1, 2, 4, 8, 16)


class Step(IntEnum):
    """Where the wizard is."""

    MODEL = 1
    BOARD = 2
    LEVEL = 3
    MAKE = 4
    RUN = 5


TITLES = {
    Step.MODEL: "Which model?",
    Step.BOARD: "For which board?",
    Step.LEVEL: "Which level?",
    Step.MAKE: "Make it?",
    Step.RUN: "",
}


@dataclass(slots=True)
class Choice:
    """What was chosen so far. `path` None: a model that is only known by name."""

    text: str = ""
    path: Path | None = None
    candidate: Candidate | None = None
    boards: dict[str, float | None] = field(default_factory=dict)
    """By device: MiB that can be had there; None is unknown."""
    level: str = ""
    by_search: bool = False
    output: Path | None = None
    """The file to be; one that exists only where Cohete made it."""
    is_named: bool = False
    """Whether a person said where it will be."""

    @property
    def available_mib(self) -> float | None:
        """Of the board that has least; None where none was chosen, or one is not known."""
        known = [each for each in self.boards.values() if each is not None]
        return min(known) if known and len(known) == len(self.boards) else None

    @property
    def is_searched(self) -> bool:
        """Whether it was chosen, and the level has something to search for."""
        from cohete.quantize.types import SEARCHED, Level

        return self.by_search and (not self.level or Level(self.level).type in SEARCHED)

    @property
    def scales(self) -> str:
        """What becomes of them, in words."""
        if self.by_search:
            return BY_SEARCH if self.is_searched else NO_SEARCH
        return AS_REFERENCE

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that makes it."""
        search = ("--quality",) if self.is_searched else ()
        return ("quantize", str(self.path), "--level", self.level, "--output", str(self.output),
                *search, "--yes", "--json")  # fmt: skip


def next_of(values: Sequence[int], now: int, step: int, *, around: bool = False) -> int:
    """The value so many further on; the nearest where `now` is none of them."""
    at = min(range(len(values)), key=lambda nth: abs(values[nth] - now)) + step
    return values[at % len(values)] if around else values[max(0, min(len(values) - 1, at))]


def output_for(choice: Choice) -> Path | None:
    """A name beside the source, never that of a file somebody else made. Blocking."""
    from cohete.quantize.manifest import read_manifest

    if choice.path is None:
        return None
    stem = re.sub(r"[-.](f16|bf16|f32)$", "", choice.path.stem, flags=re.IGNORECASE)
    stem = f"{stem}-{choice.level}{'-searched' if choice.is_searched else ''}"
    for nth in range(1, 100):
        path = choice.path.with_name(f"{stem}{'' if nth == 1 else f'-{nth}'}.gguf")
        if not path.exists() or read_manifest(path) is not None:
            return path
    return None


def named_output(text: str, name: str) -> tuple[Path, bool]:
    """A file as it was typed, or of this name in a folder that was; and whether it is there.

    Blocking. Raises CoheteError where it is somebody else's, OSError, ValueError, RuntimeError.
    """
    from cohete.quantize.manifest import read_manifest

    path = Path(text).expanduser().absolute()
    output = path / name if path.is_dir() else path
    is_there = output.exists()
    if is_there and read_manifest(output) is None:
        raise CoheteError("it exists, and was not made by `cohete quantize`",
                          where=str(output), hint="Name another one.")  # fmt: skip
    return output, is_there


def free_mib(device: Device) -> float | None:
    """What a model may take on a board now; None where the board has not told its memory."""
    stats = device.stats
    if stats is None or not stats.ram_total_mb:
        return None
    free = stats.ram_total_mb - stats.ram_used_mb - RESERVE_MIB
    budget_mb = device.spec.memory_budget_mb
    if budget_mb is not None:
        free = min(free, budget_mb - stats.ram_used_mb)
    return float(max(0, free))


def overhead_on(devices: Sequence[Device], folder: Path) -> float:
    """What the runtime takes, in MiB: the most of what was measured on these boards. Blocking."""
    from cohete.device.identity import known_by
    from cohete.memory.footprint import OVERHEAD_MIB
    from cohete.quantize.calibration import Calibrations

    kept = Calibrations(folder)
    known = [kept.of(known_by(device.facts, device.spec.place)) for device in devices]
    each = [OVERHEAD_MIB if found is None else found.overhead_mib for found in known]
    return max(each, default=OVERHEAD_MIB)


def title(step: Step, choice: Choice, cells: int) -> Line:
    """Which step of how many, what it asks, and what was chosen before."""
    model = choice.path.name if choice.path else choice.text
    done = [sanitise(model, 128)] if step > Step.MODEL else []
    if step > Step.BOARD:
        names = list(choice.boards)
        done.append(", ".join(names) if names else "no board")
    if step > Step.LEVEL:
        done.append(choice.level + (" searched" if choice.is_searched else ""))
    elif step is Step.LEVEL and choice.by_search:
        done.append("searched")
    left: Line = [(" Quantize", "accent"), (f"  {step} of {len(Step)}", "dim"),
                  (f"  {TITLES[step]}", "title")]  # fmt: skip
    return spread(left, [(" → ".join(filter(None, done)) + " ", "dim")], cells)


def board_rows(
    devices: Sequence[Device], marked: Mapping[str, float | None], now_s: float, cells: int
) -> list[tuple[str, Line]]:
    """Boards with what can be had there; the last row is for no board."""
    rows: list[tuple[str, Line]] = []
    names = max([8, *(len(device.id) for device in devices)])
    for device in devices:
        free = free_mib(device)
        sign = "✓" if device.id in marked else " "
        value = UNKNOWN if free is None else f"{free:.0f} MiB can be had"
        total = gib(device.stats.ram_total_mb) if device.stats is not None else UNKNOWN
        age = device.age_s(now_s)
        rows.append((
            device.id,
            [(f" {sign} ", "accent"), (f"{fit(device.id, min(names, 24))}  ", "title"),
             (f"{fit(device.module_name, 20)} ", ""), (f"{value:>22}", "" if free else "warn"),
             (f" of {total}  {span(age) + ' ago' if age is not None else ''}", "dim")],
        ))  # fmt: skip
    rows.append(("", [("   no board: only show what each level needs", "dim")]))
    return rows


def level_rows(
    found: Fit, available_mib: float | None, seconds: Mapping[str, float], cells: int
) -> list[tuple[str, Line]]:
    """A level a row: size, need against what can be had, quality, how long it takes."""
    most = max([available_mib or 0.0, *(row.need.total_mib for row in found.rows)])
    wide = cells >= 100
    room = max(6, min(30, cells - (66 if wide else 57)))
    rows: list[tuple[str, Line]] = []
    for row in found.rows:
        over = available_mib is not None and not row.fits
        style = "danger" if over else "bar"
        limit = available_mib / most if available_mib is not None and available_mib < most else None
        best = row is found.best and available_mib is not None
        verdict = UNKNOWN if available_mib is None else "best" if best else "no" if over else "fits"
        line: Line = [
            (f" {fit(row.name, 8)}", "title" if best else ""),
            (f"{row.need.weights_mib:7.0f} MiB  ", ""),
            *bar(row.need.total_mib / most if most else None, room, style=style, budget=limit),
            (f" {row.need.total_mib:6.0f} MiB ", style if over else ""),
            (f"{verdict:>4} ", "good" if best else "danger" if over else ""),
        ]
        if row.name in seconds:
            line.append((f"{span(seconds[row.name]):>6} ", "dim"))
        if row.quality is not None and cells - width(line) >= 9:
            line.append((f" {row.quality.percent:+.2g} %", "dim"))
            if wide:
                line.append((f" {row.quality.model}", "dim"))
        rows.append((row.name, line))
    return rows


def level_lines(
    found: Fit | None, row: Row | None, serving: Serving, available_mib: float | None, cells: int
) -> list[Line]:
    """What a level needs, and what would help where none fits."""
    if found is None or row is None:
        return [[("Looking at the model …", "dim")]]
    lines = need_lines(row, serving, available_mib, cells)
    if available_mib is not None and found.best is None:
        lines += advice_lines(found, cells)
    return lines


def need_lines(row: Row, serving: Serving, available_mib: float | None, cells: int) -> list[Line]:
    """The parts of what a level needs, and the context that what can be had leaves room for."""
    need = row.need
    parts = [
        ("weights", need.weights_mib), ("cache", need.kv_mib), ("compute", need.compute_mib),
        ("output", need.output_mib), ("embedding twice", need.tied_copy_mib),
        ("overhead", need.overhead_mib),
    ]  # fmt: skip
    text = " + ".join(f"{name} {mib:.0f}" for name, mib in parts if mib >= 0.5)
    how = f"context {serving.context}, {serving.slots} at a time, cache {serving.kv_type}"
    is_known = available_mib is not None and row.longest is not None
    longest = f"; at most {row.longest} tokens would fit" if is_known else ""
    lines: list[Line] = [[(part, "")] for part in wrap(f"{how}{longest}", cells, 2)]
    if row.quality is not None:
        words = f"{row.quality.words} ({row.quality.source})"
        lines += [[(part, "")] for part in wrap(words, cells, 2)]
    return lines + [[(part, "dim")] for part in wrap(f"{text} MiB", cells, 3)]


def advice_lines(found: Fit, cells: int) -> list[Line]:
    """What would make one fit."""
    lines: list[Line] = []
    for text in found.advice:
        lines += [[(part, "warn")] for part in wrap(f"What would help: {text}", cells, 2)]
    return lines


def make_lines(choice: Choice, cells: int, *, is_there: bool) -> list[Line]:
    """What will be run, before it is."""
    if choice.path is None:
        text = f"{choice.text} is a name, not a file: there is nothing to make it from here."
        return [[(part, "warn")] for part in wrap(text, cells, 3)]
    lines: list[Line] = []
    if is_there:
        lines.append([("It exists: what has not changed is taken from it.", "dim")])
    lines += [[(part, "")] for part in wrap(choice.scales, cells, 3)]
    command = sanitise(f"$ cohete {shlex.join(choice.argv)}", 4096)
    lines += [[(part, "")] for part in wrap(command, cells, 9)]
    return [*lines, [("enter makes it; / names another file or folder for it.", "dim")]]


def job_lines(job: QuantizeJob, cells: int) -> list[Line]:
    """A run: how far it is, what came of it, or why nothing did and what to do."""
    made = job.made
    lines: list[Line] = [[(fit(sanitise(str(job.output), 4096), cells).rstrip(), "title")]]
    if job.state is JobState.RUNNING:
        share = made.share
        percent = UNKNOWN if share is None else f"{100 * share:.0f} %"
        room = max(8, min(40, cells - 40))
        rate = f"  {made.mb_s:.0f} MB/s" if made.mb_s else ""
        left = f", {span(made.eta_s)} left" if made.eta_s is not None else ""
        lines.append([(f"{fit(made.step or 'starting', 11)}", ""), *bar(share, room),
                      (f" {percent:>5}{rate}{left}", "")])  # fmt: skip
        if made.bound:
            lines.append([(f"It waits for the {made.bound} most of the time.", "dim")])
        return [
            *lines,
            [("You may leave: it goes on, and the fleet's header says how far.", "dim")],
        ]
    if job.state is JobState.CANCELLED:
        lines.append([("Cancelled. Nothing of it was kept.", "warn")])
        return [*lines, [(AGAIN, "dim")]]
    if job.state is JobState.FAILED:
        lines += [[(part, "danger")] for part in wrap(job.error, cells, 6)]
        return [*lines, [(AGAIN, "dim")]]
    foot: Line = [("d copies it to its boards, y copies YAML, n makes another, esc leaves.", "dim")]
    return [*lines, *report_lines(job.report, cells), foot]


def report_lines(report: Mapping[str, object], cells: int) -> list[Line]:
    """What came of it."""
    from cohete.quantize.report import as_text, read_report

    try:
        found = read_report(report)
        # Where it is stands above.
        text = as_text(replace(found, file=Path(found.file).name))
    except (ValueError, ArithmeticError):
        return [[("It was made; its report cannot be read.", "warn")]]
    lines: list[Line] = []
    for line in text.splitlines():
        style = "warn" if line.startswith("warning") else ""
        lines += [[(part, style)] for part in wrap(line, cells, 4)]
    return lines


def seconds_of(candidate: Candidate, *, by_search: bool = False) -> dict[str, float]:
    """How long each level takes to encode here, by level: a little of each is tried. Blocking."""
    import os
    import time

    import numpy as np

    from cohete.quantize.shapes import parameters
    from cohete.quantize.slabs import encoded
    from cohete.quantize.types import SEARCHED, Encoder, Level, TensorType

    sample = (np.random.default_rng(1).standard_normal(1 << 18) * 0.02).astype(np.float16)
    raw = sample.view(np.uint8)
    total = 2 * parameters(candidate.tensors)
    found: dict[str, float] = {}
    for level in Level:
        searched = by_search and level.type in SEARCHED
        encoder = Encoder.SEARCH if searched else Encoder.REFERENCE
        began = time.perf_counter()
        encoded(raw, TensorType.F16, level.type, encoder)
        took = time.perf_counter() - began
        found[level.value] = took / raw.size * total / (os.cpu_count() or 1)
    return found


def yaml_of(choice: Choice) -> str:
    """The same as a piece of cohete.yaml."""
    import yaml

    stem = choice.path.stem if choice.path is not None else choice.text
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "model"
    listed: dict[str, object] = {
        "name": name,
        "source": str(choice.path or choice.text),
        "quantization": choice.level,
    }
    if choice.is_searched:
        listed["quality"] = True
    listed["devices"] = list(choice.boards) or "all"
    return yaml.safe_dump({"models": [listed]}, sort_keys=False, default_flow_style=None)
