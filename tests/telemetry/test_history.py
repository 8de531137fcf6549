"""History on disk: exact, small, bounded, and alive after damage, a full disk and kill -9."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cohete.telemetry import condense
from cohete.telemetry.chunk import Chunk
from cohete.telemetry.files import DAY_MS, HOUR_MS, MINUTE_MS, HistoryFiles, NewChunk
from cohete.telemetry.past import Limits
from cohete.telemetry.query import past
from tests.history import closed_history  # noqa: F401 - a fixture

NOON_MS = 20_700 * DAY_MS + 12 * HOUR_MS


def minute(begin_ms: int, seed: int = 0, columns: int = 3) -> Chunk:
    rng = random.Random(seed)
    return Chunk.of(
        [begin_ms + second * 1000 for second in range(60)],
        {f"c{nth}": [1000 * nth + rng.randrange(50) for _ in range(60)] for nth in range(columns)},
    )


def fill(files: HistoryFiles, device: str, begin_ms: int, minutes: int) -> list[Chunk]:
    chunks = [minute(begin_ms + nth * MINUTE_MS, nth) for nth in range(minutes)]
    files.add([NewChunk(device, chunk) for chunk in chunks])
    return chunks


@pytest.mark.claim("TM-15")
def test_what_was_written_is_read_by_device_and_range(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    begin = NOON_MS + 12 * HOUR_MS
    written = fill(files, "a", begin - 30 * MINUTE_MS, 60)
    fill(files, "b", begin, 5)
    found = past(files, "a", begin - 30 * MINUTE_MS, begin + 30 * MINUTE_MS, 1000)
    assert found.times_ms == [at for chunk in written for at in chunk.times_ms]
    for name in ("c0", "c1", "c2"):
        exact = [value for chunk in written for value in chunk.columns[name]]
        assert found.means[name] == found.lows[name] == found.highs[name] == exact
    part = past(files, "a", begin, begin + 90_000, 1000, ["c1"])
    assert len(part.times_ms) == 90
    assert set(part.means) == {"c1"}
    assert files.devices() == ["a", "b"]
    assert past(files, "nobody", begin, begin + HOUR_MS, 1000).times_ms == []
    assert {path.name for path in tmp_path.glob("*.db")} == {"raw-20260904.db", "raw-20260905.db"}
    files.close()


def test_coarser_tiers_say_mean_lowest_and_highest(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    day = NOON_MS // DAY_MS * DAY_MS
    written = fill(files, "a", day + HOUR_MS, 120)
    files.roll_up("a", day + DAY_MS + HOUR_MS)
    values = [chunk.columns["c1"] for chunk in written]
    by_minute = past(files, "a", day, day + DAY_MS, MINUTE_MS)
    assert by_minute.times_ms == [chunk.times_ms[0] for chunk in written]
    assert by_minute.highs["c1"] == [max(v for v in part if v is not None) for part in values]
    for path in tmp_path.glob("raw-*"):
        path.unlink()
    again = HistoryFiles(tmp_path)
    assert past(again, "a", day, day + DAY_MS, 1000) == by_minute
    by_ten = past(again, "a", day, day + DAY_MS, 10 * MINUTE_MS)
    assert len(by_ten.times_ms) == 12
    first = [v for part in values[:10] for v in part if v is not None]
    assert by_ten.lows["c1"][0] == min(first)
    assert by_ten.highs["c1"][0] == max(first)
    mean = by_ten.means["c1"][0]
    assert mean is not None
    assert abs(mean - sum(first) / len(first)) <= 1


def test_tiers_fill_each_other_without_telling_anything_twice(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    day = NOON_MS // DAY_MS * DAY_MS
    fill(files, "a", day, 180)
    files.roll_up("a", day + 2 * HOUR_MS)
    for step_ms in (1000, MINUTE_MS):
        found = past(files, "a", day, day + 3 * HOUR_MS, step_ms)
        assert found.times_ms == list(range(day, day + 3 * HOUR_MS, step_ms))


@pytest.mark.claim("TM-15")
def test_a_day_of_samples_is_small_and_bounded(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path, Limits(max_bytes=700_000))
    begin = NOON_MS
    rng = random.Random(3)
    walk = [40_000 + 250 * nth for nth in range(22)]
    for nth in range(24 * 60):
        columns: dict[str, list[int | None]] = {f"zone_mc.z{n}": [] for n in range(22)}
        for _ in range(60):
            for n in range(22):
                walk[n] += rng.choice((0, 0, 0, 31, -31, 62, -62))
                columns[f"zone_mc.z{n}"].append(walk[n])
        times = [begin + nth * MINUTE_MS + second * 1000 for second in range(60)]
        files.add([NewChunk("a", Chunk.of(times, columns))])
        if nth == 240:
            assert files.size_bytes() / (240 * 60) <= 25
        if nth % 60 == 59:
            files.sweep(times[-1])
            assert files.size_bytes() <= 700_000
    newest = past(files, "a", begin + 23 * HOUR_MS, begin + DAY_MS, 1000)
    assert len(newest.times_ms) == 3600
    oldest = past(files, "a", begin, begin + HOUR_MS, 1000)
    assert oldest.times_ms == []


def test_what_is_too_old_goes_by_its_tier(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    day = NOON_MS // DAY_MS * DAY_MS
    fill(files, "a", day + 2 * HOUR_MS, 60)
    files.roll_up("a", day + DAY_MS + HOUR_MS)
    names = {path.name.partition("-")[0] for path in tmp_path.glob("*.db")}
    assert names == {"raw", "minutes", "tens"}
    for days, left in ((1.9, {"raw", "minutes", "tens"}), (3, {"minutes", "tens"}),
                       (9, {"tens"}), (92, set())):  # fmt: skip
        files.sweep(day + int(days * DAY_MS))
        assert {path.name.partition("-")[0] for path in tmp_path.glob("*.db")} == left


def test_a_damaged_file_is_set_aside_and_said_once(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    fill(files, "a", NOON_MS, 3)
    files.close()
    [path] = tmp_path.glob("raw-*.db")
    for extra in tmp_path.glob("*-wal"):
        extra.unlink()
    path.write_bytes(b"this was a database once" * 900)
    again = HistoryFiles(tmp_path)
    fill(again, "a", NOON_MS + HOUR_MS, 1)
    assert len(again.troubles) == 1
    assert "was damaged; it is set aside" in again.troubles[0]
    assert path.with_suffix(".damaged").exists()
    fill(again, "a", NOON_MS + HOUR_MS, 2)
    assert len(past(again, "a", NOON_MS, NOON_MS + 2 * HOUR_MS, 1000).times_ms) == 120


def test_a_sweep_leaves_no_file_open_and_minds_no_stranger(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    for day in range(5):
        fill(files, "a", NOON_MS - day * DAY_MS, 1)
    files.close()
    (tmp_path / "raw-20250231.db").write_text("no day has this name")
    again = HistoryFiles(tmp_path, Limits(raw_s=30 * 86_400))
    fill(again, "a", NOON_MS + HOUR_MS, 1)
    again.sweep(NOON_MS + 2 * HOUR_MS)
    assert len(again._open) == 1
    assert again.devices() == ["a"]


def test_a_blob_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path)
    fill(files, "a", NOON_MS, 3)
    [path] = tmp_path.glob("raw-*.db")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE chunk SET blob = x'01ff' WHERE t0 = ?", (NOON_MS + MINUTE_MS,))
    assert len(past(files, "a", NOON_MS, NOON_MS + HOUR_MS, 1000).times_ms) == 120


def test_a_full_disk_is_said_and_writing_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = HistoryFiles(tmp_path)
    fill(files, "a", NOON_MS, 1)
    [path] = tmp_path.glob("raw-*.db")
    database = files._database(path, create=False)
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    chunk = minute(NOON_MS + HOUR_MS, columns=400)
    for _ in range(3):
        assert files.add([NewChunk("a", chunk)]) == 0
        database = files._database(path, create=False)
        assert database is not None
        database.execute(f"PRAGMA max_page_count = {pages}")
    assert files.troubles == ["history cannot be written for now: database or disk is full"]
    database.execute("PRAGMA max_page_count = 100000")
    assert files.add([NewChunk("a", chunk)]) == 1
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=usage.total // 100))
    assert files.add([NewChunk("a", chunk)]) == 0
    assert "nearly full" in files.troubles[-1]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    files = HistoryFiles(blocked / "history")
    assert files.add([NewChunk("a", minute(NOON_MS))]) == 0
    assert files.troubles[0].startswith("history cannot be written for now: ")


@pytest.mark.claim("TM-15")
def test_kill_9_while_writing_leaves_whole_chunks(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.telemetry.test_history import *\n"
        "files = HistoryFiles(Path(sys.argv[1]))\n"
        "for nth in range(100_000):\n"
        "    begin = NOON_MS + nth * MINUTE_MS\n"
        "    files.add([NewChunk(f'd{n}', minute(begin, n)) for n in range(9)])\n"
        "    print(nth, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = 0
    while last < 25:
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    files = HistoryFiles(tmp_path)
    for n in range(9):
        found = past(files, f"d{n}", NOON_MS, NOON_MS + DAY_MS, 1000)
        assert len(found.times_ms) >= (last + 1) * 60
        assert len(found.times_ms) % 60 == 0
    assert not files.troubles


def test_points_are_the_same_however_many_samples_are_taken_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(5)
    chunks = []
    for nth in range(12):
        times = sorted(rng.sample(range(nth * 50_000, nth * 50_000 + 60_000), 40))
        columns = {
            f"c{column}": [rng.choice((None, rng.randrange(100), -7)) for _ in times]
            for column in range(1 + nth % 3)
        }
        chunks.append(Chunk.of(times, columns))
    found = []
    for at_once in (1, 70, 1_000_000):
        monkeypatch.setattr(condense, "AT_ONCE", at_once)
        points = condense.condensed(iter(chunks), 20_000, 500_000, 7_000)
        found.append((points.times_ms, points.columns))
    assert found[0] == found[1] == found[2]
    times_ms, means = found[0]
    lows = means["c0<"]
    within = [
        value
        for chunk in chunks
        for at_ms, value in zip(chunk.times_ms, chunk.columns["c0"], strict=True)
        if 21_000 <= at_ms < 28_000 and value is not None
    ]
    assert lows[times_ms.index(21_000)] == min(within)
    assert means["c0"][times_ms.index(21_000)] == round(sum(within) / len(within))
