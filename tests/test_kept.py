"""What is kept is whole whenever it is read, and nobody else's to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cohete.kept import keep


def test_all_of_it_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state" / "boards" / "a.json"
    keep(path, "one ⚙")
    assert path.read_text(encoding="utf-8") == "one ⚙"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    # A part of an earlier run, for everybody to read; and a disk that is full at the last moment.
    part = path.with_name("a.json.part")
    part.write_text("left")
    part.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            keep(path, "two")
    assert path.read_text(encoding="utf-8") == "one ⚙"
    keep(path, "three")
    assert path.read_text(encoding="utf-8") == "three"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]
