"""Tensor types of GGUF and the levels a model is quantized to.

Ids, block sizes and bytes of a block are those of ggml; `general.file_type` ids those of llama.cpp.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class TensorType(IntEnum):
    """How the numbers of a tensor are stored."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39

    @property
    def block(self) -> int:
        """Numbers in a block."""
        return _LAYOUT[self][0]

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return _LAYOUT[self][1]

    @property
    def bits(self) -> float:
        """Bits per weight."""
        return 8 * self.block_bytes / self.block

    @property
    def is_quantized(self) -> bool:
        """Whether numbers share a scale."""
        return self.block > 1

    @property
    def label(self) -> str:
        """As people write it."""
        return self.name.lower()

    def size(self, numbers: int) -> int:
        """Bytes of so many numbers, which must be whole blocks."""
        return numbers // self.block * self.block_bytes


_LAYOUT: dict[TensorType, tuple[int, int]] = {
    TensorType.F32: (1, 4), TensorType.F16: (1, 2), TensorType.BF16: (1, 2),
    TensorType.F64: (1, 8), TensorType.I8: (1, 1), TensorType.I16: (1, 2),
    TensorType.I32: (1, 4), TensorType.I64: (1, 8),
    TensorType.Q4_0: (32, 18), TensorType.Q4_1: (32, 20), TensorType.Q5_0: (32, 22),
    TensorType.Q5_1: (32, 24), TensorType.Q8_0: (32, 34), TensorType.Q8_1: (32, 36),
    TensorType.IQ4_NL: (32, 18), TensorType.MXFP4: (32, 17),
    TensorType.Q2_K: (256, 84), TensorType.Q3_K: (256, 110), TensorType.Q4_K: (256, 144),
    TensorType.Q5_K: (256, 176), TensorType.Q6_K: (256, 210), TensorType.Q8_K: (256, 292),
    TensorType.IQ2_XXS: (256, 66), TensorType.IQ2_XS: (256, 74), TensorType.IQ3_XXS: (256, 98),
    TensorType.IQ1_S: (256, 50), TensorType.IQ3_S: (256, 110), TensorType.IQ2_S: (256, 82),
    TensorType.IQ4_XS: (256, 136), TensorType.IQ1_M: (256, 56), TensorType.TQ1_0: (256, 54),
    TensorType.TQ2_0: (256, 66),
}  # fmt: skip

SEARCHED = frozenset({TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1})
"""What can be encoded in more than one way."""

PLAIN = frozenset({TensorType.F32, TensorType.F16, TensorType.BF16})
"""What can be quantized."""


class Encoder(StrEnum):
    """How the scales of a block are found, where its type leaves a choice."""

    REFERENCE = "reference"
    SEARCH = "search"
    WEIGHED = "search-weighed"


class Level(StrEnum):
    """What a whole model is quantized to; single tensors may differ (`mixture`)."""

    Q4_0 = "q4_0"
    Q4_1 = "q4_1"
    Q5_0 = "q5_0"
    Q5_1 = "q5_1"
    Q8_0 = "q8_0"
    F16 = "f16"

    @property
    def type(self) -> TensorType:
        """The type of most of its tensors."""
        return TensorType[self.name]

    @property
    def file_type(self) -> int:
        """`general.file_type`."""
        return _FILE_TYPES[self]


_FILE_TYPES = {
    Level.F16: 1, Level.Q4_0: 2, Level.Q4_1: 3, Level.Q8_0: 7, Level.Q5_0: 8, Level.Q5_1: 9,
}  # fmt: skip
BEST_FIRST = (Level.F16, Level.Q8_0, Level.Q5_1, Level.Q5_0, Level.Q4_1, Level.Q4_0)
"""By bits per weight."""
