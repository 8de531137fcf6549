"""Lines a second, beside the parser of jetson-stats, on the same lines.

Twice: the lines as they are (boards repeat themselves, and our parser remembers tokens), and with
every number jittered, which is the worst case for what it remembers.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from cohete.tegra import parse
from tests import lines as written

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "tegrastats"
ROUNDS = 40


def real_lines() -> list[str]:
    if not CORPUS.is_dir():
        return list(written.ALL)
    texts = (path.read_text("utf-8", "replace") for path in sorted(CORPUS.iterdir()))
    return [line for text in texts for line in text.splitlines() if "RAM " in line]


def jittered(line: str, rng: random.Random) -> str:
    return re.sub(
        r"(\d+)(mW|%|\.\d+C)", lambda m: f"{max(0, int(m[1]) + rng.randint(0, 9))}{m[2]}", line
    )


def us_per_line(decode: Callable[[str], object], lines: list[str]) -> float:
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        for line in lines:
            decode(line)
        best = min(best, time.perf_counter() - begin)
    return best / len(lines) * 1e6


def peer() -> Callable[[str], object] | None:
    try:
        from jtop.core.tegrastats import Tegrastats
    except ImportError:
        return None
    decode = Tegrastats._decode
    return lambda line: decode(None, line)


def main() -> None:
    rng = random.Random(1)
    base = real_lines()
    same = base * ROUNDS
    changing = [jittered(line, rng) for _ in range(ROUNDS) for line in base]
    other = peer()
    for name, lines in (("as captured", same), ("every number jittered", changing)):
        ours = us_per_line(parse, lines)
        text = f"{name}: {ours:.1f} us a line (limit 25), {1e6 / ours:,.0f} lines/s"
        if other is not None:
            theirs = us_per_line(other, lines)
            text += f"; jetson-stats {theirs:.1f} us; ratio {theirs / ours:.1f} (at least 3)"
        print(text)
