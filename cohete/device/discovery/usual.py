"""Hosts the user's ssh knows already: candidates that somebody has been to. Blocking."""

from __future__ import annotations

import re
from pathlib import Path

from cohete.text import sanitise

MAX_BYTES = 4_194_304
MAX_HOSTS = 4_096
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:%-]{0,252}", re.ASCII)
_BRACKETED = re.compile(r"\[([^\]]{1,253})\]:(\d{1,5})", re.ASCII)


def aliases(config: Path) -> list[str]:
    """Names after `Host` that are no patterns, in their order; Include is followed."""
    found: dict[str, None] = {}
    _aliases(config, config.parent, found, 0)
    return list(found)


def _aliases(path: Path, home: Path, found: dict[str, None], depth: int) -> None:
    if depth > 16:
        return
    for line in _lines(path):
        words = line.replace("=", " ", 1).split()
        if not words or words[0].startswith("#"):
            continue
        keyword = words[0].lower()
        if keyword == "include":
            for pattern in words[1:]:
                place = pattern.strip('"').replace("~", str(Path.home()), 1)
                for each in sorted(home.glob(place) if place[:1] != "/" else _glob(place)):
                    _aliases(each, home, found, depth + 1)
        elif keyword == "host":
            for word in words[1:]:
                name = word.strip('"')
                if _HOST.fullmatch(name) and len(found) < MAX_HOSTS:
                    found[name] = None


def _glob(pattern: str) -> list[Path]:
    return list(Path("/").glob(pattern.lstrip("/")))


def known(known_hosts: Path) -> list[tuple[str, int]]:
    """Hosts and ports of a known_hosts file that are no patterns and not hashed."""
    found: dict[tuple[str, int], None] = {}
    for line in _lines(known_hosts):
        words = line.split()
        if len(words) < 3 or words[0].startswith(("#", "@", "|")):
            continue
        for part in words[0].split(","):
            place = _BRACKETED.fullmatch(part)
            host, port = (place[1], int(place[2])) if place else (part, 22)
            if _HOST.fullmatch(host) and 0 < port < 65_536 and len(found) < MAX_HOSTS:
                found[host, port] = None
    return list(found)


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return []
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [sanitise(line, 2_048) for line in text.splitlines()]
