"""Where a device is, as people write it: `user@host:port`, with IPv6, zones and brackets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from cohete.errors import ConfigError

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,63}")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,32}")
_EXAMPLE = "Write host, user@host, user@host:port, or [ipv6%zone]:port."


@dataclass(frozen=True, slots=True)
class Target:
    """A host to reach; None leaves a part to the user's ssh configuration."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        text = f"{self.user}@{host}" if self.user else host
        return f"{text}:{self.port}" if self.port else text


def parse_target(text: str) -> Target:
    """`[user@]host[:port]`, `ssh://…`, bare or bracketed IPv6 with a zone. Raises ConfigError."""
    original = text
    text = text.strip().removeprefix("ssh://").rstrip("/")
    user, at, rest = text.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise _bad(original, "the user name is not valid")
    host, port = _split_port(rest, original)
    return Target(check_host(host), user if at else None, port)


def check_host(host: str) -> str:
    """`host` if it can be a host name or address (never an option for a program)."""
    address, percent, zone = host.partition("%")
    if ":" in address:
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            raise _bad(host, "this is no IPv6 address") from None
        if percent and not _ZONE.fullmatch(zone):
            raise _bad(host, "the zone after % is not an interface name")
        return host
    if not _HOST.fullmatch(host):
        raise _bad(host, "this is no host name or address")
    return host


def _split_port(rest: str, original: str) -> tuple[str, int | None]:
    if rest.startswith("["):
        host, closed, tail = rest[1:].partition("]")
        if not closed or (tail and not tail.startswith(":")):
            raise _bad(original, "the bracket is not closed")
        return host, _port(tail[1:], original) if tail else None
    if rest.count(":") == 1:
        host, _, port = rest.partition(":")
        return host, _port(port, original)
    return rest, None


def _port(text: str, original: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:9]) < 65536 and len(text) < 6:
        return int(text)
    raise _bad(original, "the port is not a number from 1 to 65535")


def _bad(text: str, why: str) -> ConfigError:
    return ConfigError(f"cannot use {text[:80]!r} as a device: {why}", hint=_EXAMPLE)
