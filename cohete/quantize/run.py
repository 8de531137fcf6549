"""A plan carried out: read, encoded, written at known places, read back, and only then named.

Whatever happens on the way, nothing bad is ever found under the final name: the file is made as
`.part` with a journal beside it. A run that was killed goes on from the journal, one that was
cancelled leaves nothing.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cohete.errors import CoheteError
from cohete.quantize.gguf import read_model
from cohete.quantize.hashing import Hashed, Stretch, Whole, WholeHashed
from cohete.quantize.journal import Finished, Journal
from cohete.quantize.lanes import NotFinite
from cohete.quantize.manifest import (
    CHOSEN,
    Manifest,
    TensorNote,
    read_manifest,
    write_manifest,
)
from cohete.quantize.places import (
    check_folder,
    check_places,
    files_of,
    sole_writer,
    sync_folder,
    told,
    written,
)
from cohete.quantize.plan import Output, Plan
from cohete.quantize.pool import Cancelled, Pool
from cohete.quantize.search import NAMES
from cohete.quantize.slabs import DIGEST, SLAB, Made, Slab, TooLarge, digest
from cohete.quantize.tensors import (
    TensorMade,
    columns_digest,
    no_numbers,
    note_of,
    relative_error,
    spans_of,
)
from cohete.quantize.types import Encoder, TensorType

ERROR_BOUND = 0.5
"""A tensor that lost half of itself was not quantized but destroyed."""
WEIGHED_BOUND = 1.0
"""Of what counts in it even the reference may lose more, where that is small beside the rest."""
_TOLD_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. Bytes are those that are read; `eta_s` None before it can be told."""

    step: str
    done_bytes: int
    total_bytes: int
    mb_s: float
    eta_s: float | None
    bound: str
    """What it waits for most: cpu or disk."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The manifest of the file that was made, and how it went."""

    manifest: Manifest
    seconds: float
    mb_s: float
    reused_bytes: int
    """Of the result: not quantized again, because nothing of it had changed."""
    resumed_bytes: int
    """Of the result: already made by a run that was killed."""
    choosing_s: float = 0.0
    """What it took before to find out how each tensor is made best."""


