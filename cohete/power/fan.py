"""The fan: automatic by profile, or held at a speed for a while. The board itself takes it back.

JetPack 5 and later: hwmon `pwmfan` (0 to 255), owned by nvfancontrol.service, which undoes every
write within 2 s while it runs. JetPack 4: /sys/devices/pwm-fan. A speed is held by a timer on the
board that gives control back when it is over, whatever has become of Cohete by then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cohete.control.change import Change, Need, Sections, Step, as_root, fed
from cohete.control.services import SYSTEMCTL
from cohete.errors import ChangeRefused
from cohete.links.commands import Argv, Probe
from cohete.power.fan_curve import FanCurve, parse_curves
from cohete.text import decode

SERVICE = "nvfancontrol.service"
GUARDS = ("cohete-fan-a", "cohete-fan-b")
"""Two names in turn: a new timer runs before the old one is ended."""
HOLDS_S = (600, 3600, 28_800)
"""How long a speed may be held: each is a rule of its own, for `*` is none."""
CONF = "/etc/nvfancontrol.conf"
STATUS = "/var/lib/nvfancontrol/status"
OLD = "/sys/devices/pwm-fan"

_HWMON = "/sys/class/hwmon/hwmon*"
FAN = Probe(
    "fan",
    ("sh", "-c", f"grep -s . {_HWMON}/name {_HWMON}/pwm1 {_HWMON}/rpm {_HWMON}/fan1_input "
     f"{OLD}/target_pwm {OLD}/temp_control {OLD}/rpm_measured"),
)  # fmt: skip
FAN_SERVICE = Probe("fan_service", (SYSTEMCTL, "is-active", SERVICE))
FAN_GUARD = Probe("fan_guard", (SYSTEMCTL, "is-active", *(f"{guard}.timer" for guard in GUARDS)))
FAN_CONF = Probe("fan_conf", ("cat", CONF))
FAN_STATUS = Probe("fan_status", ("cat", STATUS))
FAN_PROBES = (FAN, FAN_SERVICE, FAN_GUARD, FAN_CONF, FAN_STATUS)

_LINE = re.compile(r"^(/sys/[A-Za-z0-9_/-]{1,80}):(.{1,64})$", re.MULTILINE | re.ASCII)
_HWMON_PATH = re.compile(r"(/sys/class/hwmon/hwmon\d{1,3})/(name|pwm1|rpm|fan1_input)", re.ASCII)
_DEFAULT = re.compile(r"^\s*FAN_DEFAULT_PROFILE\s+([A-Za-z0-9_]{1,32})\s*$", re.MULTILINE)
_ACTIVE = re.compile(r"FAN\d:FAN_PROFILE:([A-Za-z0-9_]{1,32})", re.ASCII)


@dataclass(frozen=True, slots=True)
class FanState:
    """A board's fan. `pwm` 0 to 255; None is unknown. `service`: whether nvfancontrol runs."""

    pwm_path: str
    pwm: int | None
    rpm: int | None
    automatic: bool | None
    service: bool | None
    guards: tuple[str, ...]
    """Timers that run on the board and will give it back."""
    profile: str
    default_profile: str
    curves: tuple[FanCurve, ...]
    """What nvfancontrol does at which heat, by profile; none on JetPack 4."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """Profiles by name."""
        return tuple(curve.profile for curve in self.curves)

    @property
    def curve(self) -> FanCurve | None:
        """The curve of the profile it runs by; None where there is none, or it is held."""
        if not self.automatic:
            return None
        return next((curve for curve in self.curves if curve.profile == self.profile), None)

    @property
    def words(self) -> str:
        """How it is controlled; the speed of an automatic fan is its own affair."""
        if self.automatic is None:
            return "not known who controls it"
        if self.automatic:
            return f"automatic, profile {self.profile}" if self.profile else "automatic"
        until = "" if self.guards else ", and no timer gives it back"
        return f"held at {self.pwm} of 255{until}"

    @property
    def speed(self) -> str:
        """How fast it turns, in words; that it stands still although it should not, too."""
        if self.rpm is None:
            return f"PWM {self.pwm}" if self.pwm is not None else ""
        if self.rpm == 0 and (self.pwm or 0) >= 64:
            return f"PWM {self.pwm}, yet the fan stands still (0 rpm)"
        return f"PWM {self.pwm}, {self.rpm} rpm"


def parse_fan(board: Sections) -> FanState:
    """The fan from what the board said. Never raises."""
    lines = dict(_LINE.findall(decode(board.get(FAN.name, b""))))
    path, pwm, rpm = "", None, None
    for name, value in lines.items():
        match = _HWMON_PATH.fullmatch(name)
        if match is None:
            continue
        if match[2] == "name" and value.strip() == "pwmfan":
            path = f"{match[1]}/pwm1"
            pwm = _number(lines.get(path))
        elif match[2] in ("rpm", "fan1_input") and rpm is None:
            rpm = _number(value)
    service = _is_active(board, FAN_SERVICE)
    automatic = service
    if not path and f"{OLD}/target_pwm" in lines:
        path = f"{OLD}/target_pwm"
        pwm, rpm = _number(lines[path]), _number(lines.get(f"{OLD}/rpm_measured"))
        control = _number(lines.get(f"{OLD}/temp_control"))
        automatic = None if control is None else control != 0
    conf = decode(board.get(FAN_CONF.name, b""))
    default = found[1] if (found := _DEFAULT.search(conf)) else ""
    active = _ACTIVE.search(decode(board.get(FAN_STATUS.name, b"")))
    return FanState(
        path, pwm, rpm, automatic, service, _guards(board),
        active[1] if active else default, default,
        parse_curves(conf),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HoldFan:
    """The fan at a speed (PWM, 0 to 255) for `hold_s` seconds; then the board takes it back."""

    pwm: int
    hold_s: int = HOLDS_S[0]

    def __post_init__(self) -> None:
        if not 0 <= self.pwm <= 255:
            raise ChangeRefused(f"a fan speed is 0 to 255, not {self.pwm}")
        if self.hold_s not in HOLDS_S:
            raise ChangeRefused(f"a speed is held for one of {', '.join(map(str, HOLDS_S))} s")

    @property
    def intent(self) -> str:
        return f"hold the fan at {self.pwm} of 255 for {self.hold_s // 60} min"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return FAN_PROBES

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the board shows no fan."""
        fan = _require_fan(device, board)
        after = f"held at {self.pwm} of 255"
        if fan.automatic is False and fan.pwm == self.pwm and fan.guards:
            return Change(device, self.intent, fan.words, after, readings=fan.speed)
        has_service = not fan.pwm_path.startswith(OLD)
        new = next((guard for guard in GUARDS if guard not in fan.guards), GUARDS[0])
        steps = [
            *(_end_guards(fan, GUARDS[:1]) if len(fan.guards) == len(GUARDS) else ()),
            _guard_step(self.hold_s, new, with_service=has_service),
            *_end_guards(fan, tuple(guard for guard in fan.guards if guard != new)),
        ]
        if has_service:
            steps.append(_service_step("stop"))
        else:
            steps.append(_write_step(f"{OLD}/temp_control", "0", "stop the automatic control"))
        steps.append(_write_step(fan.pwm_path, str(self.pwm), f"set the fan to {self.pwm}"))
        return Change(
            device, self.intent, fan.words, after,
            steps=tuple(steps),
            needs=frozenset({Need.ROOT, Need.SERVICE_STOP}),
            notes=(*(("A slow fan lets the board get hot.",) if self.pwm < 64 else ()),
                   f"A timer on the board gives control back after {self.hold_s // 60} min."),
            undo=AutomaticFan(),
            undo_words="Undone by giving control back at once.",
            settle_s=4.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AutomaticFan:
    """The fan controlled by the board."""

    @property
    def intent(self) -> str:
        return "give the fan back to the board"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return FAN_PROBES

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the board shows no fan."""
        fan = _require_fan(device, board)
        if fan.automatic and not fan.guards:
            return Change(device, self.intent, fan.words, "automatic", readings=fan.speed)
        if fan.pwm_path.startswith(OLD):
            give_back = _write_step(f"{OLD}/temp_control", "1", "give control back")
        else:
            give_back = _service_step("start")
        return Change(
            device, self.intent, fan.words, "automatic",
            steps=(give_back, *_end_guards(fan)),
            needs=frozenset({Need.ROOT}),
            undo_words="Undone by holding a speed again.",
            settle_s=4.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetFanProfile:
    """One of the profiles in the board's nvfancontrol.conf, kept over restarts."""

    name: str

    @property
    def intent(self) -> str:
        return f"set the fan profile to {self.name}"

    @property
    def probes(self) -> tuple[Probe, ...]:
        return FAN_PROBES

    def plan(self, device: str, board: Sections) -> Change:
        """Raises ChangeRefused where the board has no such profile."""
        fan = _require_fan(device, board)
        if self.name not in fan.profiles or not fan.default_profile:
            names = ", ".join(fan.profiles) or "none"
            raise ChangeRefused(
                f"its {CONF} has no fan profile {self.name}",
                where=device,
                hint=f"It has: {names}.",
            )
        after = f"automatic, profile {self.name}"
        if fan.words == after and fan.default_profile == self.name:
            return Change(device, self.intent, fan.words, after, readings=fan.speed)
        before = f"{fan.words}, default {fan.default_profile}"
        edit = profile_edit(fan.default_profile, self.name)
        writes = () if fan.default_profile == self.name else (
            Step("write the profile", as_root(*edit), rule=" ".join(edit)),
        )  # fmt: skip
        return Change(
            device, self.intent, before, after,
            steps=(
                *writes,
                *(() if fan.guards else (_guard_step(HOLDS_S[0], GUARDS[0], with_service=True),)),
                _service_step("stop"),
                Step("forget the old profile", as_root("/bin/rm", "-f", STATUS),
                     rule=f"/bin/rm -f {STATUS}"),
                _service_step("start"),
                *_end_guards(fan, fan.guards or GUARDS[:1]),
            ),
            needs=frozenset({Need.ROOT, Need.SERVICE_STOP}),
            notes=(f"Changes FAN_DEFAULT_PROFILE in {CONF}.",),
            undo=SetFanProfile(fan.default_profile) if fan.default_profile != self.name else None,
            undo_words=f"Undone by setting {fan.default_profile} again.",
            settle_s=5.0,
        )  # fmt: skip


def profile_edit(before: str, after: str) -> Argv:
    """The command that replaces one default profile by another, and nothing else."""
    change = f"s/FAN_DEFAULT_PROFILE {before}$/FAN_DEFAULT_PROFILE {after}/"
    return ("/bin/sed", "-i", change, CONF)


def guard_argv(hold_s: int, guard: str, *, with_service: bool) -> Argv:
    """A timer on the board that gives the fan back; it outlives us and the connection."""
    timer = ("/usr/bin/systemd-run", f"--unit={guard}", f"--on-active={hold_s}", "--collect")
    if with_service:
        return (*timer, SYSTEMCTL, "start", SERVICE)
    text = ("-p", "StandardInput=data", "-p", "StandardInputText=1")
    return (*timer, *text, "/usr/bin/tee", f"{OLD}/temp_control")


def _require_fan(device: str, board: Sections) -> FanState:
    fan = parse_fan(board)
    if not fan.pwm_path:
        raise ChangeRefused(
            "it shows no fan that can be controlled (hwmon pwmfan or pwm-fan)", where=device
        )
    return fan


def _guard_step(hold_s: int, guard: str, *, with_service: bool) -> Step:
    argv = guard_argv(hold_s, guard, with_service=with_service)
    return Step(
        "set a timer that gives the fan back", as_root(*argv), rule=" ".join(argv), limit_s=15.0
    )


def _end_guards(fan: FanState, guards: tuple[str, ...] | None = None) -> tuple[Step, ...]:
    """End these timers, or all that run."""
    argvs = [
        (SYSTEMCTL, "stop", f"{guard}.timer")
        for guard in (fan.guards if guards is None else guards)
    ]
    return tuple(
        Step("end the timer of before", as_root(*argv), rule=" ".join(argv)) for argv in argvs
    )


def _guards(board: Sections) -> tuple[str, ...]:
    """One word a timer, in the order they were asked for."""
    words = decode(board.get(FAN_GUARD.name, b"")).split()
    return tuple(guard for guard, word in zip(GUARDS, words, strict=False) if word == "active")


def _service_step(verb: str) -> Step:
    argv = (SYSTEMCTL, verb, SERVICE)
    return Step(f"{verb} {SERVICE}", as_root(*argv), rule=" ".join(argv))


def _write_step(path: str, text: str, title: str) -> Step:
    rule = re.sub(r"hwmon\d{1,3}", "hwmon[0-9]", path)
    return Step(title, fed(text, as_root("/usr/bin/tee", path)), rule=f"/usr/bin/tee {rule}")


def _is_active(board: Sections, probe: Probe) -> bool | None:
    """True and False as systemd says; None where there is no such unit."""
    words = decode(board.get(probe.name, b"")).split()
    if not words or "found" in words:
        return None
    return words[0] == "active"


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
