"""What the power screen shows and offers, as values and lines of text. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cohete.config.control import Control
from cohete.control.change import Action
from cohete.fleet.breakers import DeviceBreaker
from cohete.fleet.holding import Release, Work
from cohete.power.clocks import HOT_C, SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode, lowered
from cohete.power.nvpmodel import Mode, PowerConf
from cohete.power.profiles import Profile
from cohete.power.state import PowerState
from cohete.thermal.breaker import GLYPHS
from cohete_tui.draw import Line, fit, wrap

FAN_STEPS = (255, 192, 128, 64)


@dataclass(frozen=True, slots=True)
class BoardState:
    """What was read of a board, and what is held on it."""

    power: PowerState
    held: tuple[Work, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A row: a heading, or something that can be chosen. `about` says what to know."""

    key: str
    line: Line
    action: Action | None = None


def offers(
    boards: Mapping[str, BoardState],
    settings: Control,
    limit_c: float | None,
    cells: int,
    profiles: Sequence[Profile] = (),
    chosen: Collection[str] = (),
) -> list[Offer]:
    """Everything that can be set on these boards, the active one marked.

    `chosen` are the names of the profiles these boards should have now.
    """
    found = [*_mode_rows(boards, settings, cells), *_clock_rows(boards, limit_c or HOT_C)]
    found += _fan_rows(boards)
    if profiles:
        found.append(_heading("Power profile", "  all of it at once"))
        wide = max(len(profile.name) for profile in profiles)
        found += [
            _profile_row(profile, wide, is_chosen=profile.name in chosen) for profile in profiles
        ]
    if any(board.held for board in boards.values()):
        found.append(_heading("Held because of heat"))
        found.append(Offer("release", [("  let go what was held", "")], Release()))
    return found


def only_shown(found: Sequence[Offer]) -> list[Offer]:
    """Where nothing may be changed: modes and profiles as they are, and no offer."""
    return [
        replace(offer, action=None)
        for offer in found
        if offer.action is None or isinstance(offer.action, SetMode | Profile)
    ]


def _heading(text: str, rest: str = "") -> Offer:
    return Offer(f"# {text}", [(text, "title"), (rest, "dim")])


_COLUMNS = (("W", 4), ("cores", 9), ("CPU MHz", 9), ("GPU MHz", 9), ("EMC MHz", 9))


def _mode_rows(boards: Mapping[str, BoardState], settings: Control, cells: int) -> list[Offer]:
    """Modes by name, over all boards; caps are those of the first board that has it."""
    known: dict[str, list[tuple[str, PowerConf, Mode]]] = {}
    active: dict[str, list[str]] = {}
    for name, board in boards.items():
        conf = board.power.power.conf
        for mode in conf.modes:
            known.setdefault(mode.name, []).append((name, conf, mode))
        if board.power.power.current is not None:
            active.setdefault(board.power.power.current.name, []).append(name)
    if not known:
        why = {board.power.power.note for board in boards.values() if board.power.power.note}
        return [_heading("Power mode"), Offer("", [(f"  {', '.join(why) or 'unknown'}", "warn")])]
    wide = max(12, *(len(name) for name in known)) + 4
    several = len(boards) > 1
    head = "".join(fit(title, size, right=True) for title, size in _columns(cells - wide))
    rows = [Offer("# Power mode", [(fit("Power mode", wide), "title"), (head, "dim")])]
    for name, places in known.items():
        _, conf, mode = places[0]
        caps = conf.caps(mode)
        values = (
            "–" if mode.watts is None else str(mode.watts),
            f"{caps.cores_online} of {caps.cores}" if caps.cores else "–",
            *(_cap(mhz) for mhz in (caps.highest_cpu_mhz, caps.gpu_mhz, caps.emc_mhz)),
        )
        text = "".join(
            fit(value, size, right=True)
            for value, (_, size) in zip(values, _columns(cells - wide), strict=False)
        )
        is_active = name in active
        mark = "●" if is_active else " "
        notes = []
        if several:
            notes.append(f"{len(active.get(name, []))} of {len(places)} active")
        slower = dict.fromkeys(clock.partition(" ")[0] for clock in lowered(conf, mode))
        if slower:
            notes.append(f"slower {', '.join(slower)}")
        elif is_active and not several:
            notes.append("active")
        rows.append(
            Offer(
                f"mode {name}",
                [
                    (f"{mark} ", "good"),
                    (fit(name, wide - 2), "title" if is_active else ""),
                    (text, ""),
                    (f"  {', '.join(notes)}", "warn" if slower else "dim"),
                ],
                SetMode(name, tuple(settings.drain), tuple(settings.finish)),
            )
        )
    return rows


