"""Network interfaces of a board with their addresses and whether they are up. Pure.

Format: `ip -j address` of iproute2 (JetPack 4 and later): a JSON list with `ifname`, `operstate`,
`address`, and `addr_info` with `local` and `prefixlen`. Interfaces without a driver's opinion
(`UNKNOWN`), as USB gadgets and tunnels have it, count as up where they have the flag `LOWER_UP`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from cohete.text import sanitise

MAX_INTERFACES, MAX_ADDRESSES = 64, 16


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """`state` is up, down, or the kernel's own word; addresses have their prefix length."""

    name: str
    state: str
    mac: str = ""
    addresses: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether something is at the other end."""
        return self.state == "up"


def interfaces_from(output: bytes) -> tuple[NetworkInterface, ...]:
    """Every interface but loopback, in the board's order. Never raises; nonsense is nothing."""
    try:
        found = json.loads(output)
    except (ValueError, RecursionError):
        return ()
    entries = found[: 2 * MAX_INTERFACES] if isinstance(found, list) else []
    known = [each for each in (_interface(entry) for entry in entries) if each is not None]
    return tuple(known[:MAX_INTERFACES])


def _interface(entry: object) -> NetworkInterface | None:
    if not isinstance(entry, dict):
        return None
    name, flags = entry.get("ifname"), entry.get("flags")
    if not isinstance(name, str) or not name or entry.get("link_type") == "loopback":
        return None
    state = str(entry.get("operstate", "")).lower()
    carried = isinstance(flags, list) and "LOWER_UP" in flags
    if state in ("unknown", ""):
        state = "up" if carried else "down" if isinstance(flags, list) else "unknown"
    infos = entry.get("addr_info")
    addresses = _addresses(infos if isinstance(infos, list) else ())
    mac = entry.get("address")
    return NetworkInterface(
        sanitise(name, 32), sanitise(state, 24),
        sanitise(mac, 40) if isinstance(mac, str) else "", addresses,
    )  # fmt: skip


def _addresses(infos: Iterable[object]) -> tuple[str, ...]:
    found = []
    for info in infos:
        if not isinstance(info, dict):
            continue
        try:
            local = ip_address(str(info.get("local")))
        except ValueError:
            continue
        prefix = info.get("prefixlen")
        found.append(f"{local}/{prefix}" if isinstance(prefix, int) else str(local))
    return tuple(found[:MAX_ADDRESSES])
