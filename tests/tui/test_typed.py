"""Command lines are there again the next time."""

from __future__ import annotations

from pathlib import Path

from cohete_tui.typed import MOST, TypedLines


async def read_again(path: Path) -> list[str]:
    found = TypedLines(path)
    await found.read()
    return found.lines


async def test_each_line_once_the_newest_last_and_again_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "state" / "typed"
    lines = TypedLines(path)
    await lines.read()
    assert lines.lines == []
    for line in ("sort temp", "view wide", "sort temp"):
        await lines.add(line)
    assert lines.lines == ["view wide", "sort temp"]
    assert await read_again(path) == lines.lines
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    for nth in range(MOST + 5):
        await lines.add(f"rate {nth}")
    assert len(await read_again(path)) == MOST


async def test_without_a_file_it_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a\n\x1b[2J\n\nb")
    nowhere = TypedLines(blocked / "typed")
    await nowhere.add("x")
    assert nowhere.lines == ["x"]
    assert await read_again(blocked) == ["a", "b"]
    memory = TypedLines(None)
    await memory.add("y")
    assert memory.lines == ["y"]
