"""A process that makes pieces: a pickled piece on each line in, what came of it on each line out.

It ends when its input does, so that it never outlives whoever began it.
"""

from __future__ import annotations

import base64
import pickle
import sys
from typing import Any

from cohete.quantize.hashing import Stretch, hash_stretch
from cohete.quantize.slabs import NotFinite, Slab, make


def carry_out(job: Slab | Stretch) -> Any:
    """What came of a job. Raises what it raises."""
    return make(job) if isinstance(job, Slab) else hash_stretch(job)


def pack(value: object) -> bytes:
    """A line."""
    return base64.b64encode(pickle.dumps(value)) + b"\n"


def unpack(line: bytes) -> Any:
    """What `pack` made, from a process of our own."""
    return pickle.loads(base64.b64decode(line))  # noqa: S301 - a pipe between our own processes


def main() -> None:
    for line in sys.stdin.buffer:
        try:
            answer: object = carry_out(unpack(line))
        except (OSError, NotFinite, MemoryError) as error:
            answer = error
        sys.stdout.buffer.write(pack(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
