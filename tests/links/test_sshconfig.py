"""What the user's ssh configuration says; and that it runs nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from cohete.config.target import Target
from cohete.errors import ConfigError
from cohete.links.sshconfig import resolve

pytestmark = pytest.mark.claim("DDC-14")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_the_target_is_all_there_is(tmp_path: Path) -> None:
    resolved = resolve(Target("10.0.0.7", "nvidia", 2222), tmp_path / "none")
    assert (resolved.host, resolved.user, resolved.port) == ("10.0.0.7", "nvidia", 2222)
    assert resolve(Target("h"), None).port == 22
    assert resolve(Target("h"), None).user


def test_host_blocks_include_and_tokens(tmp_path: Path) -> None:
    write(tmp_path / "extra.conf", "Host cam\n  Port 2200\n")
    config = write(
        tmp_path / "config",
        f"""
Include {tmp_path}/extra.conf
Host cam
  HostName %h.lab.example
  User robot
  IdentityFile ~/.ssh/%r_key
  IdentitiesOnly yes
  HostKeyAlias cam-key
  ProxyJump ops@bastion:2222,gate
Host * !cam
  User everybody
""",
    )
    cam = resolve(Target("cam"), config)
    assert (cam.host, cam.user, cam.port) == ("cam.lab.example", "robot", 2200)
    assert cam.identity_files == ("~/.ssh/robot_key",)
    assert cam.identities_only
    assert cam.known_as == ("cam-key", 22)
    assert cam.jumps == (Target("bastion", "ops", 2222), Target("gate"))
    assert resolve(Target("other"), config).user == "everybody"
    assert resolve(Target("cam", "root", 22), config).user == "root"
    assert resolve(Target("cam", "root", 22), config).port == 22


@pytest.mark.parametrize("word", ["exec", "Exec", "!exec", "EXEC"])
def test_match_exec_never_runs_and_never_matches(tmp_path: Path, word: str) -> None:
    ran = tmp_path / "ran"
    config = write(
        tmp_path / "config",
        f'Match host cam {word} "touch {ran}"\n  User evil\nMatch host cam\n  User good\n',
    )
    assert resolve(Target("cam"), config).user == "good"
    assert not ran.exists()


def test_match_user_still_works(tmp_path: Path) -> None:
    config = write(tmp_path / "config", "Match user nvidia\n  Port 2022\n")
    assert resolve(Target("h", "nvidia"), config).port == 2022
    assert resolve(Target("h", "root"), config).port == 22


def test_proxy_jump_none(tmp_path: Path) -> None:
    config = write(tmp_path / "config", "Host cam\n  ProxyJump none\nHost *\n  ProxyJump gate\n")
    assert resolve(Target("cam"), config).jumps == ()
    assert resolve(Target("x"), config).jumps == (Target("gate"),)


@pytest.mark.parametrize(
    "text",
    ["Include {self}", "Include .", "Include /", 'Match ""', "=", "Include conf.d/**x",
     "Include ~nosuch/x", "Host *\n  HostName %u%q", "Host *\n  Port 70000", "Host *\n  Port x"],
)  # fmt: skip
def test_a_broken_file_is_an_error_or_ignored(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config"
    write(config, text.format(self=config))
    with contextlib.suppress(ConfigError):
        assert resolve(Target("h"), config).host


def test_agent_none_means_none(tmp_path: Path) -> None:
    config = write(
        tmp_path / "config", "Host a\n  IdentityAgent none\nHost b\n  IdentityAgent /x\n"
    )
    assert resolve(Target("a"), config).agent == ""
    assert resolve(Target("b"), config).agent == "/x"
    assert resolve(Target("c"), config).agent is None


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    broken = write(tmp_path / "broken", "Host cam\n  Port many\n")
    with pytest.raises(ConfigError, match="line 2"):
        resolve(Target("cam"), broken)
    proxy = write(tmp_path / "proxy", "Host cam\n  ProxyCommand nc %h %p\n")
    with pytest.raises(ConfigError, match="ProxyCommand"):
        resolve(Target("cam"), proxy)
    option = write(tmp_path / "option", "Host cam\n  HostName -oProxyCommand=x\n")
    with pytest.raises(ConfigError, match="no host name"):
        resolve(Target("cam"), option)
