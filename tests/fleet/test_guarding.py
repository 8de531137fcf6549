"""One program guards a board: while it lives, and no longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cohete.claim import DeviceClaims
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.fleet.guarding import GuardGate

OTHER = """
import sys
from pathlib import Path
from cohete.claim import DeviceClaims
claims = DeviceClaims(Path(sys.argv[1]))
print(*[claims.take(name) for name in sys.argv[2:]], flush=True)
sys.stdin.read()
"""


def other(path: Path, *names: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path), *names], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def test_the_first_guards_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "state" / "guards.lock"
    first = other(path, "a", "b")
    assert first.stdout is not None
    assert first.stdout.readline() == b"True True\n"
    claims = DeviceClaims(path)
    gate = GuardGate(claims=claims)
    a, c = (DeviceSpec(name, Target("10.0.0.1")) for name in ("a", "c"))
    assert gate.refusal(a) == "another Cohete on this computer guards it"
    assert gate.refusal(c) == ""
    # Killed: the next one may.
    first.kill()
    first.communicate()
    assert gate.refusal(a) == ""
    second = other(path, "a", "b", "c")
    assert second.stdout is not None
    assert second.stdout.readline() == b"False True False\n"
    claims.drop()
    third = other(path, "a", "b", "c")
    assert third.stdout is not None
    assert third.stdout.readline() == b"True False True\n"
    for process in (second, third):
        process.kill()
        process.communicate()


def test_who_only_reads_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    path = tmp_path / "guards.lock"
    gate = GuardGate(read_only=True, claims=DeviceClaims(path))
    assert gate.refusal(DeviceSpec("a", Target("10.0.0.1"))) == "Cohete runs read-only"
    assert not path.exists()


def test_a_folder_that_cannot_be_written_guards_nobody_less(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    assert DeviceClaims(tmp_path / "x" / "guards.lock").take("a")
