"""A part of a recording as a file of its own, with addresses and names masked if asked. Blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cohete import tegra
from cohete.telemetry.recording import (
    EVENT,
    FACTS,
    GPU,
    LINE,
    STATE,
    DeviceEntry,
    Header,
    Record,
    RecordingFile,
    RecordingWriter,
)

BLOCK_MS = 2_000
KEYFRAME_MS = 60_000
MASKED = "masked"
_IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:%[\w.-]+)?(?![\w:])")
_KEY = re.compile(r"(?:SHA256|MD5):[A-Za-z0-9+/=:]+")
_LOGIN = re.compile(r"[\w.-]+@[\w.-]+")
_WORD_MIN = 3
"""Shorter words would mask half of every text."""

_PRIVATE_FACTS = ("hostname", "machine_id", "serial")


@dataclass(frozen=True, slots=True)
class Mask:
    """What is taken out: `words` wherever they stand, and with `names` the devices' ids too."""

    words: tuple[str, ...]
    ids: dict[str, str]

    @classmethod
    def of(cls, header: Header, private: Iterable[str] = (), *, names: bool) -> Mask:
        """What a header gives away, and further `private` words."""
        words = {word for word in private if len(word) >= _WORD_MIN}
        for device in header.devices:
            login, _, host = device.address.rpartition("@")
            words |= {part for part in (login, host.partition(":")[0], device.address) if part}
        ids = {d.id: f"device-{nth:03}" for nth, d in enumerate(header.devices, 1)} if names else {}
        kept = set() if names else {device.id for device in header.devices}
        return cls(tuple(sorted(words - kept, key=len, reverse=True)), ids)

    def text(self, text: str) -> str:
        """A text with nothing in it that should not leave the house."""
        for pattern in (_KEY, _LOGIN, _IPV4, _IPV6):
            text = pattern.sub(MASKED, text)
        for word in self.words:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", MASKED, text)
        for known, instead in self.ids.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(known)}(?![\w.-])", instead, text)
        return text

    def header(self, header: Header) -> Header:
        """The header without addresses."""
        devices = tuple(
            DeviceEntry(
                self.ids.get(d.id, d.id), MASKED, d.tags if not self.ids else (),
                d.site if not self.ids else None, d.interval_ms, d.memory_budget_mb,
            )
            for d in header.devices
        )  # fmt: skip
        return Header(header.fleet if not self.ids else MASKED, header.began_ms, devices)

    def record(self, record: Record) -> Record | None:
        """A record without them; None where it has to go, as a line that is no sample."""
        if record.kind == LINE:
            return record if _is_only_a_sample(record.data) else None
        if record.kind == GPU:
            return record
        try:
            found = json.loads(record.data)
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        clean = {
            key: self.text(value) if isinstance(value, str) else value
            for key, value in found.items()
        }
        if record.kind == STATE:
            clean["fingerprint"] = ""
        if record.kind == FACTS:
            clean.update(dict.fromkeys(_PRIVATE_FACTS, ""))
        return replace(record, data=json.dumps(clean))


def clip(source: Path, target: Path, from_ms: int, to_ms: int, mask: Mask | None = None) -> int:
    """Copy what happened between two moments; the bytes written. Raises RecordingError."""
    reader = RecordingFile(source)
    try:
        from_ms, to_ms = max(from_ms, reader.begin_ms), min(to_ms, reader.end_ms)
        header = replace(reader.header, began_ms=from_ms)
        writer = RecordingWriter(target, mask.header(header) if mask else header)
        try:
            begin = [replace(r, time_ms=from_ms) for r in reader.known_at(from_ms)]
            known = {(r.kind, r.device): r for r in begin if r.kind in (STATE, FACTS, GPU)}
            writer.keyframe(from_ms, _masked(known.values(), mask))
            keyed_ms = from_ms
            for first_ms in range(from_ms, to_ms, BLOCK_MS):
                last_ms = min(first_ms + BLOCK_MS, to_ms)
                records = list(reader.between(first_ms, last_ms))
                for record in records:
                    if record.kind not in (LINE, EVENT):
                        known[record.kind, record.device] = record
                if kept := _masked(records, mask):
                    writer.data(first_ms, last_ms, kept)
                if last_ms - keyed_ms >= KEYFRAME_MS:
                    keyed_ms = last_ms
                    now = [replace(record, time_ms=last_ms) for record in known.values()]
                    writer.keyframe(last_ms, _masked(now, mask))
        finally:
            writer.close()
        return writer.bytes_written
    finally:
        reader.close()


def mask_of(source: Path, *, names: bool) -> Mask:
    """What to mask in a recording. Raises RecordingError."""
    reader = RecordingFile(source)
    try:
        private: set[str] = set()
        for record in reader.rare():
            if record.kind == FACTS:
                private |= _private_words(record.data)
        return Mask.of(reader.header, private, names=names)
    finally:
        reader.close()


def _private_words(facts: str) -> set[str]:
    try:
        found = json.loads(facts)
    except ValueError:
        return set()
    if not isinstance(found, dict):
        return set()
    return {str(found[name]) for name in _PRIVATE_FACTS if found.get(name)}


def _masked(records: Iterable[Record], mask: Mask | None) -> list[Record]:
    if mask is None:
        return list(records)
    return [clean for record in records if (clean := mask.record(record)) is not None]


def _is_only_a_sample(line: str) -> bool:
    stats = tegra.parse(line)
    return stats is not None and stats.unknown_tokens == 0
