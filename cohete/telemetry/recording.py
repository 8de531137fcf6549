"""A recording of a fleet in one file: raw lines and events, compressed in blocks, with an index.

    COHETE-RECORDING-1\\n   then blocks, each
    tag, bytes of rare, bytes of lines, crc32 of both, first and last ms (UTC), number of events

Tags: HEAD (rare is the header as JSON), KEYF (rare is everything known at that moment), DATA
(rare: states, facts and events since the block before; lines: what the devices printed) and INDX
(rare lists every block; the last eight bytes of the file say where it begins). Both parts are
deflated. Each record is a line of text: `kind device milliseconds data`. A file that was cut off
has no index: it is found again by walking over the block heads.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cohete.errors import CoheteError
from cohete.text import sanitise

MAGIC = b"COHETE-RECORDING-1\n"
_HEAD = struct.Struct("<4sIIIqqI")
_TAIL = struct.Struct("<Q")
HEADER, KEYFRAME, DATA, INDEX = b"HEAD", b"KEYF", b"DATA", b"INDX"
LINE, STATE, FACTS, EVENT, GPU = "L", "S", "F", "E", "G"
FLEET = -1
"""Stands for the device of an event that is about no device."""

MAX_PART = 256 * 1024 * 1024
LINES_BACK_MS = 10_000
"""How far back the last line of a device is looked for after a jump."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Record:
    """Something that was recorded; `data` is a raw line, or JSON text of a rare one."""

    kind: str
    device: int
    time_ms: int
    data: str


