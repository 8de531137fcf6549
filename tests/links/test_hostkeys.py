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


async def test_a_new_host_is_put_on_record_once_in_a_private_file(tmp_path: Path) -> None:
    own = tmp_path / "deep" / "known_hosts"
    keys = HostKeys(own)
    assert not (await keys.lookup("cam", 22)).named
    await keys.add_line(known_hosts_line("cam", 22, KEY))
    await keys.add_line(known_hosts_line("cam", 22, KEY))
    assert own.read_text() == known_hosts_line("cam", 22, KEY) + "\n"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    found = await keys.lookup("cam", 22)
    assert found.named
    assert found.trusted == [KEY]


async def test_a_port_of_its_own_is_a_host_of_its_own(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    await keys.add_line(known_hosts_line("cam", 2222, KEY))
    assert (await keys.lookup("cam", 2222)).named
    assert not (await keys.lookup("cam", 2223)).named
    assert not (await keys.lookup("cam", 22)).named


async def test_an_entry_without_a_port_vouches_but_does_not_accuse(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    await keys.add_line(known_hosts_line("cam", 22, KEY))
    found = await keys.lookup("cam", 2222)
    assert found.trusted == [KEY]
    assert not found.named


async def test_other_files_are_read_and_never_written(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(
        f"{known_hosts_line('cam', 22, KEY)}\n@revoked * {OTHER.export_public_key().decode()}"
    )
    before = users.read_bytes()
    keys = HostKeys(tmp_path / "own", [users, tmp_path / "missing"])
    found = await keys.lookup("cam", 22)
    assert found.named
    assert OTHER in found.revoked
    await keys.add_line(known_hosts_line("new", 22, KEY))
    assert users.read_bytes() == before


async def test_known_key_types_are_asked_for_without_sha1(tmp_path: Path) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048).convert_to_public()
    keys = HostKeys(tmp_path / "own")
    await keys.add_line(known_hosts_line("old", 22, rsa))
    algorithms = (await keys.lookup("old", 22)).algorithms(("ssh-ed25519",), ("cert",))
    assert "rsa-sha2-256" in algorithms
    assert "ssh-rsa" not in algorithms
    assert not {"ssh-ed25519", "cert"} & set(algorithms)


async def test_hashed_names_and_a_missing_newline(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("# comment")
    keys = HostKeys(own)
    await keys.add_line(known_hosts_line("cam", 22, KEY))
    assert own.read_text().splitlines()[0] == "# comment"
    assert (await keys.lookup("cam", 22)).named


async def test_an_unusable_file_is_never_ignored(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(ConfigError, match="known_hosts"):
        await HostKeys(own).lookup("cam", 22)


async def test_a_key_removed_by_hand_is_gone(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    await keys.add_line(known_hosts_line("cam", 22, KEY))
    assert (await keys.lookup("CAM", 22)).named
    (tmp_path / "own").write_text("")
    assert not (await keys.lookup("cam", 22)).named


async def test_a_key_of_an_address_does_not_vouch_for_a_name(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "own")
    await keys.add_line(known_hosts_line("10.0.0.7", 22, OTHER))
    await keys.add_line(known_hosts_line("board.local", 22, KEY))
    assert (await keys.lookup("board.local", 22)).trusted == [KEY]


async def test_a_bad_line_does_not_hide_the_good_ones(tmp_path: Path) -> None:
    (tmp_path / "own").write_text(f"nonsense\n{known_hosts_line('cam', 22, KEY)}\n@x y z\n")
    assert (await HostKeys(tmp_path / "own").lookup("cam", 22)).named


async def test_an_authority_does_not_make_a_plain_key_known(tmp_path: Path) -> None:
    authority = KEY.export_public_key().decode().strip()
    (tmp_path / "own").write_text(f"@cert-authority * {authority}\n")
    found = await HostKeys(tmp_path / "own").lookup("cam", 22)
    assert found.authorities == [KEY]
    assert not found.named
    assert found.algorithms(("plain",), ("cert",)) == ["cert", "plain"]


async def test_files_named_by_the_ssh_config_stand_in_for_the_usual_ones(tmp_path: Path) -> None:
    usual, named = tmp_path / "usual", tmp_path / "named"
    usual.write_text(known_hosts_line("cam", 22, KEY))
    named.write_text(known_hosts_line("cam", 22, OTHER))
    keys = HostKeys(tmp_path / "own", [usual])
    assert (await keys.lookup("cam", 22, [str(named)])).trusted == [OTHER]
    assert (await keys.lookup("cam", 22)).trusted == [KEY]
