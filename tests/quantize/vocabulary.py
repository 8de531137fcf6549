"""The tokens llama.cpp wants of a model before it quantizes it."""

from __future__ import annotations

import struct

from cohete.quantize.gguf import Pair, text_pair

_ARRAY, _STRING, _F32, _I32 = 9, 8, 6, 5


def vocabulary_pairs(count: int) -> dict[str, Pair]:
    """So many tokens without a meaning."""
    words = [f"t{nth}".encode() for nth in range(count)]
    tokens = b"".join(struct.pack("<Q", len(word)) + word for word in words)
    return {
        "tokenizer.ggml.model": text_pair("llama"),
        "tokenizer.ggml.tokens": _array(_STRING, count, tokens),
        "tokenizer.ggml.scores": _array(_F32, count, struct.pack(f"<{count}f", *[0.0] * count)),
        "tokenizer.ggml.token_type": _array(_I32, count, struct.pack(f"<{count}i", *[1] * count)),
    }


def _array(item: int, count: int, data: bytes) -> Pair:
    return Pair(struct.pack("<IIQ", _ARRAY, item, count) + data, None, count)
