"""Known hosts: who is known, who is new, who has changed."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from cohete.errors import ConfigError
from cohete.links.hostkeys import HostKeys, known_hosts_line

pytestmark = pytest.mark.claim("DDC-10")
KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
OTHER = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def test_a_new_host_is_put_on_record_once_in_a_private_file(tmp_path: Path) -> None:
    own = tmp_path / "deep" / "known_hosts"
    keys = HostKeys(own)
    assert not keys.lookup("cam", "10.0.0.7", 22).named
    keys.add("cam", 22, KEY)
    keys.add("cam", 22, KEY)
    assert own.read_text() == known_hosts_line("cam", 22, KEY) + "\n"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    found = keys.lookup("cam", "10.0.0.7", 22)
    assert found.named
    assert found.trusted == [KEY]


def test_a_port_of_its_own_is_a_host_of_its_own(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    keys.add("cam", 2222, KEY)
    assert keys.lookup("cam", "", 2222).named
    assert not keys.lookup("cam", "", 2223).named
    assert not keys.lookup("cam", "", 22).named


def test_an_entry_without_a_port_vouches_but_does_not_accuse(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    keys.add("cam", 22, KEY)
    found = keys.lookup("cam", "", 2222)
    assert found.trusted == [KEY]
    assert not found.named


def test_other_files_are_read_and_never_written(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(
        f"{known_hosts_line('cam', 22, KEY)}\n@revoked * {OTHER.export_public_key().decode()}"
    )
    before = users.read_bytes()
    keys = HostKeys(tmp_path / "own", [users, tmp_path / "missing"])
    found = keys.lookup("cam", "", 22)
    assert found.named
    assert OTHER in found.revoked
    keys.add("new", 22, KEY)
    assert users.read_bytes() == before


def test_known_key_types_are_asked_for_without_sha1(tmp_path: Path) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048).convert_to_public()
    keys = HostKeys(tmp_path / "own")
    keys.add("old", 22, rsa)
    algorithms = keys.lookup("old", "", 22).algorithms()
    assert algorithms is not None
    assert "rsa-sha2-256" in algorithms
    assert "ssh-rsa" not in algorithms


def test_hashed_names_and_a_missing_newline(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("# comment")
    keys = HostKeys(own)
    keys.add("cam", 22, KEY)
    assert own.read_text().splitlines()[0] == "# comment"
    assert keys.lookup("cam", "", 22).named


def test_an_unusable_file_is_never_ignored(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ConfigError, match="known_hosts"):
        HostKeys(own).lookup("cam", "", 22)