def in_order(record: Record) -> tuple[int, bool]:
    """The order records are told in, for sorting: by time, and in one millisecond lines first.

    A board that is lost right behind its last line stays lost.
    """
    return (record.time_ms, record.kind != LINE)


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """A device of a recording, as far as it is needed to show it."""

    id: str
    address: str = ""
    tags: tuple[str, ...] = ()
    site: str | None = None
    interval_ms: int = 1000
    memory_budget_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """Which devices, of which fleet, since when."""

    fleet: str
    began_ms: int
    devices: tuple[DeviceEntry, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block lies and what it spans."""

    tag: bytes
    offset: int
    rare_bytes: int
    line_bytes: int
    crc: int
    first_ms: int
    last_ms: int
    events: int


class RecordingError(CoheteError):
    """A file that is no recording, or one that cannot be read or written."""


class RecordingWriter:
    """Writes a recording block by block; what was written survives whatever happens after.

    Raises RecordingError. Blocks.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.bytes_written = 0
        self._blocks: list[Block] = []
        try:
            # It names boards, addresses and keys: only its owner reads it.
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            self._file: IO[bytes] = os.fdopen(descriptor, "wb")
            self._put(MAGIC)
        except FileExistsError:
            raise RecordingError(
                "there is a file of this name already", where=str(path), hint="Choose another name."
            ) from None
        except OSError as error:
            raise _trouble("write", path, error) from None
        self._block(HEADER, _header_text(header), "", header.began_ms, header.began_ms, 0)

    def keyframe(self, time_ms: int, records: Iterable[Record]) -> None:
        """Everything that is known of the fleet now."""
        self._block(KEYFRAME, _text(records), "", time_ms, time_ms, 0)

    def data(self, first_ms: int, last_ms: int, records: Sequence[Record]) -> None:
        """What happened between two moments, in its order."""
        rare = [record for record in records if record.kind != LINE]
        lines = [record for record in records if record.kind == LINE]
        events = sum(record.kind == EVENT for record in rare)
        self._block(DATA, _text(rare), _text(lines), first_ms, last_ms, events)

    def close(self) -> None:
        """Add the index and let go of the file."""
        if self._file.closed:
            return
        at = self.bytes_written
        rows: Json = [
            [b.tag.decode(), b.offset, b.rare_bytes, b.line_bytes, b.crc, b.first_ms, b.last_ms,
             b.events]
            for b in self._blocks
        ]  # fmt: skip
        try:
            self._block(INDEX, json.dumps(rows), "", 0, 0, 0)
            self._put(_TAIL.pack(at))
        finally:
            self._file.close()

    def _block(
        self, tag: bytes, rare: str, lines: str, first_ms: int, last_ms: int, events: int
    ) -> None:
        # Text that came from a device may hold half a surrogate; it is no reason to lose a block.
        parts = [zlib.compress(part.encode("utf-8", "replace")) for part in (rare, lines)]
        crc = zlib.crc32(parts[1], zlib.crc32(parts[0]))
        block = Block(
            tag, self.bytes_written, len(parts[0]), len(parts[1]), crc, first_ms, last_ms, events
        )
        head = _HEAD.pack(tag, block.rare_bytes, block.line_bytes, crc, first_ms, last_ms, events)
        try:
            self._put(head + parts[0] + parts[1])
        except OSError as error:
            raise _trouble("write", self.path, error) from None
        self._blocks.append(block)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        self.bytes_written += len(data)


class RecordingFile:
    """Reads a recording; damaged blocks are left out. Raises RecordingError. Blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise _trouble("read", path, error) from None
        try:
            blocks = self._found_blocks()
            self.header = _header_of(self._part(blocks[0], rare=True), path)
        except OSError as error:
            self._file.close()
            raise _trouble("read", path, error) from None
        except RecordingError:
            self._file.close()
            raise
        self.blocks = [block for block in blocks if block.tag in (KEYFRAME, DATA)]
        self._firsts = [block.first_ms for block in self.blocks]
        self.begin_ms = self.header.began_ms
        self.end_ms = max((block.last_ms for block in self.blocks), default=self.begin_ms)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _found_blocks(self) -> list[Block]:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise RecordingError("this is no recording", where=str(self.path))
        blocks = self._indexed() or list(self._walked())
        if not blocks or blocks[0].tag != HEADER:
            raise RecordingError("the recording has no beginning", where=str(self.path))
        return blocks

    def between(self, after_ms: int, to_ms: int, *, lines: bool = True) -> Iterator[Record]:
        """Records later than `after_ms` and not later than `to_ms`, in the order of time."""
        for block in self.blocks[max(0, bisect_right(self._firsts, after_ms) - 2) :]:
            if block.first_ms > to_ms:
                return
            if block.tag != DATA or block.last_ms <= after_ms:
                continue
            found = self._records(block, rare=True)
            if lines:
                found = sorted([*found, *self._records(block, rare=False)], key=in_order)
            yield from (record for record in found if after_ms < record.time_ms <= to_ms)

    def known_at(self, time_ms: int) -> list[Record]:
        """What has to be told to know everything at a moment: states, facts, and each device's
        last line."""
        keys = [b for b in self.blocks if b.tag == KEYFRAME and b.first_ms <= time_ms]
        told: list[Record] = list(self._records(keys[-1], rare=True)) if keys else []
        since = keys[-1].first_ms - 1 if keys else self.begin_ms - 1
        told += [r for r in self.between(since, time_ms, lines=False) if r.kind != EVENT]
        last: dict[int, Record] = {}
        for record in self.between(time_ms - LINES_BACK_MS, time_ms):
            if record.kind == LINE:
                last[record.device] = record
        # A line that came before its device was lost must not make it live again.
        return sorted([*told, *last.values()], key=in_order)

    def rare(self) -> Iterator[Record]:
        """Everything but lines, from the first to the last block."""
        for block in self.blocks:
            yield from self._records(block, rare=True)

    def events(self, to_ms: int) -> list[Record]:
        """Every event up to a moment."""
        found = (self._records(b, rare=True) for b in self.blocks if b.tag == DATA and b.events)
        return [r for part in found for r in part if r.kind == EVENT and r.time_ms <= to_ms]

    def event_after(self, time_ms: int) -> int | None:
        """When the next event happened."""
        for block in self.blocks:
            if block.tag == DATA and block.events and block.last_ms > time_ms:
                times = [r.time_ms for r in self._records(block, rare=True)
                         if r.kind == EVENT and r.time_ms > time_ms]  # fmt: skip
                if times:
                    return min(times)
        return None

    def _records(self, block: Block, *, rare: bool) -> list[Record]:
        return list(_parsed(self._part(block, rare=rare), len(self.header.devices)))

    def _part(self, block: Block, *, rare: bool) -> str:
        """One part of a block as text; empty where it is damaged."""
        self._file.seek(block.offset + _HEAD.size)
        first = self._file.read(block.rare_bytes)
        second = self._file.read(block.line_bytes)
        if zlib.crc32(second, zlib.crc32(first)) != block.crc:
            return ""
        try:
            inflate = zlib.decompressobj()
            return inflate.decompress(first if rare else second, MAX_PART).decode(
                "utf-8", "replace"
            )
        except zlib.error:
            return ""

    def _indexed(self) -> list[Block]:
        size = self._file.seek(0, 2)
        if size < _TAIL.size + _HEAD.size:
            return []
        self._file.seek(size - _TAIL.size)
        at = _TAIL.unpack(self._file.read(_TAIL.size))[0]
        block = self._head_at(at, size)
        if block is None or block.tag != INDEX:
            return []
        try:
            rows = json.loads(self._part(block, rare=True))
            return [Block(tag.encode(), *(int(n) for n in numbers)) for tag, *numbers in rows]
        except (ValueError, TypeError, AttributeError):
            return []

    def _walked(self) -> Iterator[Block]:
        size = self._file.seek(0, 2)
        at = len(MAGIC)
        while (block := self._head_at(at, size)) is not None:
            yield block
            at += _HEAD.size + block.rare_bytes + block.line_bytes

    def _head_at(self, at: int, size: int) -> Block | None:
        if at < len(MAGIC) or at + _HEAD.size > size:
            return None
        self._file.seek(at)
        tag, rare, lines, crc, first, last, events = _HEAD.unpack(self._file.read(_HEAD.size))
        if tag not in (HEADER, KEYFRAME, DATA, INDEX) or at + _HEAD.size + rare + lines > size:
            return None
        return Block(tag, at, rare, lines, crc, first, last, events)


def _text(records: Iterable[Record]) -> str:
    return "".join(f"{r.kind} {r.device} {r.time_ms} {r.data}\n" for r in records)


def _parsed(text: str, devices: int) -> Iterator[Record]:
    for line in text.split("\n"):
        parts = line.split(" ", 3)
        if len(parts) != 4:
            continue
        kind, device, time_ms, data = parts
        try:
            record = Record(kind, int(device), int(time_ms), data)
        except ValueError:
            continue
        if FLEET <= record.device < devices:
            yield record


def _header_text(header: Header) -> str:
    devices: list[Json] = [
        {"id": d.id, "address": d.address, "tags": [*d.tags], "site": d.site,
         "interval_ms": d.interval_ms, "memory_budget_mb": d.memory_budget_mb}
        for d in header.devices
    ]  # fmt: skip
    document: Json = {"fleet": header.fleet, "began_ms": header.began_ms, "devices": devices}
    return json.dumps(document)


def _header_of(text: str, path: Path) -> Header:
    try:
        document = json.loads(text)
        devices = tuple(_entry(found) for found in document["devices"])
        if len({entry.id for entry in devices}) < len(devices):
            raise ValueError("two devices of one name")
        return Header(_word(document["fleet"]), int(document["began_ms"]), devices)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordingError("the recording's beginning is damaged", where=str(path)) from None


def _entry(found: dict[str, Json]) -> DeviceEntry:
    """A device of the header; what a stranger wrote there is made safe to show."""
    tags, site, budget_mb = found["tags"], found["site"], found["memory_budget_mb"]
    return DeviceEntry(
        _word(found["id"]),
        _word(found["address"]),
        tuple(_word(tag) for tag in tags) if isinstance(tags, list) else (),
        None if site is None else _word(site),
        max(100, min(60_000, int(str(found["interval_ms"])))),
        None if budget_mb is None else int(str(budget_mb)),
    )


def _word(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return sanitise(value, 80)


def _trouble(what: str, path: Path, error: OSError) -> RecordingError:
    reason = (error.strerror or "unknown reason").lower()
    return RecordingError(f"cannot {what} the recording: {reason}", where=str(path))
