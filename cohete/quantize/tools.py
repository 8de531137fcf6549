"""llama.cpp's own tools, where a person has them: K-quants and importance matrices, and models that
are no GGUF yet. They are run, watched, ended; what they made is checked and named as if made here.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cohete.errors import CoheteError
from cohete.quantize.gguf import Model, read_model
from cohete.quantize.hashing import Stretch, hash_file, hash_stretch
from cohete.quantize.manifest import Manifest, TensorNote, write_manifest
from cohete.quantize.places import check_places, sole_writer, written
from cohete.quantize.pool import Cancelled
from cohete.quantize.run import Outcome, Progress
from cohete.quantize.types import TensorType
from cohete.text import decode, sanitise

QUANTIZE, CONVERT = "llama-quantize", "convert_hf_to_gguf.py"
TOOL_LEVELS = (
    "q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "iq4_nl",
    "iq4_xs",
)  # fmt: skip
"""Levels that are not encoded here."""
_PART = re.compile(rb"\[\s*(\d{1,7})/\s*(\d{1,7})\]")
_SAID = 4_000
_CONVERTED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json",
              "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
              "chat_template*")  # fmt: skip
"""What the converter reads of a folder."""
_PIECE = 1 << 22


def find_tool(name: str, given: Path | None = None) -> str:
    """Where a tool is. Raises CoheteError with what to do."""
    if given is not None:
        if not given.exists():
            raise CoheteError("there is no such tool", where=str(given))
        return str(given.resolve())
    found = shutil.which(name)
    if found is None:
        raise CoheteError(
            f"{name} is not installed",
            hint="It comes with llama.cpp. Put it on the PATH, or name it with --tool.",
        )
    return found


def quantize_with(
    tool: str,
    model: Model,
    level: str,
    path: Path,
    *,
    imatrix: Path | None = None,
    threads: int = 1,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> Outcome:
    """A level that only llama-quantize makes. Blocking. Raises CoheteError, Cancelled."""
    begun = time.perf_counter()
    check_places(path, [*model.paths, *([imatrix] if imatrix is not None else [])])
    part = path.with_name(f"{path.name}.part")
    total = sum(tensor.bytes for tensor in model.tensors)
    argv = [tool, *(["--imatrix", str(imatrix)] if imatrix is not None else []),
            str(model.paths[0]), str(part), level, str(threads)]  # fmt: skip

    def told(line: bytes) -> None:
        match = _PART.match(line.strip())
        if match is not None and progress is not None and int(match[2]):
            share = min(1.0, int(match[1]) / int(match[2]))
            took = max(1e-6, time.perf_counter() - begun)
            left = took / share - took if share else None
            rate = share * total / took / 1e6
            progress(Progress("quantizing", int(share * total), total, rate, left, "cpu"))

    try:
        with sole_writer(path):
            _run(argv, told, cancel or threading.Event(), str(model.paths[0]))
        made = read_model(part)
        lost = {each.name for each in model.tensors} - {each.name for each in made.tensors}
        if lost:
            raise CoheteError(f"{QUANTIZE} lost {min(lost)}", where=str(part))
        manifest = _manifest(tool, model, made, level, path, part)
        write_manifest(path, manifest)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    seconds = time.perf_counter() - begun
    return Outcome(manifest, seconds, total / 1e6 / seconds, 0, 0)


def source_files(folder: Path) -> dict[str, list[int]]:
    """Size and time of each file that decides what a folder of safetensors is converted to."""
    return {
        each.name: _size_and_time(each)
        for each in sorted(folder.iterdir())
        if any(fnmatch.fnmatchcase(each.name, pattern) for pattern in _CONVERTED) and each.is_file()
    }


def is_converted(folder: Path, path: Path) -> bool:
    """Whether a file was converted from this very folder as it is. Blocking."""
    try:
        return _noted(path).get("sources") == source_files(folder) and was_converted(path)
    except (OSError, ValueError):
        return False


def was_converted(path: Path) -> bool:
    """Whether a file was converted here, from whatever, and is as it was then."""
    try:
        return _noted(path).get("made") == _size_and_time(path)
    except (OSError, ValueError):
        return False


def _noted(path: Path) -> dict[str, object]:
    found = json.loads(_sources_path(path).read_bytes())
    if not isinstance(found, dict):
        raise ValueError("no note of what it was converted from")
    return found


def _size_and_time(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _sources_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sources.json")


def convert(tool: str, folder: Path, path: Path, cancel: threading.Event | None = None) -> Path:
    """A folder of safetensors as an F16 GGUF file, by llama.cpp's converter. Blocking.

    Raises CoheteError, Cancelled.
    """
    part = path.with_name(f"{path.name}.part")
    argv = [sys.executable, tool, str(folder), "--outfile", str(part), "--outtype", "f16"]
    before = source_files(folder)
    try:
        _run(argv, lambda _: None, cancel or threading.Event(), str(folder))
        read_model(part)
        _sources_path(path).unlink(missing_ok=True)
        part.replace(path)
        noted = {"sources": before, "made": _size_and_time(path)}
        _sources_path(path).write_text(json.dumps(noted), encoding="utf-8")
    finally:
        part.unlink(missing_ok=True)
    return path


def _run(
    argv: Sequence[str], told: Callable[[bytes], None], cancel: threading.Event, where: str
) -> None:
    """Run a tool to its end; an exit status that is not 0 is never swallowed."""
    said = b""
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise CoheteError(f"it cannot be run: {error.strerror}", where=argv[0]) from None
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = (said + line)[-_SAID:]
                told(line)
                if cancel.is_set():
                    raise Cancelled
        finally:
            # Whatever ends us ends what we began.
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.terminate()
    if process.returncode:
        lines = [text for text in decode(said).splitlines() if text.strip()]
        words = sanitise(" ".join(lines[-3:]), 300)
        raise CoheteError(
            f"{Path(argv[0]).name} ended with exit status {process.returncode}: {words}",
            where=where,
        )


def _manifest(tool: str, model: Model, made: Model, level: str, path: Path, part: Path) -> Manifest:
    before = {tensor.name: tensor.type for tensor in model.tensors}
    notes = tuple(
        TensorNote(
            name=tensor.name,
            type=tensor.type.label,
            source_type=before.get(tensor.name, TensorType.F16).label,
            numbers=tensor.numbers,
            sha256=hash_stretch(Stretch(0, str(part), tensor.offset, tensor.bytes, _PIECE)).sha256,
        )
        for tensor in made.tensors
    )
    numbers = sum(tensor.numbers for tensor in made.tensors)
    return Manifest(
        file=path.name,
        bytes=part.stat().st_size,
        blake3=hash_file(part),
        level=level,
        encoder=Path(tool).name[:32],
        source=written(model.paths[0].name),
        model=model.text("general.name"),
        source_bytes=model.file_bytes,
        bits_per_weight=8 * sum(tensor.bytes for tensor in made.tensors) / numbers,
        tensors=notes,
    )
