"""Digests of what was written: by tensor for upstream's tool, by piece, of the whole file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from cohete.quantize.slabs import digest, read_into, space

_READ = 1 << 23


@dataclass(frozen=True, slots=True)
class Stretch:
    """The data of a tensor in a file, in pieces of `piece` bytes."""

    tensor: int
    path: str
    offset: int
    bytes: int
    piece: int


@dataclass(frozen=True, slots=True)
class Hashed:
    """sha256 of a stretch, and the digest of each piece."""

    tensor: int
    sha256: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """A file, to be hashed beside its stretches."""

    path: str


@dataclass(frozen=True, slots=True)
class WholeHashed:
    """BLAKE3 of a file."""

    blake3: str


def hash_stretch(stretch: Stretch) -> Hashed:
    """Read it back. Raises OSError where it is not all there."""
    whole = hashlib.sha256()
    pieces: list[str] = []
    left = stretch.bytes
    while left:
        room = space(min(stretch.piece, left))
        read_into(room, stretch.path, stretch.offset + stretch.bytes - left)
        whole.update(room.data)
        pieces.append(digest(room.data))
        left -= room.size
    return Hashed(stretch.tensor, whole.hexdigest(), tuple(pieces))


def hash_file(path: Path) -> str:
    """BLAKE3 of a file. Raises OSError."""
    found = blake3(max_threads=blake3.AUTO)
    room = memoryview(bytearray(_READ))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(room):
            found.update(room[:count])
    return found.hexdigest()


def sha256_of(path: Path) -> str:
    """What every board can check with what it has. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
