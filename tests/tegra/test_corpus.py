"""Real captures: every token understood; doubtful ones never raise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cohete.tegra import parse

pytestmark = pytest.mark.claim("TM-01")

_SAMPLE = re.compile(r"RAM \d+/\d+MB")
_ZONE = re.compile(r"\b([A-Za-z]\w*)@(-?\d+(?:\.\d+)?)C\b")
_RAIL = re.compile(r"\b(\w+) (-?\d+)(?:mW)?/-?\d+(?:mW)?(?=[\s/]|$)")
_OFF = re.compile(r"\b(\w+) +off\b")


def real_lines(corpus: Path) -> list[tuple[str, str]]:
    return [
        (path.name, line)
        for path in sorted((corpus / "tegrastats").iterdir())
        for line in path.read_text("utf-8", "replace").splitlines()
        if line.strip()
    ]


def test_no_token_of_a_real_line_is_lost(corpus: Path) -> None:
    found = real_lines(corpus)
    assert len(found) > 100
    for name, line in found:
        stats = parse(line)
        if stats is None:
            assert not _SAMPLE.search(line), name
        else:
            assert stats.unknown_tokens == 0, (name, line)


def test_values_agree_with_a_second_reading(corpus: Path) -> None:
    """Zones, rails and powered-off engines by patterns that know nothing of our parser."""
    for name, line in real_lines(corpus):
        stats = parse(line)
        if stats is None:
            continue
        body = re.sub(r"\s+", " ", line[line.index("RAM ") :])
        expected = [(zone, float(value)) for zone, value in _ZONE.findall(body)]
        ours = [
            (zone.name.partition("#")[0], -256.0 if zone.celsius is None else zone.celsius)
            for zone in stats.zones
        ]
        assert ours == expected, name
        after_memory = re.sub(r"(RAM|SWAP|IRAM) \d+/\d+[kM]B", "", body)
        rails = [(rail, int(value)) for rail, value in _RAIL.findall(after_memory)]
        assert [(r.name.partition("#")[0], r.cur_mw) for r in stats.rails] == rails, name
        off = [engine for engine in _OFF.findall(body) if engine not in ("GR3D_FREQ", "EMC_FREQ")]
        assert [engine.name for engine in stats.engines if engine.off] == off, name


def test_doubtful_lines_never_raise(corpus: Path) -> None:
    count = 0
    for path in (corpus / "tegrastats_doubtful").iterdir():
        for line in path.read_bytes().splitlines():
            parse(line.decode("utf-8", "replace"))
            count += 1
    assert count > 20


def test_every_real_thor_without_a_load_is_unknown(corpus: Path) -> None:
    seen = 0
    for name, line in real_lines(corpus):
        stats = parse(line)
        if stats is not None and stats.ram_total_mb > 120_000 and "GR3D" in line:
            seen += 1
            assert stats.gpu_percent is None, name
    assert seen
