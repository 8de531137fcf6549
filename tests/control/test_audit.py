"""The audit log: appended, kept over kills, turned over when it is full, read again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.control.audit import FILE, KEPT, AuditLog, read_audit
from cohete.control.change import Change, Step
from cohete.errors import AuditError


def change(device: str = "cam-01", argv: tuple[str, ...] = ("sudo", "-n", "x")) -> Change:
    return Change(device, "do it", "a", "b", steps=(Step("x", argv),))


def test_a_change_is_told_from_begin_to_end(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, ManualClock())
    number = log.begin(change())
    assert read_audit(tmp_path)[0].outcome == "unfinished"
    log.ran(number, "cam-01", "sudo -n x", 0, "")
    log.end(number, "cam-01", "done", "b", "")
    log.refused("cam-02", "do it too", "read-only")
    first, second = read_audit(tmp_path)
    assert (first.device, first.before, first.found, first.outcome) == ("cam-01", "a", "b", "done")
    assert first.commands == ("sudo -n x",)
    assert first.at.endswith("+00:00")
    assert "@" in first.who
    assert (second.outcome, second.words) == ("refused", "read-only")
    assert [entry.device for entry in read_audit(tmp_path, device="cam-02")] == ["cam-02"]
    assert len(read_audit(tmp_path, last=1)) == 1
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_nothing_hostile_or_secret_gets_in(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, ManualClock())
    number = log.begin(change())
    log.ran(number, "cam-01", "x --password=hunter2", 1, "\x1b[2Jtoken: abc\nfake line")
    text = (tmp_path / FILE).read_text()
    assert "hunter2" not in text
    assert "abc" not in text
    assert "\x1b" not in text
    for secret in ("--token s3cret", "Authorization: Bearer s3cret", "https://user:s3cret@host/x"):
        log.ran(number, "cam-01", f"curl {secret}", 0, "")
    assert "s3cret" not in (tmp_path / FILE).read_text()
    assert len(text.splitlines()) == 2


def test_it_turns_over_and_stays_bounded(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, ManualClock(), max_bytes=2_000)
    for nth in range(200):
        log.refused(f"b{nth}", "do it", "no")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE, *(f"{FILE}.{nth}" for nth in range(1, KEPT + 1))]
    assert all(path.stat().st_size < 2_500 for path in tmp_path.iterdir())
    devices = [entry.device for entry in read_audit(tmp_path)]
    assert devices[-1] == "b199"
    assert devices == [f"b{nth}" for nth in range(200 - len(devices), 200)]


def test_many_programs_write_whole_lines(tmp_path: Path) -> None:
    def write(nth: int) -> None:
        log = AuditLog(tmp_path, ManualClock(), max_bytes=5_000)
        for _ in range(25):
            log.refused(f"b{nth}", "do it", "no")

    threads = [threading.Thread(target=write, args=(nth,)) for nth in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert all(json.loads(line)["outcome"] == "refused" for line in lines)


def test_a_line_torn_by_a_kill_spoils_no_other(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, ManualClock())
    log.refused("b1", "do it", "no")
    with (tmp_path / FILE).open("a") as file:
        file.write('{"at": "2026-')
    log.refused("b2", "do it", "no")
    assert [entry.device for entry in read_audit(tmp_path)] == ["b1", "b2"]


def test_what_was_begun_is_there_after_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cohete.clock import SystemClock\n"
        "from cohete.control.audit import AuditLog\n"
        "from cohete.control.change import Change, Step\n"
        "log = AuditLog(Path(sys.argv[1]), SystemClock())\n"
        "log.begin(Change('b', 'do it', 'a', 'b', steps=(Step('x', ('x',)),)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [(e.device, e.outcome) for e in read_audit(tmp_path)] == [("b", "unfinished")]


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root writes everywhere; a folder that is a file stops even root.
        (tmp_path / "state").write_text("")
    else:
        (tmp_path / "state").mkdir(mode=0o500)
    log = AuditLog(tmp_path / "state", ManualClock())
    with pytest.raises(AuditError, match="cannot be written") as error:
        log.begin(change())
    assert "Nothing is changed without it" in error.value.hint


def test_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\n[]\n1\n{}\n" + b'{"change": 1}\n{"change": "x"}\n')
    (entry,) = read_audit(tmp_path)
    assert entry.outcome == "unfinished"
