"""An address of a board's own, taken back."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step
from cohete.errors import ChangeRefused
from cohete.links.commands import Probe
from cohete.provision.manager import WAYS_PROBE, Interface, Profile, Way, profiles_of, ways_of
from cohete.provision.network import SetAddress
from cohete.provision.turning import (
    NMCLI,
    ROLLBACK_S,
    active_on,
    is_ours,
    keep,
    reached,
    removed,
    root,
    turned,
    was_of,
    whatever,
)
from cohete.text import sanitise

_AGAIN = "Undone by doing the step again."


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
        ours = [each for each in known if is_ours(each, now.name)]
        if not ours:
            self._check_others(device, now, known)
            so = f"{now.name} {now.address}, by no profile of Cohete's"
            return Change(device, self.intent, so, so)
        names = ", ".join(each.name for each in ours)
        active = active_on(device, now, known)
        if active not in ours:
            return Change(
                device, self.intent, f"{now.name} {now.address}, beside {names}",
                f"{now.name} by {sanitise(active.name, 40)}",
                removed(("uuid", active.uuid), now.name, ours),
                needs=frozenset({Need.ROOT}), undo_words=_AGAIN,
            )  # fmt: skip
        host, way = now.address.partition("/")[0], _way_back(now, known, board)
        made: tuple[Step, ...] = ()
        if way is not None:
            back, name = ("uuid", way.uuid), way.name
        else:
            name = f"{now.name}-lent"
            back, made = ("id", name), _lent(now.name, name)
        to = (way.address.partition("/")[0] if way is not None else "") or was_of(active)
        return Change(
            device, self.intent, f"{now.name} {now.address}, by {names}",
            f"{now.name} by {sanitise(name, 40)}",
            (
                *turned(back, active, now.name, made),
                reached(back, now.name),
                *(() if way is not None else (keep(name, "0"),)),
                *removed(back, now.name, ours),
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
        other = next((each for each in known if is_ours(each)), None)
        if other is not None:
            raise ChangeRefused(
                f"{other.name} is of another interface than {now.name}", where=device,
                hint="Reach the board over that one to have it taken back.",
            )  # fmt: skip


def _way_back(now: Interface, known: list[Profile], board: Sections) -> Way | None:
    """The profile used last of those that can carry this interface, and carry no other."""
    free = {each.uuid for each in known
            if each.starts and each.device in ("", now.name) and not is_ours(each)}  # fmt: skip
    return next(
        (way for way in ways_of(board)
         if way.uuid in free and way.interface in ("", now.name)
         and way.mac.lower() in ("", now.mac.lower())),
        None,
    )  # fmt: skip


def _lent(interface: str, name: str) -> tuple[Step, ...]:
    """A profile that takes the address it is lent, where there is none any more."""
    return (
        root("no older try", NMCLI, "connection", "delete", name, judge=whatever),
        root("a lent address, in memory only", NMCLI, "connection", "add", "save", "no", "type",
              "ethernet", "ifname", interface, "con-name", name, "connection.autoconnect", "no",
              "ipv4.method", "auto"),
    )  # fmt: skip