class Quantizer:
    """`Quantizer(plan, path).run(workers=2)`; `cancel()` from any thread."""

    def __init__(
        self,
        plan: Plan,
        path: Path,
        *,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        refine: Callable[[Plan], Plan] | None = None,
    ) -> None:
        """`refine` may give the tensors other encoders, as soon as it is known that the file can
        be written."""
        self._plan = plan
        self._refine = refine
        self._path = path
        self._part, journal, *_ = files_of(path)
        self._journal = Journal(journal)
        self._tell = progress or (lambda _: None)
        self._cancel = cancel or threading.Event()
        self._tensors = [TensorMade(output) for output in plan.outputs]
        self._io_s = self._all_s = 0.0
        self._told_s = 0.0
        self._begun_s = self._choosing_s = 0.0
        self._done = 0
        self.is_ending = False
        """Whether it is too late to cancel it."""

    def cancel(self) -> None:
        """End it soon; nothing of it stays."""
        self._cancel.set()

    def run(self, workers: int | Pool = 1) -> Outcome:
        """Make the file with so many workers, or with a pool with its `cancel`, which it closes.

        Blocking. Raises CoheteError, and Cancelled after `cancel`.
        """
        where = str(self._path)
        self._begun_s = time.perf_counter()
        with Pool(workers, self._cancel) if isinstance(workers, int) else workers as pool:
            check_places(self._path, self._plan.model.paths)
            with sole_writer(self._path):
                try:
                    return self._run(pool, where)
                finally:
                    # None of them writes once somebody else may.
                    pool.close()

    def _run(self, pool: Pool, where: str) -> Outcome:
        try:
            if self._refine is not None:
                check_folder(self._path, self._plan.file_bytes)
                begun_s = time.perf_counter()
                self._plan = self._refine(self._plan)
                self._tensors = [TensorMade(output) for output in self._plan.outputs]
                self._begun_s = time.perf_counter()
                self._choosing_s = self._begun_s - begun_s
            # Workers take their time to start: the file is prepared meanwhile.
            resumed = self._prepare()
            self._make(pool)
            manifest = self._finish(self._check(pool))
        except (Cancelled, KeyboardInterrupt):
            self._remove()
            raise
        except NotFinite as error:
            self._remove()
            raise no_numbers(str(error), self._plan.model.paths[0]) from None
        except TooLarge as error:
            self._remove()
            raise CoheteError(
                f"{error or 'a tensor'} has numbers that are too large for its type",
                where=str(self._plan.model.paths[0]),
                hint="Keep this tensor with a rule (`NAME=keep`).",
            ) from None
        except OSError as error:
            raise told(error, where) from None
        seconds = time.perf_counter() - self._begun_s
        reused = sum(each.output.bytes for each in self._tensors if each.reused)
        return Outcome(
            manifest, seconds, self._plan.input_bytes / 1e6 / seconds, max(0, reused - resumed),
            resumed, self._choosing_s,
        )  # fmt: skip

    def _prepare(self) -> int:
        """The file at its full length with its header; bytes that an earlier run has finished."""
        resumed = self._resume()
        if resumed:
            return resumed
        self._remove()
        check_folder(self._path, self._plan.file_bytes)
        with self._part.open("wb") as file:
            file.write(self._plan.header)
            file.truncate(self._plan.file_bytes)
        self._journal.begin(self._key())
        return 0

    def _key(self) -> str:
        """What a journal must name to be of this plan: sources as they are, types, encoder."""
        parts: list[object] = [DIGEST]
        parts += [(NAMES[each.encoder], columns_digest(each)) for each in self._plan.outputs]
        for path in self._plan.model.paths:
            stat = path.stat()
            parts.append((str(path.resolve()), stat.st_size, stat.st_mtime_ns))
        return digest(json.dumps(parts).encode() + self._plan.header)

    @property
    def _encoder(self) -> str:
        """Of the tensors that leave a choice, for the manifest."""
        found = {each.encoder for each in self._plan.outputs if each.has_choice}
        return CHOSEN if len(found) > 1 else NAMES[found.pop() if found else Encoder.REFERENCE]

    def _noted(self, output: Output) -> str:
        """The encoder in the line of a tensor: only where it is not that of the file."""
        name = NAMES[output.encoder]
        return "" if name == self._encoder else name

    def _resume(self) -> int:
        """Take over what a run that was killed has finished, after reading it back."""
        finished = self._journal.finished(self._key())
        try:
            size = self._part.stat().st_size
        except OSError:
            return 0
        if finished is None or size != self._plan.file_bytes:
            return 0
        with self._part.open("r+b") as file:
            file.write(self._plan.header)
        resumed = 0
        for done in finished:
            if not 0 <= done.index < len(self._tensors):
                continue
            tensor = self._tensors[done.index]
            if len(done.pieces) == len(list(spans_of(tensor.output))):
                tensor.pieces = dict(enumerate(done.pieces))
                tensor.error, tensor.squares = done.error, done.squares
                tensor.measured = done.measured
                resumed += tensor.output.bytes
        return resumed

    def _make(self, pool: Pool) -> None:
        before = read_manifest(self._path)
        jobs = [job for index in range(len(self._tensors)) for job in self._jobs(index, before)]
        # What takes longest goes first: at the end no worker is long without work.
        jobs.sort(key=lambda job: job.out_kind is not TensorType.Q6_K)
        total = self._plan.input_bytes
        self._done = total - sum(job.kind.size(job.numbers) for job in jobs)
        already = self._done
        try:
            for made in pool.run(jobs):
                assert isinstance(made, Made)
                self._take(made)
                self._report("quantizing", already, total)
        except (NotFinite, TooLarge) as error:
            # A worker says it in words.
            culprit = self._tensors[int(error.args[0])].output.name
            raise type(error)(culprit) from None

    def _jobs(self, index: int, before: Manifest | None) -> Iterator[Slab]:
        tensor = self._tensors[index]
        output = tensor.output
        if tensor.pieces:
            return
        old = self._before(output, before)
        tensor.before = old[0] if old is not None else None
        columns = output.columns.hex() if output.encoder is Encoder.WEIGHED else ""
        for nth, (at, count) in enumerate(spans_of(output)):
            source = output.source
            slab = Slab(
                index, nth, str(source.path), source.offset + source.type.size(at), count,
                source.type, str(self._part), output.offset + output.type.size(at), output.type,
                output.encoder, columns,
            )  # fmt: skip
            if old is not None and nth < len(old[0].pieces):
                was, made = old[0].pieces[nth]
                offset = old[1] + output.type.size(at)
                slab = replace(
                    slab, old=str(self._path), old_offset=offset, old_source=was, old_digest=made
                )
            yield slab

    def _before(self, output: Output, before: Manifest | None) -> tuple[TensorNote, int] | None:
        """The same tensor in the file that is there already, made in the same way; its offset."""
        if before is None:
            return None
        if self._old_places is None:
            try:
                old = read_model(self._path)
            except CoheteError:
                self._old_places = {}
            else:
                self._old_places = {each.name: each.offset for each in old.tensors}
        note = next((each for each in before.tensors if each.name == output.name), None)
        offset = self._old_places.get(output.name)
        same = note is not None and (
            note.type, note.source_type, note.numbers, note.encoder or before.encoder, note.columns
        ) == (
            output.type.label, output.source.type.label, output.source.numbers,
            NAMES[output.encoder], columns_digest(output),
        )  # fmt: skip
        return (note, offset) if same and note is not None and offset is not None else None

    _old_places: dict[str, int] | None = None

    def _take(self, made: Made) -> None:
        tensor = self._tensors[made.tensor]
        tensor.pieces[made.nth] = (made.source, made.digest)
        tensor.error += made.error
        tensor.squares += made.squares
        tensor.measured += made.measured
        tensor.reused = tensor.reused and made.reused
        self._io_s += made.io_s
        self._all_s += made.all_s
        spans = list(spans_of(tensor.output))
        self._done += tensor.output.source.type.size(spans[made.nth][1])
        if len(tensor.pieces) == len(spans):
            pieces = tuple(tensor.pieces[nth] for nth in range(len(spans)))
            self._journal.add(
                Finished(made.tensor, pieces, tensor.error, tensor.squares, tensor.measured)
            )

    def _check(self, pool: Pool) -> str:
        """Read everything back: each tensor has to be what was encoded. BLAKE3 of the whole."""
        with self._part.open("r+b") as file:
            os.fsync(file.fileno())
        stretches = [
            Stretch(index, str(self._part), each.output.offset, each.output.bytes,
                    each.output.type.size(SLAB))
            for index, each in enumerate(self._tensors)
        ]  # fmt: skip
        total = sum(stretch.bytes for stretch in stretches)
        self._done = 0
        jobs: list[Stretch | Whole] = [*stretches]
        # It takes longest and goes first, but not before one worker that says nothing meanwhile.
        jobs.insert(len(jobs) if pool.workers == 1 else 0, Whole(str(self._part)))
        whole = ""
        for hashed in pool.run(jobs):
            if isinstance(hashed, WholeHashed):
                whole = hashed.blake3
                continue
            assert isinstance(hashed, Hashed)
            tensor = self._tensors[hashed.tensor]
            wanted = tuple(tensor.pieces[nth][1] for nth in range(len(tensor.pieces)))
            if hashed.pieces != wanted:
                self._remove()
                raise CoheteError(
                    f"{tensor.output.name} was read back otherwise than it was written",
                    where=str(self._part),
                    hint="The disk or the memory of this machine fails. Nothing was kept.",
                )
            tensor.sha256 = hashed.sha256
            self._done += tensor.output.bytes
            self._report("checking", 0, total)
        for tensor in self._tensors:
            lost = relative_error(tensor)
            is_weighed = tensor.output.encoder is Encoder.WEIGHED
            if lost is not None and not lost <= (WEIGHED_BOUND if is_weighed else ERROR_BOUND):
                self._remove()
                raise CoheteError(
                    f"{tensor.output.name} lost {100 * lost:.0f} % of itself: that is no model",
                    where=str(self._path),
                    hint="Keep this tensor with a rule (`NAME=keep`), and report this.",
                )
        return whole

    def _finish(self, blake3: str) -> Manifest:
        """Read the header back, note what the file is, and give it its name."""
        found = {each.name: each for each in read_model(self._part).tensors}
        for tensor in self._tensors:
            output = tensor.output
            kept = found.get(output.name)
            if kept is None or (kept.type, kept.offset) != (output.type, output.offset):
                raise CoheteError(f"the header lost {output.name}", where=str(self._part))
        plan = self._plan
        manifest = Manifest(
            file=self._path.name,
            bytes=plan.file_bytes,
            blake3=blake3,
            level=plan.recipe.level.value,
            encoder=self._encoder,
            source=written(plan.model.paths[0].name),
            model=plan.model.text("general.name"),
            source_bytes=plan.model.file_bytes,
            bits_per_weight=plan.bits_per_weight,
            choice=written(plan.choice),
            choice_of=plan.choice_of,
            is_ordinary=plan.is_ordinary,
            tensors=tuple(note_of(tensor, self._noted(tensor.output)) for tensor in self._tensors),
        )
        self.is_ending = True
        if self._cancel.is_set():
            raise Cancelled
        # A manifest of the file that was there must not be found beside the new one.
        write_manifest(self._path, manifest)
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        self._journal.remove()
        return manifest

    def _remove(self) -> None:
        self._part.unlink(missing_ok=True)
        self._journal.remove()

    def _report(self, step: str, already: int, total: int) -> None:
        now = time.perf_counter()
        if now - self._told_s < _TOLD_EVERY_S and self._done < total:
            return
        self._told_s = now
        took = max(1e-6, now - self._begun_s)
        rate = (self._done - already) / took
        left = (total - self._done) / rate if rate > 0 else None
        bound = "disk" if self._io_s > 0.5 * self._all_s else "cpu"
        self._tell(Progress(step, self._done, total, rate / 1e6, left, bound))
