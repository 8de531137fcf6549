"""From one NetworkManager profile to another on a board that is reached over it.

The profile gone to is tried before it is kept: a timer on the board brings the old one back unless
somebody has reached it within ROLLBACK_S. Names of Cohete's profiles tell what they are for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address

from cohete.control.change import Judge, Step, Verdict, as_root, output_of
from cohete.errors import ChangeRefused
from cohete.links.base import Completed
from cohete.provision.manager import Interface, Profile
from cohete.text import decode

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


def is_ours(profile: Profile, interface: str = "") -> bool:
    """By its whole name: what a person called alike is theirs."""
    found = _OURS.fullmatch(profile.name)
    return found is not None and interface in ("", found[1])


def was_of(profile: Profile) -> str:
    """The address that a name of ours tells; empty where it tells none."""
    text = profile.name.rpartition(WAS)[2].removesuffix("-b")
    try:
        return str(IPv4Address(text)) if profile.name.startswith(OURS) else ""
    except ValueError:
        return ""


def active_on(device: str, now: Interface, known: list[Profile]) -> Profile:
    """The profile that an interface lives on. Raises ChangeRefused."""
    found = next((each for each in known if each.device == now.name), None)
    if found is None:
        raise ChangeRefused(
            f"no profile of {now.name} is active, to go back to", where=device,
            hint="See `nmcli connection show --active` there.",
        )  # fmt: skip
    return found


def turned(
    to: tuple[str, str], old: Profile, interface: str, first: tuple[Step, ...]
) -> tuple[Step, ...]:
    """From one profile to another, once the way back is sure; each on this interface only."""
    return (
        root("no older timer", SYSTEMCTL, "stop", f"{BACK}.timer", judge=whatever),
        root("a way back", RUN, f"--unit={BACK}", f"--on-active={ROLLBACK_S}", EXACT,
              "--collect", NMCLI, "connection", "up", "uuid", old.uuid, "ifname", interface),
        *first,
        root("use it", RUN, f"--unit={UP}", "--on-active=1", EXACT, "--collect", NMCLI,
              "connection", "up", *to, "ifname", interface),
    )  # fmt: skip


def removed(on: tuple[str, str], interface: str, ours: list[Profile]) -> tuple[Step, ...]:
    """Our profiles, once the board lives on another one that no timer takes away."""
    return (
        root("no way back any more", SYSTEMCTL, "stop", f"{BACK}.timer", judge=whatever),
        replace(reached(on, interface), title="see that it is on it", anew=False),
        *(root("remove the address", NMCLI, "connection", "delete", "uuid", each.uuid)
          for each in ours),
    )  # fmt: skip


def reached(profile: tuple[str, str], interface: str) -> Step:
    """Over a new connection, and the profile is in use on that very interface."""

    def judge(done: Completed) -> Verdict:
        words = decode(done.stdout).replace(",", " ").split()
        is_active = "activated" in words and interface in words
        why = "" if is_active else output_of(done) or "the address is not in use"
        return Verdict(is_active, why)

    argv = ("nmcli", "-g", "GENERAL.STATE,GENERAL.DEVICES", "connection", "show", *profile)
    return Step("reach it there", argv, limit_s=REACH_S, anew=True, judge=judge)


def keep(name: str, priority: str) -> Step:
    keep = ("connection.autoconnect", "yes", "connection.autoconnect-priority", priority)
    return root("keep it", NMCLI, "connection", "modify", "id", name, *keep)


def whatever(done: Completed) -> Verdict:
    """It may not have been there."""
    return Verdict(done.exit_status is not None, "it was cut off")


def root(title: str, *argv: str, judge: Judge | None = None) -> Step:
    return Step(title, as_root(*argv), rule=" ".join(argv), judge=judge)
