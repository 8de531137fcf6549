"""How much each column of a model's tensors counts, by what goes through it: for any size of model.

What a tensor gives out is its numbers times what goes into it. In a trained model a few columns
carry a hundred times what others do, and an error there is felt as much more. A handful of random
tokens shows which: they are sent through the layers once. The matrices are read piece by piece, so
that it takes little memory.

That the mean square of what goes in is what an error counts is how llama.cpp's importance matrices
have it, which need a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cohete.quantize.columns import coded
from cohete.quantize.decode import DECODED, decode
from cohete.quantize.forward import MAX_NUMBERS, Layers, Tokens, shape_known
from cohete.quantize.gguf import GgufError, Model, Tensor
from cohete.quantize.lanes import Floats, NotFinite, is_finite, numbers_of
from cohete.quantize.mixture import EMBEDDING, OUTPUT
from cohete.quantize.plan import Plan, about
from cohete.quantize.slabs import read_into
from cohete.quantize.types import PLAIN, Encoder, TensorType

TEXTS, PLACES = 2, 32
"""Tokens that are sent through: so many texts of so many. Twice as many tell no more."""
SEED = 1
PIECE = 1 << 17
"""Numbers of a matrix that are read at once."""
MOST_BYTES = 1 << 27
"""What may go in and out of a matrix."""

_WORDS = frozenset({TensorType.F16, TensorType.BF16})

Tell = Callable[[float], None]
Each = Callable[[Callable[[int], None], range], Iterable[None]]
"""Calls for each of a range: `map`, or one that does it with more threads."""


class Streamed(Layers):
    """A model whose matrices stay where they are, and what went into each of them.

    Raises GgufError as `shape_known` does, and where it cannot be read.
    """

    def __init__(self, model: Model, calls: Each, tell: Tell) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.tensors}
        shape = shape_known(model)
        vectors = [each for each in model.tensors if len(each.shape) == 1]
        _check_room(sum(each.numbers for each in vectors), "what it has beside matrices")
        _check_room(TEXTS * PLACES * shape.heads * (2 * shape.key + shape.value + 3 * PLACES),
                    "attention")  # fmt: skip
        weights = {each.name: _read(each, 0, each.numbers) for each in vectors}
        super().__init__(model, shape, weights)
        self._calls = calls
        self._tell = tell
        self._total = sum(each.numbers for each in model.tensors if each.name.startswith("blk."))
        self._done = 0
        self.energies: dict[str, npt.NDArray[np.float64]] = {}
        """Of each matrix, by column: the mean square of what goes in, of each token by its own."""

    def tokens(self) -> Tokens:
        """Any: shape (texts, places)."""
        random = np.random.default_rng(SEED)
        return random.integers(0, self._tensors[EMBEDDING].shape[-1], (TEXTS, PLACES), np.int64)

    def looked_up(self, tokens: Tokens) -> Floats:
        embedding = self._tensors[EMBEDDING]
        width, _ = _matrix(embedding)
        _check_room(tokens.size * width, EMBEDDING)
        rows = [_read(embedding, int(token) * width, width) for token in tokens.flat]
        return np.stack(rows).reshape(*tokens.shape, width)

    def note(self, x: Floats, name: str) -> None:
        """That this goes into the matrix of this name."""
        if x.shape[-1:] != self._tensors[name].shape[:1]:
            raise ValueError(f"the rows of {name} are not as wide as what goes into them")
        rows = x.reshape(-1, x.shape[-1])
        total = np.zeros(x.shape[-1])
        for begin in range(0, len(rows), PLACES):
            squares = np.square(rows[begin : begin + PLACES], dtype=np.float64)
            # One token may have a thousand times what others have: each counts as much.
            mean = squares.mean(axis=1, keepdims=True)
            squares /= np.where(mean == 0, 1, mean)
            total += squares.sum(axis=0)
        self.energies[name] = total / len(rows)

    def times(self, x: Floats, name: str) -> Floats:
        tensor = self._tensors[name]
        width, count = _matrix(tensor)
        rows = x.reshape(-1, x.shape[-1])
        _check_room(len(rows) * (width + count), name)
        self.note(x, name)
        found = np.empty((len(rows), count), np.float32)
        step = max(1, PIECE // width)

        def piece(begin: int) -> None:
            end = min(count, begin + step)
            numbers = _read(tensor, begin * width, (end - begin) * width)
            with np.errstate(all="ignore"):
                np.matmul(rows, numbers.reshape(-1, width).T, out=found[:, begin:end])

        for _ in self._calls(piece, range(0, count, step)):
            pass
        self._done += tensor.numbers
        self._tell(min(1.0, self._done / self._total))
        return found.reshape(*x.shape[:-1], count)


@contextmanager
def _each(threads: int) -> Iterator[Each]:
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool.map


def _check_room(numbers: int, name: str) -> None:
    if 4 * numbers > MOST_BYTES:
        raise ValueError(f"{name} would take too much memory")


def _matrix(tensor: Tensor) -> tuple[int, int]:
    """Numbers of a row, and how many rows."""
    if len(tensor.shape) != 2:
        raise ValueError(f"{tensor.name} is no matrix")
    return tensor.shape[0], tensor.shape[1]


def _read(tensor: Tensor, first: int, count: int) -> Floats:
    """Numbers of a tensor as float32, flat. Raises GgufError, NotFinite."""
    kind = tensor.type
    if kind not in DECODED:
        raise GgufError(f"{tensor.name} is {kind.label}, which is not read here",
                        where=str(tensor.path))  # fmt: skip
    raw = np.empty(kind.size(count), np.uint8)
    try:
        read_into(raw, str(tensor.path), tensor.offset + kind.size(first))
    except OSError as error:
        raise GgufError(f"it cannot be read: {error.strerror}",
                        where=str(tensor.path)) from None  # fmt: skip
    if kind in PLAIN and not is_finite(raw, kind):
        raise NotFinite
    return numbers_of(raw.view(np.uint16), kind) if kind in _WORDS else decode(raw, kind)


def columns_of(model: Model, threads: int = 1, tell: Tell = lambda share: None) -> dict[str, bytes]:
    """How much the columns of each matrix count, by name; the same with any number of threads.

    Raises GgufError, ValueError, LookupError where the model cannot be worked out.
    """
    with np.errstate(all="ignore"), _each(threads) as calls:
        source = Streamed(model, calls, tell)
        try:
            x = source.through(source.enter(source.tokens()))
        except RuntimeError as error:
            # No more threads are to be had.
            raise ValueError(str(error)) from None
        # Where the embedding is the output too, an error in it is felt most there.
        last = EMBEDDING if about(model).is_tied else OUTPUT
        source.note(source.norm(x, "output_norm"), last)
    if not np.isfinite(x).all():
        raise ValueError("what its layers give out is no number")
    return {name: coded(energies) for name, energies in source.energies.items()}


def columns_for_types(
    model: Model, threads: int = 1, tell: Tell = lambda share: None
) -> dict[str, bytes]:
    """The same, to choose types by; nothing of a small model. Raises as `columns_of` does.

    Single tensors decide in a small one, which are tried out, and types that are chosen by the
    plain error turned out better there.
    """
    if sum(tensor.numbers for tensor in model.tensors) <= MAX_NUMBERS:
        return {}
    return columns_of(model, threads, tell)


def with_columns(plan: Plan, columns: Mapping[str, bytes]) -> Plan:
    """The plan with what its columns count, and the search that weighs them where that is known."""
    outputs = []
    for output in plan.outputs:
        known = columns.get(output.name, b"")
        if output.has_choice and known and len(known) == output.source.shape[0]:
            output = replace(output, columns=known, encoder=Encoder.WEIGHED)
        outputs.append(output)
    return replace(plan, outputs=tuple(outputs))


def weighed(plan: Plan, threads: int = 1, tell: Tell = lambda share: None) -> Plan:
    """The same, worked out where the plan does not have it. Raises as `columns_of` does."""
    is_tied = about(plan.model).is_tied
    open_ = [each for each in plan.outputs
             if each.has_choice and (is_tied or each.name != EMBEDDING)]  # fmt: skip
    if not open_ or any(output.columns for output in plan.outputs):
        return plan
    return with_columns(plan, columns_of(plan.model, threads, tell))
