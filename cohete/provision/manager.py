"""What a board says of its network: its interfaces, and NetworkManager's profiles. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from cohete.control.change import Sections
from cohete.links.commands import Probe
from cohete.text import decode, sanitise

MAX_DNS = 3
"""As many as a resolver asks."""
MAX_PROFILES = 256
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", re.ASCII)
_UUID = re.compile(r"[0-9a-f-]{36}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface: its first address, whether somebody else may take that away, its MAC."""

    name: str
    address: str
    is_leased: bool
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of NetworkManager: which device uses it now, and whether it starts by itself."""

    name: str
    uuid: str
    device: str
    starts: bool


@dataclass(frozen=True, slots=True)
class Way:
    """What a profile asks for: its interface and MAC (empty is any), its own address if it has
    one."""

    uuid: str
    name: str
    interface: str
    mac: str
    address: str
    used_at: int
    """When it was used last, in seconds since 1970; 0 is never."""


PROFILES_PROBE = Probe(
    "net_profiles", ("nmcli", "-t", "-f", "NAME,UUID,DEVICE,AUTOCONNECT", "connection", "show")
)
_WAY_FIELDS = (
    "connection.uuid,connection.id,connection.type,connection.interface-name,"
    "connection.timestamp,802-3-ethernet.mac-address,ipv4.method,ipv4.addresses"
)
WAYS_PROBE = Probe(
    "net_ways",
    ("sh", "-c", "nmcli -g UUID connection show | "
     f"xargs -r -n 1 nmcli -t -f {_WAY_FIELDS} connection show uuid"),
)  # fmt: skip


def interfaces(board: Sections) -> list[Interface]:
    """Those with an IPv4 address but loopback, in the board's order."""
    found = []
    for entry in _entries(board, "net_addresses"):
        name, infos = entry.get("ifname"), entry.get("addr_info")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == "lo":
            continue
        for info in infos[:16] if isinstance(infos, list) else ():
            text = f"{info.get('local')}/{info.get('prefixlen')}" if isinstance(info, dict) else ""
            try:
                IPv4Interface(text)
            except ValueError:
                continue
            mac = sanitise(str(entry.get("address", "")), 17)
            found.append(Interface(name, text, info.get("dynamic") is True, mac))
    return found


def _entries(board: Sections, name: str) -> list[dict[str, object]]:
    try:
        found = json.loads(board.get(name, b""))
    except (ValueError, RecursionError):
        return []
    return (
        [each for each in found[:64] if isinstance(each, dict)] if isinstance(found, list) else []
    )


def details(board: Sections, interface: str) -> tuple[str, tuple[str, ...]]:
    """Gateway and name servers of an interface, as NetworkManager uses them."""
    gateway, dns, is_it = "", [], False
    for line in decode(board.get("net_details", b"")).splitlines()[:512]:
        name, _, value = line.partition(":")
        if name == "GENERAL.DEVICE":
            is_it = value == interface
            continue
        try:
            address = str(IPv4Address(value))
        except ValueError:
            continue
        if is_it and name == "IP4.GATEWAY":
            gateway = address
        elif is_it and name.startswith("IP4.DNS"):
            dns.append(address)
    return gateway, tuple(dns[:MAX_DNS])


def profiles_of(board: Sections) -> list[Profile]:
    """Every profile, in NetworkManager's order."""
    found = []
    for line in decode(board.get("net_profiles", b"")).splitlines()[:MAX_PROFILES]:
        # A name may have colons of its own.
        name, *rest = line.rsplit(":", 3)
        if len(rest) == 3 and _UUID.fullmatch(rest[0]):
            found.append(Profile(name, rest[0], rest[1], rest[2] == "yes"))
    return found


def ways_of(board: Sections) -> list[Way]:
    """What each Ethernet profile asks for, that used last first."""
    found, fields = [], dict[str, str]()
    lines = decode(board.get("net_ways", b"")).splitlines()[: 10 * MAX_PROFILES]
    for line in [*lines, "connection.uuid:"]:
        name, _, value = line.partition(":")
        if name == "connection.uuid":
            if fields.get("connection.type") == "802-3-ethernet":
                found.append(_way(fields))
            fields = {}
        fields[name] = value.strip()
    return sorted(filter(None, found), key=lambda way: -way.used_at)


def _way(fields: dict[str, str]) -> Way | None:
    uuid, interface = fields["connection.uuid"], fields.get("connection.interface-name", "")
    if not _UUID.fullmatch(uuid) or (interface and not NAME.fullmatch(interface)):
        return None
    method, address = fields.get("ipv4.method"), ""
    try:
        if method == "manual":
            address = str(IPv4Interface(fields["ipv4.addresses"].partition(",")[0].strip()))
        elif method != "auto":
            # One that lends addresses itself, or has none.
            return None
    except (KeyError, ValueError):
        return None
    stamp = fields.get("connection.timestamp", "")
    used_at = int(stamp[:12]) if stamp.isascii() and stamp.isdigit() else 0
    # In this form a colon in a value has a backslash before it.
    name, mac = (
        sanitise(fields.get(field, "").replace("\\", ""), 64)
        for field in ("connection.id", "802-3-ethernet.mac-address")
    )
    return Way(uuid, name, interface, mac, address, used_at)
