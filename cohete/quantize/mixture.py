"""Which tensor of a model gets which type: llama.cpp's own rules for these levels, and a person's.

After llama.cpp's src/llama-quant.cpp (MIT, see NOTICE). Pure.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cohete.errors import CoheteError
from cohete.quantize.types import Level, TensorType

_KEPT_PARTS = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.",
    "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
    *(f"time_mix_{part}.weight" for part in (
        "first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2", "decay_w1",
        "decay_w2", "lerp_fused")),
)  # fmt: skip
_KEPT = ("position_embd.weight", "token_types.weight")
OUTPUT, EMBEDDING = "output.weight", "token_embd.weight"
_EMBEDDINGS = (EMBEDDING, "per_layer_token_embd.weight")
_ATTENTION_V = ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")
_ATTENTION_K = "attn_k.weight"
FALLBACKS = {TensorType.Q6_K: TensorType.Q8_0}
"""For rows that 256 does not divide."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern over tensor names (a glob, else a regular expression after `re:`), and a type.

    None keeps the tensor as it is.
    """

    pattern: str
    type: TensorType | None

    def fits(self, name: str) -> bool:
        """Whether it speaks of this tensor."""
        if self.pattern.startswith("re:"):
            return re.search(self.pattern[3:], name) is not None
        return fnmatch.fnmatchcase(name, self.pattern)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is quantized: level, whether plainly (`pure`), what single tensors get."""

    level: Level
    pure: bool = False
    leave_output: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What the rules ask of a model besides its tensors."""

    architecture: str = ""
    experts: int = 0
    is_tied: bool = False


def parse_rule(text: str) -> Rule:
    """`pattern=type`, where type is a level, `q6_k`, `f32` or `keep`. Raises CoheteError."""
    pattern, equals, word = text.rpartition("=")
    hint = "For example `token_embd.weight=q8_0`, `blk.0.*=f16` or `re:attn_(k|v)=q8_0`."
    if not equals or not pattern:
        raise CoheteError(f"`{text[:60]}` is no rule", hint=hint)
    if pattern.startswith("re:"):
        try:
            re.compile(pattern[3:])
        except (re.error, OverflowError, RecursionError) as error:
            raise CoheteError(f"`{pattern[:60]}`: {error}", hint=hint) from None
    if word == "keep":
        return Rule(pattern, None)
    found = RULE_TYPES.get(word)
    if found is None:
        raise CoheteError(
            f"`{word[:20]}` is no type: {', '.join([*RULE_TYPES, 'keep'])}", hint=hint
        )
    return Rule(pattern, found)


RULE_TYPES = {
    kind.label: kind
    for kind in (
        TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q8_0,
        TensorType.Q6_K, TensorType.F16, TensorType.F32,
    )
}  # fmt: skip


def may_change(name: str, shape: Sequence[int]) -> bool:
    """Whether a tensor is quantized at all."""
    if sum(size > 1 for size in shape[1:]) == 0 or not name.endswith("weight"):
        return False
    if name in _KEPT:
        return False
    return not any(part in name for part in _KEPT_PARTS)


def type_of(
    name: str, shape: Sequence[int], now: TensorType, recipe: Recipe, about: About
) -> TensorType:
    """The type a tensor gets."""
    if not may_change(name, shape):
        return now
    ruled = next((rule for rule in recipe.rules if rule.fits(name)), None)
    if ruled is not None:
        return now if ruled.type is None else _that_fits(ruled.type, shape[0])
    if recipe.leave_output and name == OUTPUT:
        return now
    wanted = recipe.level.type
    if not wanted.is_quantized:
        return wanted
    if not recipe.pure:
        wanted = _mixed(name, shape[0], wanted, about)
    return _that_fits(wanted, shape[0])


def _mixed(name: str, columns: int, wanted: TensorType, about: About) -> TensorType:
    """llama.cpp's mixture for the five legacy levels, without an importance matrix."""
    if name == OUTPUT or (about.is_tied and name in _EMBEDDINGS):
        if about.architecture == "falcon" or columns % wanted.block:
            return TensorType.Q8_0
        return wanted if wanted is TensorType.Q8_0 else TensorType.Q6_K
    if name in _EMBEDDINGS:
        return wanted
    is_kv = _ATTENTION_K in name or any(part in name for part in _ATTENTION_V)
    return TensorType.Q8_0 if is_kv and about.experts == 8 else wanted


def _that_fits(wanted: TensorType, columns: int) -> TensorType:
    """The type, or what rows of this length allow instead."""
    if columns % wanted.block == 0:
        return wanted
    wanted = FALLBACKS.get(wanted, wanted)
    return wanted if columns % wanted.block == 0 else TensorType.F16


def unused(rules: Iterable[Rule], names: Iterable[str]) -> list[Rule]:
    """Rules that speak of no tensor: typing errors."""
    listed = list(names)
    return [rule for rule in rules if not any(rule.fits(name) for name in listed)]


def order(name: str) -> tuple[int, str]:
    """Where a tensor stands in a file: by layer, then by name."""
    match = re.match(r"blk\.(\d{1,6})\.", name)
    return (int(match[1]) if match else -1, name)
