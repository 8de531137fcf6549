"""How people write an address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.config.target import Target, parse_target
from cohete.errors import ConfigError

pytestmark = pytest.mark.claim("DDC-12")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("10.0.0.7", Target("10.0.0.7")),
        ("nvidia@10.0.0.7", Target("10.0.0.7", "nvidia")),
        ("nvidia@cam-01.local:2222", Target("cam-01.local", "nvidia", 2222)),
        ("ssh://nvidia@cam:22/", Target("cam", "nvidia", 22)),
        ("[::1]:22", Target("::1", None, 22)),
        ("::1", Target("::1")),
        ("fe80::1%eth0", Target("fe80::1%eth0")),
        ("u@[fe80::1%eth0]:2222", Target("fe80::1%eth0", "u", 2222)),
        ("2001:db8::7", Target("2001:db8::7")),
        ("[fd00::1]", Target("fd00::1")),
        ("my_alias", Target("my_alias")),
        ("user@corp@host", Target("host", "user@corp")),
    ],
)
def test_ways_to_write_it(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "@", "-oProxyCommand=x", "a b", "host:0", "host:65536", "host:x", "[::1", "[::1]x",
     "a;b", "$(id)", "u@-h", "::zz", "fe80::1%", "fe80::1%a b", "-u@h", "host:+22",
     "host:\u0662\u0662", "[]:22"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_target(text)
    assert "Write" in caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        target = parse_target(text)
    except ConfigError:
        return
    assert not target.host.startswith("-")
    assert target.host.isascii()
    assert not set(target.host) & set(" \t\n;|&$`<>()'\"\\/")


@given(
    st.sampled_from(["10.0.0.7", "cam.local", "::1", "fe80::1%eth0"]),
    st.none() | st.from_regex(r"\A[a-z][a-z0-9_-]{0,10}\Z"),
    st.none() | st.integers(1, 65535),
)
def test_what_is_shown_can_be_typed(host: str, user: str | None, port: int | None) -> None:
    target = Target(host, user, port)
    assert parse_target(str(target)) == target