def _columns(cells: int) -> list[tuple[str, int]]:
    """As many columns as fit."""
    kept: list[tuple[str, int]] = []
    for title, size in _COLUMNS:
        if sum(each for _, each in kept) + size > cells:
            break
        kept.append((title, size))
    return kept


def _cap(mhz: float | None) -> str:
    return "no cap" if mhz is None else f"{mhz:.0f}"


def _clock_rows(boards: Mapping[str, BoardState], limit_c: float) -> list[Offer]:
    words = {
        str(board.power.clocks.lock) if board.power.clocks is not None else "unknown"
        for board in boards.values()
    }
    return [
        _heading("Clocks", f"  {', '.join(sorted(words))}"),
        Offer("lock", [("  lock at their highest", "")], SetClocks(locked=True, limit_c=limit_c)),
        Offer("free", [("  let go", "")], SetClocks(locked=False)),
    ]


def _fan_rows(boards: Mapping[str, BoardState]) -> list[Offer]:
    fans = [board.power.fan for board in boards.values()]
    words = sorted({f"{fan.words}; {fan.speed}" if fan.speed else fan.words for fan in fans})
    rows = [_heading("Fan", f"  {words[0]}" if len(words) == 1 else f"  {len(words)} ways")]
    if not any(fan.pwm_path for fan in fans):
        return [*rows, Offer("", [("  no fan that can be controlled", "dim")])]
    rows.append(Offer("fan auto", [("  automatic", "")], AutomaticFan()))
    rows += [
        Offer(f"fan {profile}", [(f"  profile {profile}", "")], SetFanProfile(profile))
        for profile in dict.fromkeys(profile for fan in fans for profile in fan.profiles)
    ]
    rows += [
        Offer(f"fan {pwm}", [(f"  hold at {pwm} of 255 for 10 min", "")], HoldFan(pwm))
        for pwm in FAN_STEPS
    ]
    return rows


def _profile_row(profile: Profile, wide: int, *, is_chosen: bool) -> Offer:
    line: Line = [
        ("● " if is_chosen else "  ", "good"),
        (fit(profile.name, min(wide, 32)), "title" if is_chosen else ""),
        (f"  {profile.words}", "dim"),
    ]
    return Offer(f"profile {profile.name}", line, profile)


def state_lines(
    board: BoardState | None,
    breaker: DeviceBreaker | None,
    limits: Iterable[str],
    problem: str,
    cells: int,
) -> list[Line]:
    """One board: what differs from its mode, its limits, its breaker, what is unknown."""
    lines: list[Line] = [[(text, "danger")] for text in wrap(problem, cells, 3)]
    if board is None:
        return lines or [[("Reading the board …", "dim")]]
    power = board.power.power
    if power.note:
        lines += _wrapped(power.note, cells, "warn")
    for drift in power.drift[:6]:
        lines += _wrapped(str(drift), cells, "warn")
    if board.power.clocks_note:
        lines += _wrapped(board.power.clocks_note, cells, "dim")
    if board.held:
        names = ", ".join(work.words for work in board.held)
        lines += _wrapped(f"held: {names}", cells, "warn")
    for words in limits:
        style = "warn" if " step " in words and "no step" not in words else ""
        lines += _wrapped(f"limit {words}", cells, style)
    lines += breaker_lines(breaker, cells)
    return lines


def breaker_lines(each: DeviceBreaker | None, cells: int) -> list[Line]:
    """The thermal breaker of a device with its limits and what moved them."""
    if each is None:
        text = "No breaker: give the device a thermal_policy in the configuration."
        return _wrapped(text, cells, "dim")
    breaker, limits = each.breaker, each.limits
    style = "good" if breaker.allows_work else "danger"
    style = "warn" if breaker.is_warning or each.ahead.is_near else style
    lines: list[Line] = [
        [(f"{GLYPHS[breaker.state]} ", style), (part, style)]
        if not nth
        else [("  ", ""), (part, style)]
        for nth, part in enumerate(wrap(f"breaker {each.words}", cells - 2, 3))
    ]
    text = (
        f"{each.policy.name}: opens above {limits.threshold_c:g} C, closes from "
        f"{limits.cooldown_c:g} C, warns from {limits.warning_c:g} C"
    )
    lines += _wrapped(text, cells, "")
    for why in limits.why:
        lines += _wrapped(why, cells, "dim")
    return lines


def _wrapped(text: str, cells: int, style: str) -> list[Line]:
    return [[(part, style)] for part in wrap(text, cells, 4)]
