"""Text into tokens, for models whose tokenizer is of the SentencePiece kind (`llama` in a header).

Beginning with single characters, the two neighbours whose joint piece has the highest score are
joined, again and again; what is in no piece becomes its bytes. Other kinds need rules that a header
does not hold: for those llama.cpp's own tools are asked.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cohete.quantize.gguf import GgufError, Model, Pair

SPACE = "\u2581"
_ARRAY_HEAD = 16
MAX_TEXT = 1 << 24


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Pieces by text with their number and score."""

    pieces: dict[str, tuple[int, float]]
    bos: int | None
    unknown: int
    adds_space: bool

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, the one for its beginning first where the model has one."""
        marked = text.replace(" ", SPACE)
        found = [] if self.bos is None else [self.bos]
        for word in _words(SPACE + marked if self.adds_space and text else marked):
            found += self._joined(word)
        return found

    def _joined(self, word: str) -> Iterator[int]:
        symbols: list[str] = list(word)
        after = [*range(1, len(symbols)), -1]
        before = [-1, *range(len(symbols) - 1)]
        waiting: list[tuple[float, int, int]] = []

        def consider(left: int) -> None:
            right = after[left]
            if right >= 0:
                piece = self.pieces.get(symbols[left] + symbols[right])
                if piece is not None:
                    size = len(symbols[left]) + len(symbols[right])
                    heapq.heappush(waiting, (-piece[1], left, size))

        for at in range(len(symbols)):
            consider(at)
        while waiting:
            _, left, size = heapq.heappop(waiting)
            right = after[left]
            # One of the two was joined to another meanwhile.
            if not symbols[left] or right < 0 or len(symbols[left]) + len(symbols[right]) != size:
                continue
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            if after[right] >= 0:
                before[after[right]] = left
            consider(left)
            if before[left] >= 0:
                consider(before[left])
        for symbol in symbols:
            if symbol in self.pieces:
                yield self.pieces[symbol][0]
            elif symbol:
                for byte in symbol.encode():
                    yield self.pieces.get(f"<0x{byte:02X}>", (self.unknown, 0.0))[0]


def _words(text: str) -> Iterator[str]:
    """Parts that no piece reaches over: most pieces begin with a space, and few have one inside.

    Joining is quadratic at worst, so that long texts are cut; where pieces have spaces inside, the
    result may differ from the reference at those places.
    """
    at = 0
    for nth in range(1, len(text)):
        if text[nth] == SPACE and text[nth - 1] != SPACE:
            yield text[at:nth]
            at = nth
    if at < len(text):
        yield text[at:]


def tokenizer_of(model: Model) -> Tokenizer:
    """The tokenizer in a header. Raises GgufError where it is of another kind."""
    where = str(model.paths[0])
    kind = model.text("tokenizer.ggml.model")
    if kind != "llama":
        raise GgufError(
            f"its tokenizer ({kind or 'none'}) needs rules that are not in the file", where=where,
            hint="llama-perplexity can measure it: --perplexity-tool PATH.",
        )  # fmt: skip
    words = _strings(model.pairs["tokenizer.ggml.tokens"])
    scores = _floats(model.pairs.get("tokenizer.ggml.scores"), len(words))
    add_bos = model.pairs.get("tokenizer.ggml.add_bos_token")
    add_space = model.pairs.get("tokenizer.ggml.add_space_prefix")
    pieces = {word: (nth, scores[nth]) for nth, word in reversed(list(enumerate(words)))}
    wants_bos = add_bos is None or add_bos.value is True
    return Tokenizer(
        pieces,
        model.number("tokenizer.ggml.bos_token_id") if wants_bos else None,
        model.number("tokenizer.ggml.unknown_token_id") or 0,
        add_space is None or add_space.value is True,
    )


def _strings(pair: Pair) -> list[str]:
    found: list[str] = []
    at = _ARRAY_HEAD
    for _ in range(pair.count):
        (length,) = struct.unpack_from("<Q", pair.raw, at)
        found.append(pair.raw[at + 8 : at + 8 + length].decode("utf-8", "replace"))
        at += 8 + length
    return found


def _floats(pair: Pair | None, count: int) -> Sequence[float]:
    if pair is None or pair.count != count:
        return [0.0] * count
    return struct.unpack_from(f"<{count}f", pair.raw, _ARRAY_HEAD)
