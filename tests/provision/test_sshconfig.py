"""A host in the ssh configuration: found by ssh itself, and all the rest byte for byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.errors import ConfigError
from cohete.provision.sshconfig import HostEntry, add_entry, with_entry

ENTRY = HostEntry("jetson", "10.0.0.7", "nvidia", 2222, "~/.ssh/id jetson")
LINES = (
    "Host a", "Host b c", "Match all", "  User x", "# Host jetson", "", "\tPort=3", "host=d",
    "Include y", "ServerAliveInterval 9", "\u00e4",
)  # fmt: skip
CONFIG = """# everything
ServerAliveInterval 5
Include conf.d/*

# the lab
Host lab-*
  User lab

Match host x
  User y
"""


def asked(path: Path, name: str) -> dict[str, str]:
    done = subprocess.run(
        ["ssh", "-G", "-F", str(path), name], capture_output=True, check=True, timeout=20
    )
    return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines() if " " in line)


@pytest.mark.claim("PS-04")
def test_ssh_finds_it_and_everything_else_as_before(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(CONFIG)
    path.chmod(0o640)
    backup = add_entry(path, ENTRY)
    assert backup is not None
    assert backup.read_text() == CONFIG
    text = path.read_text()
    block = "\n".join(ENTRY.lines) + "\n\n"
    assert text.replace(block, "", 1) == CONFIG
    assert path.stat().st_mode & 0o777 == 0o640
    found = asked(path, "jetson")
    assert (found["hostname"], found["user"], found["port"]) == ("10.0.0.7", "nvidia", "2222")
    assert found["serveraliveinterval"] == "5"
    assert asked(path, "lab-1")["user"] == "lab"
    assert asked(path, "other")["serveraliveinterval"] == "5"
    # Twice is once, and no second backup.
    assert add_entry(path, ENTRY) is None
    assert len(list(tmp_path.glob("*backup*"))) == 1


@pytest.mark.claim("PS-04")
def test_a_host_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Host other jetson\n  HostName 10.9.9.9\n")
    with pytest.raises(ConfigError, match="says something else"):
        add_entry(path, ENTRY)
    assert path.read_text() == "Host other jetson\n  HostName 10.9.9.9\n"
    assert not list(tmp_path.glob("*backup*"))


@pytest.mark.claim("PS-04")
def test_a_link_stays_a_link_and_a_new_file_is_for_nobody_else(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "config"
    real.parent.mkdir()
    real.write_text("Host a\n")
    link = tmp_path / ".ssh" / "config"
    link.parent.mkdir()
    link.symlink_to(real)
    add_entry(link, ENTRY)
    assert link.is_symlink()
    assert real.read_text().startswith("Host jetson\n")
    new = tmp_path / "new" / "config"
    add_entry(new, ENTRY)
    assert new.stat().st_mode & 0o777 == 0o600
    assert new.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        add_entry(tmp_path / "x" / "config", ENTRY)


@pytest.mark.claim("PS-04")
@given(st.lists(st.sampled_from(LINES), max_size=12), st.booleans(), st.booleans())
def test_the_rest_is_byte_for_byte_what_it_was(lines: list[str], crlf: bool, ends: bool) -> None:
    newline = "\r\n" if crlf else "\n"
    text = (newline.join(lines) + (newline if ends else "")).encode()
    new = with_entry(text, ENTRY)
    begin = b"\r\n" if b"\r\n" in text else b"\n"
    at = new.index(b"Host jetson" + begin + b"    HostName")
    # What is taken out again leaves what was, with the end of a line that lacked one.
    size = sum(len(line) + (2 if b"\r\n" in text else 1) for line in [*ENTRY.lines, ""])
    rest = new[:at] + new[at + size :]
    assert rest in (text, text + b"\n", text + b"\r\n")
    assert with_entry(new, ENTRY) == new


@pytest.mark.parametrize(
    "values",
    [("a b", "h"), ("*", "h"), ("a", "h\nProxyCommand x"), ("a", "h", "u\r"), ("", "h"),
     ("a", "h", "u", 22, 'x"y'), ("-o", "h")],
)  # fmt: skip
def test_what_could_mean_something_else_is_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        HostEntry(*values)  # type: ignore[arg-type]
