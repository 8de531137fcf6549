"""The ssh program's argv for a person: strict host keys, nothing quoted into a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec, Reach
from cohete.config.target import Target
from cohete.errors import CoheteError
from cohete.links.shell import shell_argv
from cohete.links.ssh import SshFiles

FILES = SshFiles(Path("/c/config"), Path("/c d/known_hosts"), (Path("/h/known_hosts"),))


def test_a_plain_board() -> None:
    argv = shell_argv(DeviceSpec("a", Target("10.0.0.7")), Ssh(), FILES)
    assert argv == [
        "ssh", "-o", "StrictHostKeyChecking=yes",
        "-o", 'UserKnownHostsFile=/h/known_hosts "/c d/known_hosts"',
        "--", "10.0.0.7",
    ]  # fmt: skip


def test_everything_that_can_be_said() -> None:
    spec = DeviceSpec(
        "a",
        Target("fe80::1%eth0", "nvidia", 2222),
        identity_file="/k/id",
        jumps=(Target("gate", "me"), Target("fe80::2", None, 22)),
    )
    argv = shell_argv(spec, Ssh(config_file="/c/config"), FILES)
    assert argv[5:] == [
        "-F", "/c/config", "-i", "/k/id", "-J", "me@gate,[fe80::2]:22", "-p", "2222",
        "-l", "nvidia", "--", "fe80::1%eth0",
    ]  # fmt: skip


def test_this_machine_and_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    here = DeviceSpec("here", Target("localhost"), Reach.LOCAL)
    assert shell_argv(here, Ssh(), FILES) == ["/bin/zsh"]
    with pytest.raises(CoheteError, match="a recording has no shell"):
        shell_argv(DeviceSpec("log", Target("localhost"), Reach.REPLAY), Ssh(), FILES)
