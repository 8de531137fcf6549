"""A short form of `benchmarks.chaos`: keys on a fleet on which something always breaks."""

from __future__ import annotations

from benchmarks.chaos import chaos


def test_it_goes_on_and_does_not_grow() -> None:
    found = chaos(minutes=0.2, count=12, settle_s=4, keys_per_s=3, fill_minutes=0)
    assert found.keys > 10
    # The first screens, charts and history are loaded meanwhile; a leak of a screen a key is more.
    assert found.most_mb - found.first_mb < 60
