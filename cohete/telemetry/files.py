"""History on disk: SQLite files by day and tier, written by one thread, oldest dropped first.

Tiers: raw chunks of a minute, points of a minute in chunks of an hour, points of ten minutes in
chunks of a day. A point of the last two carries mean, lowest (`NAME<`) and highest (`NAME>`).
Times are UTC milliseconds. Everything here blocks; callers bring a thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cohete.telemetry.chunk import Chunk
from cohete.telemetry.codec import CodecError, decode, encode
from cohete.telemetry.condense import condensed
from cohete.telemetry.past import Limits

T = TypeVar("T")

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunk (
    device TEXT NOT NULL, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, n INTEGER NOT NULL,
    blob BLOB NOT NULL, PRIMARY KEY (device, t0)
)
"""
_NAME = re.compile(r"(raw|minutes|tens)-(\d{8})\.db")


@dataclass(frozen=True, slots=True)
class NewChunk:
    """Samples of one device that are ready to be written."""

    device: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk as it was read: which tier it is of, and what it holds."""

    tier: str
    chunk: Chunk


class HistoryFiles:
    """A folder of history. Use it from one thread at a time.

    Trouble (a damaged file, a full disk) never raises from `add` and `sweep`: it is told once in
    `troubles`, and writing goes on as soon as it can.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self.troubles: list[str] = []
        self._told: set[str] = set()
        self._open: dict[Path, sqlite3.Connection] = {}

    def add(self, chunks: Sequence[NewChunk]) -> int:
        """Write raw chunks; how many were written."""
        by_day: dict[int, list[NewChunk]] = {}
        for new in chunks:
            if len(new.chunk):
                by_day.setdefault(int(new.chunk.at_ms[0]) // DAY_MS, []).append(new)
        return sum(self._insert("raw", day, part) for day, part in by_day.items())

    def roll_up(self, device: str, now_ms: int) -> None:
        """Make the hours and the days of one device that are over into their coarser tiers."""
        hour = now_ms // HOUR_MS
        first = (now_ms - int(self.limits.raw_s * 1000)) // HOUR_MS
        self._condense(device, "raw", "minutes", range(first, hour), HOUR_MS, MINUTE_MS)
        day = now_ms // DAY_MS
        first = (now_ms - int(self.limits.minutes_s * 1000)) // DAY_MS
        self._condense(device, "minutes", "tens", range(first, day), DAY_MS, 10 * MINUTE_MS)

    def read(
        self,
        device: str,
        from_ms: int,
        to_ms: int,
        tiers: Sequence[str] = ("raw", "minutes", "tens"),
        only: Iterable[str] | None = None,
        skip: Callable[[int, int], bool] = lambda first_ms, last_ms: False,
    ) -> Iterator[Stored]:
        """Chunks of a device that touch the range, tier by tier, each in the order of time.

        What `skip` says of a chunk's first and last time leaves it packed, and out.
        """
        wanted = (
            None if only is None else {f"{name}{end}" for name in only for end in ("", "<", ">")}
        )
        for tier in tiers:
            for day in _days(from_ms, to_ms):
                for first_ms, last_ms, blob in self._blobs(tier, day, device, from_ms, to_ms):
                    if skip(first_ms, last_ms):
                        continue
                    with contextlib.suppress(CodecError):
                        yield Stored(tier, decode(blob, wanted))

    def devices(self) -> list[str]:
        """Every device there is history of."""
        found: set[str] = set()
        for path in self._paths():
            found.update(self._guarded(path, _devices, []))
        return sorted(found)

    def sweep(self, now_ms: int) -> None:
        """Drop what is older than its tier allows, then the oldest until all of it fits."""
        open_before = set(self._open)
        self._sweep(now_ms)
        for path in set(self._open) - open_before:
            # Measuring opens every file; only those of today are written.
            self._release(path)

    def _sweep(self, now_ms: int) -> None:
        keep_s = {"raw": self.limits.raw_s, "minutes": self.limits.minutes_s,
                  "tens": self.limits.tens_s}  # fmt: skip
        for path in self._paths():
            tier, day = _parsed(path)
            if (day + 1) * DAY_MS < now_ms - keep_s[tier] * 1000:
                self._drop(path)
        for path in list(self._open):
            self._guarded(path, _checkpoint, None)
        total = self.size_bytes()
        for path in sorted(self._paths(), key=_dispensable):
            if total <= self.limits.max_bytes:
                return
            _, day = _parsed(path)
            if day < now_ms // DAY_MS:
                total -= _size(path)
                self._drop(path)
            else:
                while total > self.limits.max_bytes and (dropped := self._drop_oldest_hour(path)):
                    total -= dropped

    def size_bytes(self) -> int:
        """Bytes on disk, less what files hold in reserve."""
        return sum(_size(path) - self._unused(path) for path in self._paths())

    def is_short_of_room(self) -> bool:
        """Whether the disk has less left than the limits want free."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            usage = shutil.disk_usage(self.folder)
        except OSError:
            return False
        return usage.free < usage.total * self.limits.free_share

    def close(self) -> None:
        """Let go of every file."""
        for database in self._open.values():
            with contextlib.suppress(sqlite3.Error):
                database.close()
        self._open.clear()

    def _insert(self, tier: str, day: int, chunks: Sequence[NewChunk]) -> int:
        if self.is_short_of_room():
            self._tell("the disk is nearly full: no history is written until there is room")
            return 0
        path = self.folder / f"{tier}-{_date(day)}.db"
        rows = [
            (new.device, int(new.chunk.at_ms[0]), int(new.chunk.at_ms[-1]), len(new.chunk),
             encode(new.chunk))
            for new in chunks
        ]  # fmt: skip

        def insert(database: sqlite3.Connection) -> int:
            with database:
                database.executemany("INSERT OR REPLACE INTO chunk VALUES (?,?,?,?,?)", rows)
            self._told.clear()
            return len(rows)

        return self._guarded(path, insert, 0, create=True)

    def _condense(
        self, device: str, fine: str, coarse: str, units: range, unit_ms: int, step_ms: int
    ) -> None:
        """Points of `step_ms` for each hour or day that has chunks but no points yet."""
        begin_ms, end_ms = units.start * unit_ms, units.stop * unit_ms
        waiting = self._touched(fine, device, begin_ms, end_ms, unit_ms)
        for unit in sorted(waiting - self._touched(coarse, device, begin_ms, end_ms, unit_ms)):
            begin = unit * unit_ms
            stored = (part.chunk for part in self.read(device, begin, begin + unit_ms - 1, (fine,)))
            points = condensed(stored, begin, begin + unit_ms, step_ms)
            if len(points):
                self._insert(coarse, begin // DAY_MS, [NewChunk(device, points)])

    def _touched(self, tier: str, device: str, from_ms: int, to_ms: int, unit_ms: int) -> set[int]:
        """The units of time (counted since 1970) that chunks of a tier touch."""

        def select(database: sqlite3.Connection) -> set[int]:
            found = database.execute(
                "SELECT DISTINCT t0 / :unit, t1 / :unit FROM chunk"
                " WHERE device = :device AND t1 >= :from AND t0 < :to",
                {"unit": unit_ms, "device": device, "from": from_ms, "to": to_ms},
            )
            units = {unit for row in found for unit in row}
            return units & set(range(from_ms // unit_ms, to_ms // unit_ms))

        touched: set[int] = set()
        for day in _days(from_ms, to_ms):
            touched |= self._guarded(self.folder / f"{tier}-{_date(day)}.db", select, set())
        return touched

    def _blobs(
        self, tier: str, day: int, device: str, from_ms: int, to_ms: int
    ) -> list[tuple[int, int, bytes]]:
        def select(database: sqlite3.Connection) -> list[tuple[int, int, bytes]]:
            return database.execute(
                "SELECT t0, t1, blob FROM chunk"
                " WHERE device = ? AND t0 <= ? AND t1 >= ? ORDER BY t0",
                (device, to_ms, from_ms),
            ).fetchall()

        return self._guarded(self.folder / f"{tier}-{_date(day)}.db", select, [])

    def _guarded(
        self,
        path: Path,
        work: Callable[[sqlite3.Connection], T],
        otherwise: T,
        *,
        create: bool = False,
    ) -> T:
        """Work on a file; `otherwise` where there is none, or where there was trouble.

        A damaged file is set aside, other trouble is told.
        """
        try:
            database = self._database(path, create=create)
            return otherwise if database is None else work(database)
        except sqlite3.OperationalError as error:
            self._release(path)
            self._tell(f"history cannot be written for now: {error}")
        except sqlite3.DatabaseError:
            self._release(path)
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
                for end in ("-wal", "-shm"):
                    path.with_name(path.name + end).unlink(missing_ok=True)
            self._tell(f"{path.name} was damaged; it is set aside and history goes on without it")
        except OSError as error:
            self._release(path)
            reason = (error.strerror or "unknown reason").lower()
            self._tell(f"history cannot be written for now: {reason}")
        return otherwise

    def _database(self, path: Path, *, create: bool) -> sqlite3.Connection | None:
        known = self._open.get(path)
        if known is not None and path.exists():
            return known
        if known is not None:
            self._release(path)
        if not path.exists():
            if not create:
                return None
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        database = sqlite3.connect(path, timeout=5, check_same_thread=False)
        try:
            database.execute("PRAGMA page_size = 16384")
            # A quarter of what it takes by itself, in each of the files that are open.
            database.execute("PRAGMA cache_size = -512")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA wal_autocheckpoint = 64")
            database.execute(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        self._open[path] = database
        return database

    def _release(self, path: Path) -> None:
        database = self._open.pop(path, None)
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _drop(self, path: Path) -> None:
        self._release(path)
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                path.with_name(path.name + end).unlink(missing_ok=True)

    def _drop_oldest_hour(self, path: Path) -> int:
        """Make room in the file that is being written; its pages are used again."""
        before = self._unused(path)
        self._guarded(path, _forget_an_hour, None)
        return self._unused(path) - before

    def _unused(self, path: Path) -> int:
        return self._guarded(path, _free_bytes, 0)

    def _paths(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if _is_ours(path.name))
        except OSError:
            return []

    def _tell(self, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            self.troubles.append(trouble)


def _devices(database: sqlite3.Connection) -> list[str]:
    return [row[0] for row in database.execute("SELECT DISTINCT device FROM chunk")]


def _checkpoint(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _forget_an_hour(database: sqlite3.Connection) -> None:
    with database:
        oldest = database.execute("SELECT min(t0) FROM chunk").fetchone()[0]
        if oldest is not None:
            database.execute("DELETE FROM chunk WHERE t0 < ?", (oldest + HOUR_MS,))


def _free_bytes(database: sqlite3.Connection) -> int:
    pages = database.execute("PRAGMA freelist_count").fetchone()[0]
    size = database.execute("PRAGMA page_size").fetchone()[0]
    return int(pages) * int(size)


def _days(from_ms: int, to_ms: int) -> range:
    """Days whose files may tell of this range: a minute that begins before midnight ends after."""
    return range((from_ms - 2 * MINUTE_MS) // DAY_MS, to_ms // DAY_MS + 1)


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y%m%d")


def _is_ours(name: str) -> bool:
    match = _NAME.fullmatch(name)
    try:
        return match is not None and bool(datetime.strptime(match[2], "%Y%m%d"))  # noqa: DTZ007 - only whether it is a date
    except ValueError:
        return False


def _parsed(path: Path) -> tuple[str, int]:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    date = datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=UTC)
    return match[1], int(date.timestamp()) // 86_400


def _dispensable(path: Path) -> tuple[int, int]:
    """What goes first: raw before minutes before tens, the oldest of each."""
    tier, day = _parsed(path)
    return ("raw", "minutes", "tens").index(tier), day


def _size(path: Path) -> int:
    total = 0
    for end in ("", "-wal"):
        with contextlib.suppress(OSError):
            total += path.with_name(path.name + end).stat().st_size
    return total
