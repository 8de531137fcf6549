"""The change of perplexity on a text of one's own: here for small models, else by a tool."""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cohete.errors import CoheteError
from cohete.quantize.gguf import GgufError, read_model
from cohete.quantize.report import PerplexityChange

if TYPE_CHECKING:
    from cohete.quantize.perplexity import Tokens

TOOL = "llama-perplexity"
TOOL_LIMIT_S = 3600
_FINAL = re.compile(r"Final estimate: PPL = (\d{1,9}\.\d{1,9})")


FAILURES = (
    GgufError, ValueError, ArithmeticError, LookupError, MemoryError, struct.error,
)  # fmt: skip
"""Of a model that cannot be worked out here, perhaps because its header lies: it can be made all
the same."""


def why_not(error: BaseException) -> str:
    """One of FAILURES for a person."""
    if isinstance(error, GgufError):
        return error.what
    return f"it cannot be worked out: {error or type(error).__name__}"


def measured_change(
    source: Path, made: Path, words: str, *, second_half: bool = False
) -> PerplexityChange:
    """How much perplexity rose on a text, or why that cannot be told.

    `second_half`: of a text whose first half decided how the model was made.
    """
    try:
        return _here(source, made, words, second_half=second_half)
    except FAILURES as error:
        why = why_not(error)
    tool = shutil.which(TOOL)
    if tool is None:
        return PerplexityChange(how="not measured", source=f"{why}; {TOOL} is not installed")
    if second_half:
        words = words[len(words) // 2 :]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as text:
        text.write(words)
        text.flush()
        before, after = (_by_tool(tool, path, Path(text.name)) for path in (source, made))
    if not before or after is None:
        return PerplexityChange(how="not measured", source=f"{why}; {TOOL} gave no estimate")
    return PerplexityChange(
        how="measured", percent=100 * (after / before - 1), source=TOOL, before=before, after=after
    )


def text_of(path: Path) -> str:
    """A text to measure on. Raises CoheteError where it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CoheteError(f"it cannot be read as text: {error}", where=str(path)) from None


def tokens_of(source: Path, words: str) -> Tokens:
    """A text as the tokens of a model that can be worked out here. Raises one of FAILURES."""
    import numpy as np

    from cohete.quantize.perplexity import shape_here
    from cohete.quantize.tokens import MAX_TEXT, tokenizer_of

    model = read_model(source)
    shape_here(model)
    return np.array(tokenizer_of(model).encode(words[:MAX_TEXT]), np.int64)


def _here(source: Path, made: Path, words: str, *, second_half: bool) -> PerplexityChange:
    from cohete.quantize.perplexity import CONTEXT, measure

    tokens = tokens_of(source, words)
    found = measure(source, made, tokens[len(tokens) // 2 :] if second_half else tokens)
    if not math.isfinite(found.percent):
        raise ValueError("its predictions are no numbers")
    return PerplexityChange(
        how="measured",
        percent=found.percent,
        source=f"{found.tokens} tokens{' of the second half' * second_half}, context {CONTEXT}",
        before=found.base,
        after=found.found,
        divergence=found.divergence if math.isfinite(found.divergence) else None,
        tokens=found.tokens,
    )


def _by_tool(tool: str, model: Path, text: Path) -> float | None:
    argv = [tool, "-m", str(model), "-f", str(text), "-c", "512"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=TOOL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _FINAL.search((done.stdout + done.stderr).decode("utf-8", "replace"))
    return float(match[1]) if match else None
