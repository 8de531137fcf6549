"""Addresses of a board: one of its own on Ethernet, and NVIDIA's on USB.

An address is tried before it is kept: the profile lives in memory only, and a timer on the board
brings the old one back unless somebody has reached it at the new one within ROLLBACK_S. A board
that loses its power meanwhile starts with what it had.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

from cohete.config.devices import USB_ADDRESS
from cohete.control.change import (
    Change,
    Judge,
    Need,
    Sections,
    Step,
    Verdict,
    as_root,
    output_of,
)
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.links.commands import Probe
from cohete.text import decode, sanitise

OURS = "cohete-"
"""What the names of our profiles begin with; interface and address follow."""
BACK, UP = "cohete-net-back", "cohete-net-up"
MAX_DNS = 3
"""As many as a resolver asks."""
ROLLBACK_S = 90
EXACT = "--timer-property=AccuracySec=1s"
"""systemd's own is a minute."""
REACH_S = 60.0
NMCLI, SYSTEMCTL, RUN = "/usr/bin/nmcli", "/bin/systemctl", "/usr/bin/systemd-run"
USB_UNIT = "nv-l4t-usb-device-mode.service"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", re.ASCII)
_UUID = re.compile(r"[0-9a-f-]{36}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Now:
    """An interface: its first address, and whether somebody else may take that away."""

    name: str
    address: str
    is_leased: bool


@dataclass(frozen=True, slots=True)
class _Profile:
    """A profile of NetworkManager: which device uses it now, and whether it starts by itself."""

    name: str
    uuid: str
    device: str
    starts: bool


@dataclass(frozen=True, slots=True)
class SetAddress:
    """A fixed IPv4 address for an Ethernet interface. Raises ChangeRefused for what is none.

    Without `interface` that which this connection comes over, without `address` (as in
    10.0.0.7/24) the one it has now, without `gateway` and `dns` those it has now.
    """

    interface: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.interface and not _NAME.fullmatch(self.interface):
            raise ChangeRefused(f"`{self.interface[:30]}` is no name of an interface")
        for each in filter(None, (self.gateway, *self.dns)):
            _address(each)
        if len(self.dns) > MAX_DNS:
            raise ChangeRefused(f"at most {MAX_DNS} name servers are asked")
        if self.address:
            _ = self._wanted("")

    @property
    def intent(self) -> str:
        return f"give it the address {self.address or 'it has now'} for good"

    @property
    def probes(self) -> tuple[Probe, ...]:
        profiles = ("nmcli", "-t", "-f", "NAME,UUID,DEVICE,AUTOCONNECT", "connection", "show")
        details = ("nmcli", "-t", "-f", "GENERAL.DEVICE,IP4.GATEWAY,IP4.DNS", "device", "show")
        return (
            Probe("net_here", ("printenv", "SSH_CONNECTION")),
            Probe("net_addresses", ("ip", "-j", "address")),
            Probe("net_devices", ("nmcli", "-t", "-f", "DEVICE,TYPE,STATE", "device", "status")),
            Probe("net_details", details),
            Probe("net_profiles", profiles),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where it is no Ethernet, or nobody manages it."""
        now = self._meant(device, _interfaces(board), board)
        self._check_managed(device, now, board)
        wanted = self._wanted(now.address)
        used_gateway, used_dns = _details(board, now.name)
        gateway, dns = self.gateway or used_gateway, self.dns or used_dns
        if gateway and IPv4Address(gateway) not in wanted.network:
            raise ChangeRefused(
                f"the gateway {gateway} is not in {wanted.network}", where=device,
                hint="Name the gateway of that network, or another address.",
            )  # fmt: skip
        profiles = _profiles(board)
        active = next((each for each in profiles if each.device == now.name), None)
        if active is None:
            raise ChangeRefused(
                f"no profile of {now.name} is active, to go back to", where=device,
                hint="See `nmcli connection show --active` there.",
            )  # fmt: skip
        after = f"{now.name} {wanted} for good"
        is_there = str(wanted) == now.address and (gateway, dns) == (used_gateway, used_dns)
        is_tried = active.name.startswith(OURS) and not active.starts
        if is_there and not is_tried and not now.is_leased:
            return Change(device, self.intent, after, after)
        name = f"{OURS}{now.name}-{wanted.ip}"
        tried: tuple[Step, ...] = ()
        if is_there and is_tried:
            # Somebody was cut off: it is reached, and only has to be kept.
            name, how = active.name, "on trial"
        else:
            if name == active.name:
                name += "-b"
            tried = _tried(now.name, name, wanted, gateway, dns, active)
            how = "leased" if now.is_leased else "fixed"
        older = [each for each in profiles
                 if each.name.startswith(f"{OURS}{now.name}-") and each.name != name]  # fmt: skip
        starts = [each.name for each in older if each.starts and each is not active]
        moves = str(wanted.ip) != now.address.partition("/")[0]
        return Change(
            device, self.intent,
            ", ".join([f"{now.name} {now.address}", how, *(f"{each} kept" for each in starts)]),
            after, (*tried, *_kept(name, older)),
            needs=frozenset({Need.ROOT}),
            notes=(
                f"Not reached at {wanted.ip} within {ROLLBACK_S} s it goes back by itself.",
                "Nobody else may have this address: take one that no server lends.",
                *((f"Then it is reached at {wanted.ip} only: change it in cohete.yaml.",)
                  if moves else ()),
            ),
            undo_words="Undone by bringing another profile up, then deleting this one.",
            moves_to=str(wanted.ip) if moves else "",
            patience_s=ROLLBACK_S + 60.0,
        )  # fmt: skip

    def _wanted(self, now: str) -> IPv4Interface:
        text = self.address or now
        try:
            found = IPv4Interface(text)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise ChangeRefused(f"`{text[:40]}` is no address", hint="As in 10.0.0.7/24.") from None
        if "/" not in text or found.network.prefixlen > 30 or found.ip in (
            found.network.network_address, found.network.broadcast_address,
        ) or found.is_loopback or found.is_multicast:  # fmt: skip
            raise ChangeRefused(
                f"`{text[:40]}` is no address of a board", hint="As in 10.0.0.7/24."
            )
        return found

    def _meant(self, device: str, found: list[_Now], board: Sections) -> _Now:
        words = decode(board.get("net_here", b"")).split()
        here = words[2] if len(words) == 4 else ""
        for each in found:
            if self.interface == each.name or (
                not self.interface and here and each.address.partition("/")[0] == here
            ):
                return each
        names = ", ".join(f"{each.name} {each.address}" for each in found[:8]) or "none"
        what = self.interface or "the interface of this connection"
        raise ChangeRefused(
            f"{what} has no IPv4 address", where=device, hint=f"There are: {names}."
        )

    @staticmethod
    def _check_managed(device: str, now: _Now, board: Sections) -> None:
        said = decode(board.get("net_devices", b""))
        rows = [line.split(":") for line in said.splitlines()]
        row = next((each for each in rows if len(each) == 3 and each[0] == now.name), None)
        if row is None:
            raise ChangeRefused(
                f"NetworkManager does not know {now.name}", where=device,
                hint=sanitise(" ".join(said.split()), 120) or "Is it installed and running?",
            )  # fmt: skip
        if row[1] != "ethernet" or row[2] != "connected":
            raise ChangeRefused(
                f"{now.name} is {sanitise(row[1], 20)}, {sanitise(row[2], 40)}", where=device,
                hint="Only Ethernet that is connected gets an address of its own.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UsbNetwork:
    """NVIDIA's network over USB-C: the board answers at 192.168.55.1."""

    @property
    def intent(self) -> str:
        return f"answer at {USB_ADDRESS} over USB"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (
            Probe("net_addresses", ("ip", "-j", "address")),
            Probe("usb_unit", ("systemctl", "is-enabled", USB_UNIT)),
            Probe("usb_runs", ("systemctl", "is-active", USB_UNIT)),
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the release has no such service."""
        said = decode(board.get("usb_unit", b"")).strip()
        starts = said in ("enabled", "static", "indirect")
        if not starts and said != "disabled":
            raise ChangeRefused(
                f"this board has no {USB_UNIT}", where=device,
                hint=sanitise(" ".join(said.split()), 120) or "It comes with Jetson Linux.",
            )  # fmt: skip
        runs = decode(board.get("usb_runs", b"")).strip() == "active"
        steps = [
            *(() if starts else (_root("at each start", SYSTEMCTL, "enable", USB_UNIT),)),
            *(() if runs else (_root("now", SYSTEMCTL, "start", USB_UNIT),)),
        ]
        # The address comes and goes with the cable.
        has_cable = any(each.address.partition("/")[0] == USB_ADDRESS
                        for each in _interfaces(board))  # fmt: skip
        after = f"{USB_ADDRESS} over USB, also after a start"
        before = f"{'runs' if runs else 'stands'}, {'also' if starts else 'not'} after a start"
        return Change(
            device, self.intent, before if steps else after, after, tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            readings=f"{after}; {'a cable is' if has_cable else 'no cable'} there",
            undo_words=f"Undone by `systemctl disable --now {USB_UNIT}` there.",
        )  # fmt: skip


def _tried(
    interface: str, name: str, wanted: IPv4Interface, gateway: str, dns: tuple[str, ...],
    old: _Profile,
) -> tuple[Step, ...]:  # fmt: skip
    profile = (
        "ifname", interface, "con-name", name, "connection.autoconnect", "no",
        "ipv4.method", "manual", "ipv4.addresses", str(wanted),
        *(("ipv4.gateway", gateway) if gateway else ()),
        *(("ipv4.dns", ",".join(dns)) if dns else ()),
    )  # fmt: skip
    return (
        _root("no older timer", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
        _root("a way back", RUN, f"--unit={BACK}", f"--on-active={ROLLBACK_S}", EXACT,
              "--collect", NMCLI, "connection", "up", "uuid", old.uuid),
        # A try that failed has left it; it is not in use.
        _root("no older try", NMCLI, "connection", "delete", name, judge=_any),
        _root("the address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
              "ethernet", *profile),
        _root("use it", RUN, f"--unit={UP}", "--on-active=1", EXACT, "--collect", NMCLI,
              "connection", "up", name),
    )  # fmt: skip


def _kept(name: str, older: list[_Profile]) -> tuple[Step, ...]:
    state = ("nmcli", "-g", "GENERAL.STATE", "connection", "show", name)
    keep = ("connection.autoconnect", "yes", "connection.autoconnect-priority", "100")
    return (
        Step("reach it there", state, limit_s=REACH_S, anew=True, judge=_is_active),
        _root("keep it", NMCLI, "connection", "modify", name, *keep),
        _root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
        # Nothing goes back to them any more.
        *(_root("no older address", NMCLI, "connection", "delete", "uuid", each.uuid, judge=_any)
          for each in older),
    )  # fmt: skip


def usb_rules() -> tuple[str, ...]:
    """The sudo rules of UsbNetwork. SetAddress names its own where one is missing."""
    return f"{SYSTEMCTL} enable {USB_UNIT}", f"{SYSTEMCTL} start {USB_UNIT}"


def _interfaces(board: Sections) -> list[_Now]:
    """Those with an IPv4 address but loopback, in the board's order."""
    found = []
    for entry in _entries(board, "net_addresses"):
        name, infos = entry.get("ifname"), entry.get("addr_info")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "lo":
            continue
        for info in infos[:16] if isinstance(infos, list) else ():
            text = f"{info.get('local')}/{info.get('prefixlen')}" if isinstance(info, dict) else ""
            try:
                IPv4Interface(text)
            except ValueError:
                continue
            found.append(_Now(name, text, info.get("dynamic") is True))
    return found


def _entries(board: Sections, name: str) -> list[dict[str, object]]:
    try:
        found = json.loads(board.get(name, b""))
    except (ValueError, RecursionError):
        return []
    return (
        [each for each in found[:64] if isinstance(each, dict)] if isinstance(found, list) else []
    )


def _details(board: Sections, interface: str) -> tuple[str, tuple[str, ...]]:
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


def _profiles(board: Sections) -> list[_Profile]:
    found = []
    for line in decode(board.get("net_profiles", b"")).splitlines()[:256]:
        # A name may have colons of its own.
        name, *rest = line.rsplit(":", 3)
        if len(rest) == 3 and _UUID.fullmatch(rest[0]):
            found.append(_Profile(name, rest[0], rest[1], rest[2] == "yes"))
    return found


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ChangeRefused(f"`{text[:40]}` is no IPv4 address") from None


def _is_active(done: Completed) -> Verdict:
    is_active = decode(done.stdout).strip() == "activated"
    return Verdict(is_active, "" if is_active else output_of(done) or "the address is not in use")


def _any(done: Completed) -> Verdict:
    """It may not have been there."""
    return Verdict(done.exit_status is not None, "it was cut off")


def _root(title: str, *argv: str, judge: Judge | None = None) -> Step:
    return Step(title, as_root(*argv), rule=" ".join(argv), judge=judge)
