"""What a quantized file is, kept beside it: digests, where it came from, what was lost.

`MODEL.gguf.manifest.json` is ours; `MODEL.gguf.sha256` has a line for each tensor as llama.cpp's
`llama-gguf-hash` checks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from cohete.errors import CoheteError
from cohete.quantize.gguf import GgufError, read_model

FORMAT = 1
CHOSEN = "chosen"
"""The encoder of a file whose tensors have different ones."""
_IS_HEX = re.compile(r"[0-9a-f]{32,64}").fullmatch
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class TensorNote:
    """A tensor of the result. `pieces` are digests of source and result, piece by piece.

    Raises ValueError where a digest or a number is none.
    """

    __pydantic_config__: ClassVar = _STRICT

    name: str
    type: str
    source_type: str
    numbers: int
    sha256: str
    rms_error: float | None = None
    """Of the numbers that were read back, in their own unit, each as its column counts; None where
    nothing was changed."""
    relative_error: float | None = None
    """The same by their own root mean square."""
    pieces: tuple[tuple[str, str], ...] = ()
    encoder: str = ""
    """That of the whole file where nothing is said."""
    columns: str = ""
    """Digest of how much each of its columns counted, where that was weighed."""

    def __post_init__(self) -> None:
        _check_words((self.name, 256), (self.type, 16), (self.source_type, 16))
        _check_words((self.encoder, 32))
        _check_digests(self.sha256, *filter(None, [self.columns]))
        _check_digests(*(each for piece in self.pieces for each in piece))
        _check_sizes(self.numbers, self.rms_error, self.relative_error)
        if not self.name:
            raise ValueError("a tensor without a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is needed to check a file, and to make only what changed again.

    Raises ValueError where a digest or a number is none.
    """

    __pydantic_config__: ClassVar = _STRICT

    format: int = FORMAT
    file: str
    bytes: int
    blake3: str
    level: str
    encoder: str
    source: str
    model: str = ""
    """What the model calls itself."""
    source_bytes: int
    bits_per_weight: float
    choice: str = ""
    """How encoders were chosen, or why they were not."""
    choice_of: str = ""
    """Digest of all that decided it."""
    is_ordinary: bool = False
    """Whether what is published of its level holds for it."""
    tensors: tuple[TensorNote, ...]

    def __post_init__(self) -> None:
        _check_words((self.file, 512), (self.source, 512), (self.model, 256), (self.choice, 512))
        _check_words((self.level, 16), (self.encoder, 32))
        _check_digests(self.blake3, *filter(None, [self.choice_of]))
        _check_sizes(self.bytes, self.source_bytes, self.bits_per_weight)


def _check_words(*words: tuple[str, int]) -> None:
    for text, most in words:
        if len(text) > most:
            raise ValueError(f"longer than {most} characters")


def _check_digests(*digests: str) -> None:
    if not all(map(_IS_HEX, digests)):
        raise ValueError("a digest that is none")


def _check_sizes(*sizes: float | None) -> None:
    if not all(size is None or 0 <= size < float("inf") for size in sizes):
        raise ValueError("a number that is none")


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file is."""
    return path.with_name(f"{path.name}.manifest.json")


def hashes_path(path: Path) -> Path:
    """Where the list for llama-gguf-hash is."""
    return path.with_name(f"{path.name}.sha256")


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a file; None where there is none, or none that can be understood."""
    try:
        text = manifest_path(path).read_bytes()
    except (OSError, ValueError):
        return None
    # It takes long to load, and is needed only where there is one already.
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(Manifest).validate_json(text)
    except ValueError:
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Both lists, all or nothing each. Raises OSError."""
    text = json.dumps(asdict(manifest), indent=1, allow_nan=False)
    _replace(manifest_path(path), text + "\n")
    lines = [f"sha256  {each.sha256}  {path.name}:{each.name}\n" for each in manifest.tensors]
    _replace(hashes_path(path), "".join(lines))


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def verify(path: Path, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """That a file is what its manifest says: every byte. Blocking.

    Raises CoheteError with what is wrong: which tensor, where one can be told. `progress` is told
    bytes done and to do.
    """
    # It loads numpy, and a manifest is read before workers start.
    from cohete.quantize.hashing import hash_file

    where = str(path)
    manifest = read_manifest(path)
    if manifest is None:
        beside = manifest_path(path).name
        if manifest_path(path).exists():
            raise CoheteError(
                f"its manifest {beside} is damaged or cannot be read: it cannot be checked",
                where=where,
                hint="Copy both again, or make it anew with --replace.",
            )
        hint = f"{beside} is written when a model is quantized."
        raise CoheteError("it has no manifest to be checked against", where=where, hint=hint)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CoheteError(f"it cannot be read: {error.strerror}", where=where) from None
    if size != manifest.bytes:
        words = f"it has {size} bytes and should have {manifest.bytes}"
        hint = "It was cut off, or is another file. Copy or make it again."
        raise CoheteError(words, where=where, hint=hint)
    if hash_file(path) == manifest.blake3:
        if progress is not None:
            progress(size, size)
        return manifest
    raise CoheteError(f"it is damaged: {_damage(path, manifest)}", where=where,
                      hint="Copy or make it again.")  # fmt: skip


def _damage(path: Path, manifest: Manifest) -> str:
    """Which part is not what it was."""
    from cohete.quantize.hashing import Stretch, hash_stretch

    try:
        model = read_model(path)
    except GgufError as error:
        return f"its header: {error.what}"
    notes = {each.name: each for each in manifest.tensors}
    for tensor in model.tensors:
        note = notes.get(tensor.name)
        if note is None or note.type != tensor.type.label:
            return f"its header speaks of another {tensor.name}"
        stretch = Stretch(0, str(path), tensor.offset, tensor.bytes, 1 << 20)
        if hash_stretch(stretch).sha256 != note.sha256:
            return f"the tensor {tensor.name}"
    return "its header, or what lies between its tensors"
