"""An address of a board's own on Ethernet.

An address is tried before it is kept: the profile lives in memory only, and a timer on the board
brings the old one back unless somebody has reached it at the new one within ROLLBACK_S. A board
that loses its power meanwhile starts with what it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

from cohete.control.change import Change, Need, Sections, Step
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.provision.manager import (
    MAX_DNS,
    NAME,
    PROFILES_PROBE,
    Interface,
    Profile,
    details,
    interfaces,
    profiles_of,
)
from cohete.provision.turning import (
    BACK,
    NMCLI,
    OURS,
    ROLLBACK_S,
    SYSTEMCTL,
    WAS,
    active_on,
    is_ours,
    keep,
    reached,
    root,
    turned,
    was_of,
    whatever,
)
from cohete.text import decode, sanitise


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
        if self.interface and not NAME.fullmatch(self.interface):
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
        details = ("nmcli", "-t", "-f", "GENERAL.DEVICE,IP4.GATEWAY,IP4.DNS", "device", "show")
        return (
            Probe("net_here", ("printenv", "SSH_CONNECTION")),
            Probe("net_addresses", ("ip", "-j", "address")),
            Probe("net_devices", ("nmcli", "-t", "-f", "DEVICE,TYPE,STATE", "device", "status")),
            Probe("net_details", details),
            PROFILES_PROBE,
        )

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where it is no Ethernet, or nobody manages it."""
        now = self.meant(device, board)
        self._check_managed(device, now, board)
        wanted = self._wanted(now.address)
        used_gateway, used_dns = details(board, now.name)
        gateway, dns = self.gateway or used_gateway, self.dns or used_dns
        if gateway and IPv4Address(gateway) not in wanted.network:
            raise ChangeRefused(
                f"the gateway {gateway} is not in {wanted.network}", where=device,
                hint="Name the gateway of that network, or another address.",
            )  # fmt: skip
        profiles = profiles_of(board)
        active = active_on(device, now, profiles)
        after = f"{now.name} {wanted} for good"
        is_there = str(wanted) == now.address and (gateway, dns) == (used_gateway, used_dns)
        is_tried = is_ours(active, now.name) and not active.starts
        if is_there and not is_tried and not now.is_leased:
            return Change(device, self.intent, after, after)
        moves = str(wanted.ip) != now.address.partition("/")[0]
        name = _name(now, wanted, active) if moves else f"{OURS}{now.name}-{wanted.ip}"
        tried: tuple[Step, ...] = ()
        if is_there and is_tried:
            # Somebody was cut off: it is reached, and only has to be kept.
            name, how = active.name, "on trial"
        else:
            if name == active.name:
                name += "-b"
            tried = _tried(now.name, name, wanted, gateway, dns, active)
            how = "leased" if now.is_leased else "fixed"
        older = [each for each in profiles if is_ours(each, now.name) and each.name != name]
        starts = [each.name for each in older if each.starts and each is not active]
        return Change(
            device, self.intent,
            ", ".join([f"{now.name} {now.address}", how, *(f"{each} kept" for each in starts)]),
            after, (*tried, *_kept(name, now.name, older)),
            needs=frozenset({Need.ROOT}),
            notes=(
                f"Not reached at {wanted.ip} within {ROLLBACK_S} s it goes back by itself.",
                "Nobody else may have this address: take one that no server lends.",
                *((f"Then it is reached at {wanted.ip} only: change it in cohete.yaml.",)
                  if moves else ()),
            ),
            undo_words=f"Undone by `cohete setup {device} --undo address`, or z in the wizard.",
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

    def meant(self, device: str, board: Sections) -> Interface:
        """Which interface it is for. Raises ChangeRefused where that has no address."""
        found = interfaces(board)
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
    def _check_managed(device: str, now: Interface, board: Sections) -> None:
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


def _name(now: Interface, wanted: IPv4Interface, active: Profile) -> str:
    """Tells also which address the board was lent before, to find it there again."""
    was = now.address.partition("/")[0] if now.is_leased else was_of(active)
    return f"{OURS}{now.name}-{wanted.ip}{WAS}{was}" if was else f"{OURS}{now.name}-{wanted.ip}"


def _tried(
    interface: str, name: str, wanted: IPv4Interface, gateway: str, dns: tuple[str, ...],
    old: Profile,
) -> tuple[Step, ...]:  # fmt: skip
    profile = (
        "ifname", interface, "con-name", name, "connection.autoconnect", "no",
        "ipv4.method", "manual", "ipv4.addresses", str(wanted),
        *(("ipv4.gateway", gateway) if gateway else ()),
        *(("ipv4.dns", ",".join(dns)) if dns else ()),
    )  # fmt: skip
    made = (
        # A try that failed has left it; it is not in use.
        root("no older try", NMCLI, "connection", "delete", name, judge=whatever),
        root("the address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
              "ethernet", *profile),
    )  # fmt: skip
    return turned(("id", name), old, interface, made)


def _kept(name: str, interface: str, older: list[Profile]) -> tuple[Step, ...]:
    return (
        reached(("id", name), interface),
        keep(name, "100"),
        root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer", judge=whatever),
        # Nothing goes back to them any more.
        *(root("no older address", NMCLI, "connection", "delete", "uuid", each.uuid, judge=whatever)
          for each in older),
    )  # fmt: skip


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ChangeRefused(f"`{text[:40]}` is no IPv4 address") from None
