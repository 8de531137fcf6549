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

PROFILE = "cohete-static"
BACK, UP = "cohete-net-back", "cohete-net-up"
ROLLBACK_S = 90
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
        if self.address:
            _ = self._wanted("")

    @property
    def intent(self) -> str:
        return f"give it the address {self.address or 'it has now'} for good"

    @property
    def probes(self) -> tuple[Probe, ...]:
        fields = "connection.autoconnect,ipv4.method,ipv4.addresses"
        return (
            Probe("net_here", ("printenv", "SSH_CONNECTION")),
            Probe("net_addresses", ("ip", "-j", "address")),
            Probe("net_routes", ("ip", "-j", "route", "show", "default")),
            Probe("net_dns", ("grep", "-s", "^nameserver", "/run/systemd/resolve/resolv.conf")),
            Probe("net_devices", ("nmcli", "-t", "-f", "DEVICE,TYPE,STATE", "device", "status")),
            Probe("net_active", ("nmcli", "-t", "-f", "UUID,DEVICE", "connection", "show",
                                 "--active")),
            Probe("net_kept", ("nmcli", "-g", fields, "connection", "show", PROFILE)),
        )  # fmt: skip

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where it is no Ethernet, or nobody manages it."""
        found = _interfaces(board)
        now = self._meant(device, found, board)
        self._check_managed(device, now, board)
        wanted = self._wanted(now.address)
        gateway = self.gateway or _gateway(board, now.name)
        if gateway and IPv4Address(gateway) not in wanted.network:
            raise ChangeRefused(
                f"the gateway {gateway} is not in {wanted.network}", where=device,
                hint="Name the gateway of that network, or another address.",
            )  # fmt: skip
        after = f"{now.name} {wanted} for good"
        kept = decode(board.get("net_kept", b"")).split()
        is_ours = kept == ["yes", "manual", str(wanted)]
        if str(wanted) == now.address and (is_ours or not now.is_leased):
            return Change(device, self.intent, after, after)
        old = _profile_of(board, now.name)
        if old is None:
            raise ChangeRefused(
                f"no profile of {now.name} is active, to go back to", where=device,
                hint="See `nmcli connection show --active` there.",
            )  # fmt: skip
        moves = str(wanted.ip) != now.address.partition("/")[0]
        steps = self._steps(now.name, wanted, gateway, self.dns or _dns(board), old)
        how = "leased" if now.is_leased else "fixed"
        if kept[:1] == ["yes"]:
            how += f", {sanitise(kept[-1], 40)} from its next start"
        return Change(
            device, self.intent, f"{now.name} {now.address}, {how}", after, steps,
            needs=frozenset({Need.ROOT}),
            notes=(
                f"Not reached at {wanted.ip} within {ROLLBACK_S} s it goes back by itself.",
                "Nobody else may have this address: take one that no server lends.",
                *((f"Then it is reached at {wanted.ip} only: change it in cohete.yaml.",)
                  if moves else ()),
            ),
            undo_words=f"Undone by `nmcli connection delete {PROFILE}` there.",
            moves_to=str(wanted.ip) if moves else "",
            patience_s=ROLLBACK_S + 60.0,
        )  # fmt: skip

    def _steps(
        self, interface: str, wanted: IPv4Interface, gateway: str, dns: tuple[str, ...], old: str
    ) -> tuple[Step, ...]:
        profile = (
            "ifname", interface, "con-name", PROFILE, "connection.autoconnect", "no",
            "ipv4.method", "manual", "ipv4.addresses", str(wanted),
            *(("ipv4.gateway", gateway) if gateway else ()),
            *(("ipv4.dns", ",".join(dns)) if dns else ()),
        )  # fmt: skip
        state = ("nmcli", "-g", "GENERAL.STATE", "connection", "show", PROFILE)
        keep = ("connection.autoconnect", "yes", "connection.autoconnect-priority", "100")
        return (
            _root("no older timer", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
            _root("a way back", RUN, f"--unit={BACK}", f"--on-active={ROLLBACK_S}", "--collect",
                  NMCLI, "connection", "up", "uuid", old),
            _root("no older profile", NMCLI, "connection", "delete", PROFILE, judge=_any),
            _root("the address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
                  "ethernet", *profile),
            _root("use it", RUN, f"--unit={UP}", "--on-active=1", "--collect", NMCLI,
                  "connection", "up", PROFILE),
            Step("reach it there", state, limit_s=REACH_S, anew=True, judge=_is_active),
            _root("keep it", NMCLI, "connection", "modify", PROFILE, *keep),
            _root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer"),
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
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the release has no such service."""
        at = next((each for each in _interfaces(board)
                   if each.address.partition("/")[0] == USB_ADDRESS), None)  # fmt: skip
        said = decode(board.get("usb_unit", b"")).strip()
        starts = said in ("enabled", "static", "indirect")
        words = f"{at.name} {at.address}" if at is not None else f"no {USB_ADDRESS}"
        before = f"{words}, {'also after a start' if starts else 'not after a start'}"
        if at is None and not starts and said != "disabled":
            raise ChangeRefused(
                f"this board has no {USB_UNIT}", where=device,
                hint=sanitise(" ".join(said.split()), 120) or "It comes with Jetson Linux.",
            )  # fmt: skip
        steps = [
            *(() if starts else (_root("at each start", SYSTEMCTL, "enable", USB_UNIT),)),
            *(() if at is not None else (_root("now", SYSTEMCTL, "start", USB_UNIT),)),
        ]
        return Change(
            device, self.intent, before, f"{USB_ADDRESS}, also after a start", tuple(steps),
            needs=frozenset({Need.ROOT} if steps else ()),
            undo_words=f"Undone by `systemctl disable --now {USB_UNIT}` there.", settle_s=10.0,
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


def _gateway(board: Sections, interface: str) -> str:
    for entry in _entries(board, "net_routes"):
        gateway = entry.get("gateway")
        if entry.get("dev") == interface and isinstance(gateway, str):
            try:
                return str(IPv4Address(gateway))
            except ValueError:
                continue
    return ""


def _dns(board: Sections) -> tuple[str, ...]:
    found = []
    for line in decode(board.get("net_dns", b"")).splitlines()[:8]:
        words = line.split()
        try:
            found.append(str(IPv4Address(words[1])))
        except (ValueError, IndexError):
            continue
    return tuple(found[:3])


def _profile_of(board: Sections, interface: str) -> str | None:
    for line in decode(board.get("net_active", b"")).splitlines()[:64]:
        uuid, _, device = line.partition(":")
        if device == interface and _UUID.fullmatch(uuid):
            return uuid
    return None


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
