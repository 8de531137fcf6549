"""The change of perplexity on a text of one's own: here for small models, else by a tool."""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from cohete.errors import CoheteError
from cohete.quantize.gguf import GgufError, read_model
from cohete.quantize.lanes import NotFinite
from cohete.quantize.report import PerplexityChange

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
    words = "its weights are no numbers" if isinstance(error, NotFinite) else str(error)
    return f"it cannot be worked out: {words or type(error).__name__}"


def measured_change(source: Path, made: Path, words: str) -> PerplexityChange:
    """How much perplexity rose on a text, or why that cannot be told."""
    try:
        return _here(source, made, words)
    except FAILURES as error:
        why = why_not(error)
    tool = shutil.which(TOOL)
    if tool is None:
        return PerplexityChange(how="not measured", source=f"{why}; {TOOL} is not installed")
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


def _here(source: Path, made: Path, words: str) -> PerplexityChange:
    import numpy as np

    from cohete.quantize.forward import shape_here
    from cohete.quantize.perplexity import CONTEXT, measure
    from cohete.quantize.tokens import MAX_TEXT, tokenizer_of

    model = read_model(source)
    shape_here(model)
    tokens = np.array(tokenizer_of(model).encode(words[:MAX_TEXT]), np.int64)
    found = measure(source, made, tokens)
    if not math.isfinite(found.percent):
        raise ValueError("its predictions are no numbers")
    return PerplexityChange(
        how="measured",
        percent=found.percent,
        source=f"{found.tokens} tokens, context {CONTEXT}",
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
