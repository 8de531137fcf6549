"""What a quantized file is, kept beside it: digests, where it came from, what was lost.

`MODEL.gguf.manifest.json` is ours; `MODEL.gguf.sha256` has a line for each tensor as llama.cpp's
`llama-gguf-hash` checks it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cohete.errors import CoheteError
from cohete.quantize.gguf import GgufError, read_model
from cohete.quantize.hashing import Stretch, hash_file, hash_stretch
from cohete.quantize.types import TensorType

FORMAT = 1
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{32,64}$")]
_Count = Annotated[int, Field(ge=0)]


class TensorNote(BaseModel):
    """A tensor of the result. `pieces` are digests of source and result, piece by piece."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=256)]
    type: Annotated[str, Field(max_length=16)]
    source_type: Annotated[str, Field(max_length=16)]
    numbers: _Count
    sha256: _Hex
    rms_error: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of the numbers that were read back, in their own unit; None where nothing was changed."""
    relative_error: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The same by their own root mean square."""
    pieces: list[tuple[_Hex, _Hex]] = []


class Manifest(BaseModel):
    """Everything that is needed to check a file, and to make only what changed again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    file: Annotated[str, Field(max_length=512)]
    bytes: _Count
    blake3: _Hex
    level: Annotated[str, Field(max_length=16)]
    encoder: Annotated[str, Field(max_length=32)]
    source: Annotated[str, Field(max_length=512)]
    model: Annotated[str, Field(max_length=256)] = ""
    """What the model calls itself."""
    source_bytes: _Count
    bits_per_weight: float
    tensors: list[TensorNote]


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file is."""
    return path.with_name(f"{path.name}.manifest.json")


def hashes_path(path: Path) -> Path:
    """Where the list for llama-gguf-hash is."""
    return path.with_name(f"{path.name}.sha256")


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a file; None where there is none, or none that can be understood."""
    try:
        return Manifest.model_validate_json(manifest_path(path).read_bytes())
    except (OSError, ValidationError, ValueError):
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Both lists, all or nothing each. Raises OSError."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1)
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
    where = str(path)
    manifest = read_manifest(path)
    if manifest is None:
        hint = f"{manifest_path(path).name} is written when a model is quantized."
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
    try:
        model = read_model(path)
    except GgufError as error:
        return f"its header: {error.what}"
    notes = {each.name: each for each in manifest.tensors}
    for tensor in model.tensors:
        note = notes.get(tensor.name)
        if note is None or TensorType[note.type.upper()] is not tensor.type:
            return f"its header speaks of another {tensor.name}"
        stretch = Stretch(0, str(path), tensor.offset, tensor.bytes, 1 << 20)
        if hash_stretch(stretch).sha256 != note.sha256:
            return f"the tensor {tensor.name}"
    return "its header, or what lies between its tensors"
