"""A process that makes pieces: a job on each line in, what came of it on each line out.

It ends when its input does, so that it never outlives whoever began it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import astuple, replace
from pathlib import Path

from cohete.quantize.hashing import (
    Hashed,
    Stretch,
    Whole,
    WholeHashed,
    hash_file,
    hash_stretch,
)
from cohete.quantize.lanes import NotFinite
from cohete.quantize.slabs import Made, Slab, TooLarge, make
from cohete.quantize.types import Encoder, TensorType

Job = Slab | Stretch | Whole
Answer = Made | Hashed | WholeHashed


def carry_out(job: Job) -> Answer:
    """What came of a job. Raises NotFinite, TooLarge, OSError."""
    if isinstance(job, Slab):
        return make(job)
    return hash_stretch(job) if isinstance(job, Stretch) else WholeHashed(hash_file(Path(job.path)))


def job_line(job: Job) -> bytes:
    """A job as a line."""
    return _line(type(job).__name__, astuple(job))


def job_of(line: bytes) -> Job:
    """The job in a line."""
    name, fields = json.loads(line)
    if name == "Stretch":
        return Stretch(*fields)
    if name == "Whole":
        return Whole(*fields)
    slab = Slab(*fields)
    return replace(
        slab, kind=TensorType(slab.kind), out_kind=TensorType(slab.out_kind),
        encoder=Encoder(slab.encoder),
    )  # fmt: skip


def answer_line(answer: Answer | Exception) -> bytes:
    """What came of a job, or why nothing did, as a line."""
    if isinstance(answer, OSError):
        return _line("OSError", (answer.errno or 0, answer.strerror or "", answer.filename))
    if isinstance(answer, Exception):
        return _line(type(answer).__name__, (str(answer),))
    return _line(type(answer).__name__, astuple(answer))


def answer_of(line: bytes) -> Answer | Exception:
    """What stands in such a line."""
    name, fields = json.loads(line)
    if name == "Made":
        return Made(*fields)
    if name == "WholeHashed":
        return WholeHashed(*fields)
    if name == "Hashed":
        tensor, sha256, pieces = fields
        return Hashed(tensor, sha256, tuple(pieces))
    plain: dict[str, type[Exception]] = {
        each.__name__: each for each in (NotFinite, TooLarge, MemoryError)
    }
    return plain.get(name, OSError)(*fields)


def _line(name: str, fields: tuple[object, ...]) -> bytes:
    return json.dumps([name, fields]).encode() + b"\n"


def main() -> None:
    # What is sent to the whole group reaches this one too: whoever began it ends it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        _work()
    except BrokenPipeError:
        # Whoever began it is gone; nobody is left to be told.
        os._exit(1)


def _work() -> None:
    for line in sys.stdin.buffer:
        answer: Answer | Exception
        try:
            answer = carry_out(job_of(line))
        except (OSError, NotFinite, TooLarge, MemoryError) as error:
            answer = error
        sys.stdout.buffer.write(answer_line(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
