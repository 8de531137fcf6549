"""Command lines are there again the next time."""

from __future__ import annotations

from pathlib import Path

from cohete_tui.typed import MOST, TypedLines


async def test_each_line_once_the_newest_last_and_again_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "state" / "typed"
    lines = TypedLines(path)
    assert await lines.read() == []
    for line in ("sort temp", "view wide", "sort temp"):
        await lines.add(line)
    assert await lines.read() == ["view wide", "sort temp"]
    assert await TypedLines(path).read() == ["view wide", "sort temp"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    for nth in range(MOST + 5):
        await lines.add(f"rate {nth}")
    assert len(await TypedLines(path).read()) == MOST


async def test_without_a_file_it_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a\n\x1b[2J\n\nb")
    nowhere = TypedLines(blocked / "typed")
    await nowhere.add("x")
    assert await nowhere.read() == ["x"]
    assert await TypedLines(blocked).read() == ["a", "b"]
    memory = TypedLines(None)
    await memory.add("y")
    assert await memory.read() == ["y"]
