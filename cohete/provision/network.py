"""An address of a board's own on Ethernet, given and taken back.

An address is tried before it is kept: the profile lives in memory only, and a timer on the board
brings the old one back unless somebody has reached it at the new one within ROLLBACK_S. A board
that loses its power meanwhile starts with what it had.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

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
from cohete.provision.manager import (
    MAX_DNS,
    NAME,
    PROFILES_PROBE,
    WAYS_PROBE,
    Interface,
    Profile,
    Way,
    details,
    interfaces,
    profiles_of,
    ways_of,
)
from cohete.text import decode, sanitise

OURS = "cohete-"
"""What the names of our profiles begin with; interface and address follow."""
WAS = "-was-"
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_OURS = re.compile(rf"{OURS}([A-Za-z0-9_.-]{{1,15}}?)-{_IPV4}(?:{WAS}{_IPV4})?(?:-b)?", re.ASCII)
BACK, UP = "cohete-net-back", "cohete-net-up"
ROLLBACK_S = 90
EXACT = "--timer-property=AccuracySec=1s"
"""systemd's own is a minute."""
REACH_S = 60.0
NMCLI, SYSTEMCTL, RUN = "/usr/bin/nmcli", "/bin/systemctl", "/usr/bin/systemd-run"
_AGAIN = "Undone by doing the step again."


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
        active = _active(device, now, profiles)
        after = f"{now.name} {wanted} for good"
        is_there = str(wanted) == now.address and (gateway, dns) == (used_gateway, used_dns)
        is_tried = _is_ours(active, now.name) and not active.starts
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
        older = [each for each in profiles if _is_ours(each, now.name) and each.name != name]
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


