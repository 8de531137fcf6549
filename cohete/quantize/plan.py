"""What a quantized file will be, to the byte, before anything is read but the header. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cohete.errors import CoheteError
from cohete.quantize.gguf import (
    GgufError,
    Model,
    Pair,
    Tensor,
    aligned,
    alignment_of,
    header_bytes,
    scalar_pair,
)
from cohete.quantize.mixture import OUTPUT, About, Recipe, may_change, order, type_of, unused
from cohete.quantize.types import PLAIN, SEARCHED, Encoder, TensorType

QUANTIZATION_VERSION = 2
REQUANTIZED = frozenset(
    {TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q8_0,
     TensorType.Q6_K}
)  # fmt: skip
"""Quantized types that can be read back, where somebody wants to quantize again."""


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of the file to be: its source, its type, where its data begins in the file."""

    source: Tensor
    type: TensorType
    offset: int
    encoder: Encoder = Encoder.REFERENCE
    columns: bytes = field(default=b"", repr=False)
    """How much each counts (`columns`); empty where that is not known."""

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def bytes(self) -> int:
        """Of its data."""
        return self.type.size(self.source.numbers)

    @property
    def is_copied(self) -> bool:
        """Whether it stays as it is."""
        return self.type is self.source.type

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one way to encode it."""
        return self.type in SEARCHED and not self.is_copied

    @property
    def ways(self) -> tuple[Encoder, ...]:
        """The encoders it may get."""
        if not self.has_choice:
            return (Encoder.REFERENCE,)
        return tuple(each for each in Encoder if each is not Encoder.WEIGHED or self.columns)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the bytes of the result."""

    model: Model
    recipe: Recipe
    by_search: bool
    header: bytes = field(repr=False)
    outputs: tuple[Output, ...] = field(repr=False)
    choice: str = ""
    """How the encoders were chosen, for a person."""
    choice_of: str = ""
    """Digest of all that decided it; empty where nothing was tried out."""

    @property
    def file_bytes(self) -> int:
        """Of the whole file."""
        last = self.outputs[-1]
        return last.offset + aligned(last.bytes, alignment_of(self.model.pairs))

    @property
    def input_bytes(self) -> int:
        """What is read."""
        return sum(output.source.bytes for output in self.outputs)

    @property
    def is_ordinary(self) -> bool:
        """Whether it is what is published of its level: the mixture that llama.cpp has for it, by
        the reference encoder, of a model that was not quantized."""
        known, recipe = about(self.model), Recipe(self.recipe.level)
        return all(
            each.encoder is Encoder.REFERENCE
            and each.source.type in PLAIN
            and each.type is type_of(each.name, each.source.shape, each.source.type, recipe, known)
            for each in self.outputs
        )

    @property
    def bits_per_weight(self) -> float:
        """Over all tensors."""
        numbers = sum(output.source.numbers for output in self.outputs)
        return 8 * sum(output.bytes for output in self.outputs) / numbers


def about(model: Model) -> About:
    """What the rules ask of a model."""
    names = {tensor.name for tensor in model.tensors}
    experts = model.number(f"{model.architecture}.expert_count") or 0
    return About(model.architecture, experts, OUTPUT not in names)


def plan_model(
    model: Model, recipe: Recipe, *, by_search: bool = False, again: bool = False,
    chosen: Mapping[str, TensorType] | None = None,
) -> Plan:  # fmt: skip
    """The plan for a model. `again` allows input that is quantized already; `chosen` has types by
    tensor that win over the recipe.

    Raises GgufError where the model cannot be quantized, CoheteError for rules that mean nothing.
    """
    where = str(model.paths[0])
    names = [tensor.name for tensor in model.tensors if may_change(tensor.name, tensor.shape)]
    idle = unused(recipe.rules, names)
    if idle:
        raise CoheteError(
            f"the rule `{idle[0].pattern}` matches no tensor that can be quantized",
            where=where,
            hint=f"Names are like {', '.join(names[:3])}." if names else "",
        )
    known = about(model)
    pairs = _pairs(model, recipe)
    ordered = sorted(model.tensors, key=lambda tensor: order(tensor.name))
    alignment = alignment_of(pairs)
    listed: list[tuple[Tensor, TensorType, int]] = []
    at = 0
    for tensor in ordered:
        wanted = type_of(tensor.name, tensor.shape, tensor.type, recipe, known)
        wanted = (chosen or {}).get(tensor.name, wanted)
        if wanted is not tensor.type:
            _check(tensor, wanted, where, again=again)
        listed.append((tensor, wanted, at))
        at = aligned(at + wanted.size(tensor.numbers), alignment)
    header = header_bytes(
        pairs, [(tensor.name, tensor.shape, kind, offset) for tensor, kind, offset in listed]
    )
    encoder = Encoder.SEARCH if by_search else Encoder.REFERENCE
    outputs = tuple(
        Output(tensor, kind, len(header) + offset,
               encoder if kind in SEARCHED and kind is not tensor.type else Encoder.REFERENCE)
        for tensor, kind, offset in listed
    )  # fmt: skip
    return Plan(model, recipe, by_search, header, outputs)


def _pairs(model: Model, recipe: Recipe) -> dict[str, Pair]:
    pairs = {key: pair for key, pair in model.pairs.items() if not key.startswith("split.")}
    pairs["general.quantization_version"] = scalar_pair(QUANTIZATION_VERSION)
    pairs["general.file_type"] = scalar_pair(recipe.level.file_type)
    return pairs


def _check(tensor: Tensor, wanted: TensorType, where: str, *, again: bool) -> None:
    if tensor.type in PLAIN:
        return
    if tensor.type not in REQUANTIZED:
        raise GgufError(f"{tensor.name} is {tensor.type.label}, which cannot be read back",
                        where=where, hint="Begin with the F16 or BF16 model.")  # fmt: skip
    if not again:
        raise GgufError(
            f"{tensor.name} is quantized already ({tensor.type.label})",
            where=where,
            hint="Begin with the F16 or BF16 model. To lose more on purpose: --allow-requantize.",
        )
