"""For any line the parser answers, quickly, and what it answers makes sense."""

from __future__ import annotations

import json
import math
import time

from hypothesis import example, given
from hypothesis import strategies as st

from cohete.tegra import parse
from cohete.tegra.export import as_dict
from tests import lines

_names = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.-]{0,31}\Z").filter(
    lambda name: name not in ("RAM", "SWAP", "IRAM", "CPU", "cpu", "MTS", "EDP")
)
_mangled = st.lists(
    st.one_of(
        st.sampled_from([word for line in lines.ALL for word in line.split()]),
        st.text(max_size=12),
        st.sampled_from(["RAM 1/2MB", "1e400", "nan%", "-0mW/-0mW", "9" * 400, "@[", "C", "@C"]),
    ),
    max_size=40,
).map(" ".join)


@given(st.one_of(st.text(max_size=400), _mangled))
@example("RAM 1/2MB CPU [" + "9" * 5000 + "]")
@example("RAM \u0661/\u0662MB GR3D_FREQ \u0663%")
def test_nothing_a_line_contains_may_raise(line: str) -> None:
    stats = parse(line)
    if stats is not None:
        text = json.dumps(as_dict(stats), allow_nan=False)
        assert json.loads(text)["ram_used_mb"] == stats.ram_used_mb
        hottest = stats.hottest
        assert hottest is None or (hottest.celsius is not None and math.isfinite(hottest.celsius))


@given(st.binary(max_size=400))
def test_any_bytes_may_come(raw: bytes) -> None:
    parse("RAM 5/10MB " + raw.decode("utf-8", "replace"))


@given(
    st.lists(st.tuples(_names, st.integers(-99_999, 99_999), st.integers(0, 99_999)), max_size=12),
    st.lists(st.tuples(_names, st.integers(-99, 150)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_what_is_written_is_read_in_any_order(
    rails: list[tuple[str, int, int]], zones: list[tuple[str, int]], rng: object
) -> None:
    parts = [f"{name} {cur}mW/{avg}mW" for name, cur, avg in rails]
    parts += [f"{name}@{celsius}C" for name, celsius in zones]
    rng.shuffle(parts)  # type: ignore[attr-defined]
    stats = parse("RAM 5/10MB " + " ".join(parts))
    assert stats is not None
    assert stats.unknown_tokens == 0
    assert sorted((r.name.partition("#")[0], r.cur_mw, r.avg_mw) for r in stats.rails) == sorted(
        rails
    )
    assert sorted((z.name.partition("#")[0], z.celsius) for z in stats.zones) == sorted(zones)
    assert len({rail.name for rail in stats.rails}) == len(rails)


def test_a_hostile_line_costs_little() -> None:
    """16 KiB of anything stays far from the interval between two samples."""
    nasty = ("RAM 1/2MB " + "A" * 31 + "@" + "-" * 31 + " ") * 400
    begin = time.process_time()
    for _ in range(5):
        parse(nasty)
    assert (time.process_time() - begin) / 5 < 0.25