@dataclass(frozen=True, slots=True)
class LeaveAddress:
    """An address given by SetAddress taken back: the profile before it is used, ours removed.

    It is tried as carefully: a timer brings ours back unless the board was reached without it.
    """

    given: SetAddress

    @property
    def intent(self) -> str:
        return f"take back: {self.given.intent}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return (*self.given.probes, WAYS_PROBE)

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where no other profile could carry the board."""
        now = self.given.meant(device, board)
        known = profiles_of(board)
        ours = [each for each in known if _is_ours(each, now.name)]
        if not ours:
            self._check_others(device, now, known)
            so = f"{now.name} {now.address}, by no profile of Cohete's"
            return Change(device, self.intent, so, so)
        names = ", ".join(each.name for each in ours)
        active = _active(device, now, known)
        if active not in ours:
            return Change(
                device, self.intent, f"{now.name} {now.address}, beside {names}",
                f"{now.name} by {sanitise(active.name, 40)}",
                _removed(("uuid", active.uuid), now.name, ours),
                needs=frozenset({Need.ROOT}), undo_words=_AGAIN,
            )  # fmt: skip
        host, way = now.address.partition("/")[0], _way_back(now, known, board)
        made: tuple[Step, ...] = ()
        if way is not None:
            back, name = ("uuid", way.uuid), way.name
        else:
            name = f"{now.name}-lent"
            back, made = ("id", name), _lent(now.name, name)
        to = (way.address.partition("/")[0] if way is not None else "") or _was(active)
        return Change(
            device, self.intent, f"{now.name} {now.address}, by {names}",
            f"{now.name} by {sanitise(name, 40)}",
            (
                *_turned(back, active, now.name, made),
                _reached(back, now.name),
                *(() if way is not None else (_keep(name, "0"),)),
                *_removed(back, now.name, ours),
            ),
            needs=frozenset({Need.ROOT}),
            notes=(
                f"Not reached at {to or host} within {ROLLBACK_S} s it goes back by itself.",
                *(() if way is not None and way.address
                  else ("A server has to lend it that address again.",)),
                *((f"Then it is reached at {to} only: change it in cohete.yaml.",)
                  if to not in ("", host) else ()),
            ),
            undo_words=_AGAIN,
            moves_to=to if to != host else "",
            patience_s=ROLLBACK_S + 60.0,
        )  # fmt: skip

    @staticmethod
    def _check_others(device: str, now: Interface, known: list[Profile]) -> None:
        other = next((each for each in known if _is_ours(each)), None)
        if other is not None:
            raise ChangeRefused(
                f"{other.name} is of another interface than {now.name}", where=device,
                hint="Reach the board over that one to have it taken back.",
            )  # fmt: skip


def _way_back(now: Interface, known: list[Profile], board: Sections) -> Way | None:
    """The profile used last of those that can carry this interface, and carry no other."""
    free = {each.uuid for each in known
            if each.starts and each.device in ("", now.name) and not _is_ours(each)}  # fmt: skip
    return next(
        (way for way in ways_of(board)
         if way.uuid in free and way.interface in ("", now.name)
         and way.mac.lower() in ("", now.mac.lower())),
        None,
    )  # fmt: skip


def _is_ours(profile: Profile, interface: str = "") -> bool:
    """By its whole name: what a person called alike is theirs."""
    found = _OURS.fullmatch(profile.name)
    return found is not None and interface in ("", found[1])


def _active(device: str, now: Interface, known: list[Profile]) -> Profile:
    """The profile that an interface lives on. Raises ChangeRefused."""
    found = next((each for each in known if each.device == now.name), None)
    if found is None:
        raise ChangeRefused(
            f"no profile of {now.name} is active, to go back to", where=device,
            hint="See `nmcli connection show --active` there.",
        )  # fmt: skip
    return found


def _name(now: Interface, wanted: IPv4Interface, active: Profile) -> str:
    """Tells also which address the board was lent before, to find it there again."""
    was = now.address.partition("/")[0] if now.is_leased else _was(active)
    return f"{OURS}{now.name}-{wanted.ip}{WAS}{was}" if was else f"{OURS}{now.name}-{wanted.ip}"


def _was(profile: Profile) -> str:
    """The address that a name of ours tells; empty where it tells none."""
    text = profile.name.rpartition(WAS)[2].removesuffix("-b")
    try:
        return str(IPv4Address(text)) if profile.name.startswith(OURS) else ""
    except ValueError:
        return ""


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
        _root("no older try", NMCLI, "connection", "delete", name, judge=_any),
        _root("the address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
              "ethernet", *profile),
    )  # fmt: skip
    return _turned(("id", name), old, interface, made)


def _lent(interface: str, name: str) -> tuple[Step, ...]:
    """A profile that takes the address it is lent, where there is none any more."""
    return (
        _root("no older try", NMCLI, "connection", "delete", name, judge=_any),
        _root("a lent address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
              "ethernet", "ifname", interface, "con-name", name, "connection.autoconnect", "no",
              "ipv4.method", "auto"),
    )  # fmt: skip


def _turned(
    to: tuple[str, str], old: Profile, interface: str, first: tuple[Step, ...]
) -> tuple[Step, ...]:
    """From one profile to another, once the way back is sure; each on this interface only."""
    return (
        _root("no older timer", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
        _root("a way back", RUN, f"--unit={BACK}", f"--on-active={ROLLBACK_S}", EXACT,
              "--collect", NMCLI, "connection", "up", "uuid", old.uuid, "ifname", interface),
        *first,
        _root("use it", RUN, f"--unit={UP}", "--on-active=1", EXACT, "--collect", NMCLI,
              "connection", "up", *to, "ifname", interface),
    )  # fmt: skip


def _removed(on: tuple[str, str], interface: str, ours: list[Profile]) -> tuple[Step, ...]:
    """Our profiles, once the board lives on another one that no timer takes away."""
    return (
        _root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
        replace(_reached(on, interface), title="see that it is on it", anew=False),
        *(_root("remove the address", NMCLI, "connection", "delete", "uuid", each.uuid)
          for each in ours),
    )  # fmt: skip


def _reached(profile: tuple[str, str], interface: str) -> Step:
    """Over a new connection, and the profile is in use on that very interface."""

    def judge(done: Completed) -> Verdict:
        words = decode(done.stdout).replace(",", " ").split()
        is_active = "activated" in words and interface in words
        why = "" if is_active else output_of(done) or "the address is not in use"
        return Verdict(is_active, why)

    argv = ("nmcli", "-g", "GENERAL.STATE,GENERAL.DEVICES", "connection", "show", *profile)
    return Step("reach it there", argv, limit_s=REACH_S, anew=True, judge=judge)


def _keep(name: str, priority: str) -> Step:
    keep = ("connection.autoconnect", "yes", "connection.autoconnect-priority", priority)
    return _root("keep it", NMCLI, "connection", "modify", "id", name, *keep)


def _kept(name: str, interface: str, older: list[Profile]) -> tuple[Step, ...]:
    return (
        _reached(("id", name), interface),
        _keep(name, "100"),
        _root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer", judge=_any),
        # Nothing goes back to them any more.
        *(_root("no older address", NMCLI, "connection", "delete", "uuid", each.uuid, judge=_any)
          for each in older),
    )  # fmt: skip


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ChangeRefused(f"`{text[:40]}` is no IPv4 address") from None


def _any(done: Completed) -> Verdict:
    """It may not have been there."""
    return Verdict(done.exit_status is not None, "it was cut off")


def _root(title: str, *argv: str, judge: Judge | None = None) -> Step:
    return Step(title, as_root(*argv), rule=" ".join(argv), judge=judge)
