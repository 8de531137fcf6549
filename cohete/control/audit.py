"""The audit log: one JSON line for each thing that was done to a device, appended, never changed.

A change leaves a line before its first command (`begin`), one for each command (`run`) and one
when it is over (`end`); a program that is killed leaves a change that has no end, and is shown so.
Fields: at (UTC), change, phase, who, device, intent, before, after, commands, command, status,
said, outcome, found, words.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cohete.clock import Clock
from cohete.control.change import Change
from cohete.errors import AuditError
from cohete.text import sanitise

FILE = "audit.jsonl"
MAX_BYTES = 4_194_304
KEPT = 5
"""Files beside the one that is written: audit.jsonl.1 is the newest of them."""

_SECRET = re.compile(
    r"(?i)((?:password|passwd|pwd|token|secret|api[_-]?key)(?:\s*[=:]\s*|\s+)"
    r"|bearer\s+|basic\s+|://[^\s/:@]{1,64}:)[^\s@]+"
)
_TEXT_LIMIT = 2_000
_Field = str | int | list[str] | None


def default_folder() -> Path:
    """Where the log is kept: the user's state folder."""
    from platformdirs import user_state_path

    return user_state_path("cohete")


def who() -> str:
    """Who acts: login name and host."""
    with contextlib.suppress(OSError, KeyError):
        return sanitise(f"{getpass.getuser()}@{socket.gethostname()}", 120)
    return f"uid {os.getuid()}"


class AuditLog:
    """Appends lines; each is on the disk before the call returns. Blocking: use a thread."""

    def __init__(self, folder: Path, clock: Clock, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._who = who()
        self._max_bytes = max_bytes

    def begin(self, change: Change) -> str:
        """A change is about to run; the id of its further lines. Raises AuditError."""
        number = secrets.token_hex(6)
        self._write(
            number, "begin", change.device, intent=change.intent, before=change.before,
            after=change.after, commands=list(change.lines),
        )  # fmt: skip
        return number

    def ran(self, number: str, device: str, command: str, status: int | None, said: str) -> None:
        """A command of it has run."""
        self._write(number, "run", device, command=command, status=status, said=said)

    def end(self, number: str, device: str, outcome: str, found: str, words: str) -> None:
        """It is over."""
        self._write(number, "end", device, outcome=outcome, found=found, words=words)

    def refused(self, device: str, intent: str, words: str) -> None:
        """Somebody wanted what must not be; nothing was run."""
        self._write(
            secrets.token_hex(6), "end", device, intent=intent, outcome="refused", words=words
        )

    def _write(self, number: str, phase: str, device: str, **fields: _Field) -> None:
        at = datetime.fromtimestamp(self._clock.time(), UTC).isoformat(timespec="milliseconds")
        record: dict[str, _Field] = {"at": at, "change": number, "phase": phase}
        record |= {"who": self._who, "device": device}
        record |= {name: _clean(value) for name, value in fields.items()}
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked() as file:
                self._append(file, line)
        except OSError as error:
            raise AuditError(
                f"the audit log cannot be written: {error.strerror}",
                where=str(self.path),
                hint="Nothing is changed without it: make room, or make the folder writable.",
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, ours alone for one line; a new one where the old one is full."""
        with contextlib.ExitStack() as stack:
            while True:
                file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                stack.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX)
                try:
                    same = os.path.samestat(os.fstat(file), self.path.stat())
                except FileNotFoundError:
                    same = False
                if not same:
                    continue
                if os.fstat(file).st_size < self._max_bytes:
                    break
                self._rotate()
            yield file

    def _rotate(self) -> None:
        for nth in range(KEPT, 0, -1):
            older = self.path.with_name(f"{FILE}.{nth}")
            newer = self.path.with_name(f"{FILE}.{nth - 1}") if nth > 1 else self.path
            if newer.exists():
                newer.replace(older)

    @staticmethod
    def _append(file: int, line: bytes) -> None:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            # Somebody was killed in the middle of a line; the next one stays readable.
            line = b"\n" + line
        while line:
            line = line[os.write(file, line) :]
        os.fsync(file)


def _clean(value: _Field) -> _Field:
    if isinstance(value, list):
        return [_text(part) for part in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return _SECRET.sub(r"\1***", sanitise(value, _TEXT_LIMIT))


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change as the log tells it; `outcome` is `unfinished` where it has no end."""

    at: str
    who: str
    device: str
    intent: str
    before: str
    after: str
    commands: tuple[str, ...]
    outcome: str
    found: str
    words: str
    change: str


UNFINISHED = "unfinished"


def read_audit(folder: Path, *, device: str = "", last: int | None = None) -> list[AuditEntry]:
    """Changes, oldest first; lines that are none are passed over. Raises AuditError."""
    changes: dict[str, dict[str, object]] = {}
    files = [folder / f"{FILE}.{nth}" for nth in range(KEPT, 0, -1)] + [folder / FILE]
    for path in files:
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    _take(line, changes)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise AuditError(
                f"the audit log cannot be read: {error.strerror}", where=str(path)
            ) from None
    entries = [_entry(number, fields) for number, fields in changes.items()]
    if device:
        entries = [entry for entry in entries if entry.device == device]
    return entries if last is None else entries[-last:] if last else []


def _take(line: str, changes: dict[str, dict[str, object]]) -> None:
    try:
        record = json.loads(line)
    except ValueError:
        return
    if not isinstance(record, dict) or not isinstance(number := record.get("change"), str):
        return
    known = changes.setdefault(number, {})
    if record.get("phase") == "run":
        ran = known.setdefault("ran", [])
        if isinstance(ran, list):
            ran.append(record.get("command"))
        return
    first = {"at": known["at"]} if "at" in known else {}
    known.update(record | first)


def _entry(number: str, fields: dict[str, object]) -> AuditEntry:
    def text(name: str) -> str:
        value = fields.get(name)
        return sanitise(value, _TEXT_LIMIT) if isinstance(value, str) else ""

    ran = fields.get("ran", ())
    commands = tuple(
        sanitise(part, _TEXT_LIMIT)
        for part in (ran if isinstance(ran, list) else ())
        if isinstance(part, str)
    )
    return AuditEntry(
        text("at"), text("who"), text("device"), text("intent"), text("before"), text("after"),
        commands, text("outcome") or UNFINISHED, text("found"), text("words"), number,
    )  # fmt: skip
