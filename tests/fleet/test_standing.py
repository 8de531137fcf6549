"""What was taken of boards outlives the program, and nothing else does."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cohete.fleet.standing import MAX_BYTES, Standing, Taken, taken_words

TAKEN = Taken("cam/1", "limit:x:0", "set the power mode 15W", "MAXN", 12.5)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(st.builds(Taken, TEXT, TEXT, TEXT, TEXT, st.floats(0, 1e9), TEXT), max_size=8))
def test_what_was_noted_is_read(notes: list[Taken]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        standing = Standing(Path(folder))
        for taken in notes:
            standing.write(taken)
        last = {(taken.device, taken.owner, taken.place): taken for taken in notes}
        assert sorted(map(repr, standing.read())) == sorted(map(repr, last.values()))
        for taken in notes:
            standing.remove(taken)
        assert standing.read() == []


def test_words() -> None:
    assert taken_words(TAKEN) == "set the power mode 15W (limit:x:0), before that MAXN"


def test_what_is_none_of_ours_is_no_note(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    assert standing.read() == []
    standing.write(TAKEN)
    (path,) = standing.folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    (standing.folder / "other.json").write_text(text)
    (standing.folder / "half.json").write_text(text[:20])
    (standing.folder / "big.json").write_text(" " * (MAX_BYTES + 1) + text)
    assert standing.read() == [TAKEN]


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "standing").write_text("in the way")
    told: list[str] = []
    standing = Standing(tmp_path, told.append)
    await standing.note(TAKEN)
    await standing.drop(TAKEN.device, TAKEN.owner)
    assert told
    assert all(text.startswith("what is taken of boards cannot be noted: ") for text in told)
    assert standing.read() == []


async def test_who_was_beneath_hands_on_what_was_before_it(tmp_path: Path) -> None:
    standing = Standing(tmp_path)
    standing.adopt([TAKEN])
    on_top = Taken("cam/1", "breaker:mode", "set the power mode 10W", "15W", 13.0)
    elsewhere = Taken("cam/2", "breaker:mode", "set the power mode 10W", "15W", 13.0)
    for taken in (on_top, elsewhere):
        await standing.note(taken)
    assert standing.owners("cam/1") == ("limit:x:0", "breaker:mode")
    await standing.hand_on("cam/1", "15w", "MAXN")
    await standing.hand_on("cam/1", "", "never")
    await standing.drop("cam/1", "limit:x:0")
    assert standing.before("cam/1", "breaker:mode", "") == "MAXN"
    assert standing.before("cam/1", "limit:x:0", "what is known") == "what is known"
    found = {taken.device: taken.before for taken in Standing(tmp_path).read()}
    assert found == {"cam/1": "MAXN", "cam/2": "15W"}
