"""One simulated board: load, clocks, heat, memory and rails, moved by time and nothing else."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

from cohete.clock import Clock
from cohete.simulator.disk import SimDisk, SimProfile
from cohete.simulator.faults import Fault
from cohete.simulator.formats import Reading, write_line
from cohete.simulator.modules import BY_KEY, Mode, SimModule
from cohete.simulator.thermal import ThermalState
from cohete.simulator.workload import DEMANDS, Workload

STEP_S = 0.25
_CATCH_UP_STEPS = 240
AMBIENT_C = 24.0


class SimBoard:
    """A board of one kind. Everything it prints follows from its seed and the clock."""

    def __init__(
        self,
        name: str,
        module: str | SimModule,
        clock: Clock,
        *,
        workload: Workload = Workload.INFERENCE,
        seed: int = 0,
        ambient_c: float = AMBIENT_C,
    ) -> None:
        self.name = name
        self.module = BY_KEY[module] if isinstance(module, str) else module
        self.clock = clock
        self.workload = workload
        self.faults: set[Fault] = set()
        self.ambient_c = ambient_c
        self.fan_profile = "quiet"
        self.fan_pwm: int | None = None
        self.fan_default_profile = "quiet"
        self.fan_service_active = True
        """Whether the board controls its fan by itself; before JetPack 5 the kernel does."""
        self.timers: dict[str, float] = {}
        """Timers on the board that give the fan back, and when."""
        self.clocks_locked = False
        self.gpu_used_since_boot = False
        self.booted_at = clock.monotonic() - 3600 * 5
        self.written: dict[str, bytes] = {}
        self.home: Path | None = None
        """A folder of this machine with what was put on the board over SFTP."""
        self.packages = {
            "linux-libc-dev:arm64": "5.15.0-1.2",
            "nvidia-jetpack": self.module.jetpack,
            "nvidia-l4t-core": self.module.core_package,
        }
        """Versions by name; "" is not installed."""
        self.boots = 0
        self.has_sensor = True
        self.over_current_events = 0
        self.battery_percent: int | None = None
        self.on_battery = False
        self.batch = 4
        """How many requests its server takes together: fewer need less memory and power."""
        self.services: dict[str, bool] = {}
        """Units that were installed on it, and whether each runs."""
        self.frozen_units: set[str] = set()
        self.disk = SimDisk()
        self.profiles: dict[str, SimProfile] = {}
        self.active_profile = self.way_back = ""
        self.containers: dict[str, str] = {}
        """Status of each by name, in docker's words."""
        self.refuses: set[str] = set()
        """Commands that fail: of docker, and systemd-run."""
        self.groups: dict[int, tuple[str, bool]] = {}
        """Process groups: the program of each, and whether it is stopped."""
        self.stopped_units: list[str] = []
        """What was stopped, in that order."""
        self.on_cut: Callable[[], object] = _nothing
        self.on_reboot: Callable[[], object] = _nothing
        """What the host that serves this board does then."""
        self._random = random.Random(f"{seed}:{name}")  # noqa: S311 - repeatable, not secret
        self._phase_s = self._random.uniform(0, 100)
        self._at = clock.monotonic()
        self._mode = self._mode_by_id(self.module.default_mode)
        self.pending_mode: Mode | None = None
        self._gpu = 0.0
        self._cpu = 0.02
        self._leaked_mb = 0.0
        self._throttle = 1.0
        self._cores: list[tuple[int, int] | None] = []
        power = self.module.idle_w
        settled = ThermalState(self.module.cooling, 0, 0).settled_c(
            power_w=power, fan=0.3, ambient_c=ambient_c
        )
        self.thermal = ThermalState(self.module.cooling, settled + 1, settled)
        self.power_w = power
        self._refresh(0.0)

    @property
    def mode(self) -> Mode:
        """The active power mode."""
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Make a mode active; a mode change undoes locked clocks, as on the real thing."""
        self._mode = mode
        self.pending_mode = None
        self.clocks_locked = False

    def reboot(self) -> None:
        """Start anew: a mode that waited for it is active, locked clocks are gone."""
        if self.pending_mode is not None:
            self.set_mode(self.pending_mode)
        self.clocks_locked = False
        self.gpu_used_since_boot = False
        self.booted_at = self.clock.monotonic()
        self.boots += 1
        self.start_fan_service()
        self.timers.clear()
        self.fan_profile = self.fan_default_profile
        # What lies in memory is gone with it.
        kept = self.profiles.get(self.active_profile)
        self.profiles = {name: each for name, each in self.profiles.items() if each.is_kept}
        self.active_profile = self.active_profile if kept is not None and kept.is_kept else ""
        self.written = {name: data for name, data in self.written.items() if "/run/" not in name}
        self.on_reboot()

    def has(self, fault: Fault) -> bool:
        """Whether this fault is on."""
        return fault in self.faults

    def settle(self, seconds: float) -> None:
        """Let physics run ahead, so that a board does not begin stone cold."""
        steps = int(seconds / STEP_S)
        for _ in range(steps):
            self._step(STEP_S, self._at)

    def advance(self) -> None:
        """Bring the board to the clock's now."""
        now = self.clock.monotonic()
        for timer, at in list(self.timers.items()):
            if now >= at:
                del self.timers[timer]
                if timer.startswith("cohete-fan"):
                    self.start_fan_service()
                else:
                    self.active_profile = self.way_back
        behind = now - self._at
        if behind <= 0:
            return
        steps = min(_CATCH_UP_STEPS, max(1, round(behind / STEP_S)))
        step_s = behind / steps
        for nth in range(steps):
            self._step(step_s, self._at + (nth + 1) * step_s)
        self._at = now

    @property
    def throttle_steps(self) -> int:
        """By how many steps the kernel lowers its clocks against the heat."""
        return round((1 - self._throttle) * 10)

    @property
    def _work_is_held(self) -> bool:
        """Whether nothing of what was installed on it runs."""
        held = self.frozen_units
        return bool(self.services) and not any(
            running and unit not in held for unit, running in self.services.items()
        )

    @property
    def has_fan_service(self) -> bool:
        """Whether nvfancontrol is on it: since JetPack 5."""
        return int(self.module.l4t.split(".")[0]) >= 34

    @property
    def fan_is_stuck(self) -> bool:
        """Whether the fan stands still whatever it is told."""
        return self.has(Fault.OVERHEAT)

    def start_fan_service(self) -> None:
        """The board controls its fan by itself again."""
        self.fan_service_active = True
        self.fan_pwm = None

    @property
    def fan_duty(self) -> float:
        """How hard the fan works, 0 to 1."""
        if self.fan_is_stuck and self.fan_pwm is None:
            return 0.0
        if self.fan_pwm is not None:
            return self.fan_pwm / 255
        start = 45.0 if self.fan_profile == "cool" else 55.0
        return min(1.0, max(0.15, (self.thermal.die_c - start) / 35))

    @property
    def memory_used_mb(self) -> int:
        """MemTotal minus MemAvailable, in MiB."""
        share = DEMANDS[self.workload].memory * (0.6 + 0.1 * self.batch)
        wobble = 0.004 * math.sin((self._at + self._phase_s) / 7.0)
        used = self.module.memory_mb * (share + wobble) + self._leaked_mb
        return int(min(used, self.module.memory_mb * 0.992))

    def zones(self) -> dict[str, float | None]:
        """Temperature by zone in C; None while the zone's power domain is off."""
        die = self.thermal.die_c
        offsets = {
            "cpu": 0.6 + 1.5 * self._cpu, "gpu": 0.2 + 2.2 * self._gpu, "soc0": -0.4, "soc1": -0.1,
            "soc2": -1.2, "soc012": -0.6, "soc345": 0.1, "cv0": -1.5, "cv1": -1.2, "cv2": -2.0,
            "mcpu": 0.4 + 1.5 * self._cpu, "bcpu": 0.5 + 1.5 * self._cpu, "pll": 0.0, "ao": 0.8,
            "aux": -0.8, "thermal": -0.3, "tdiode": -7.0, "tboard": -10.0,
        }  # fmt: skip
        zones: dict[str, float | None] = {}
        for name in self.module.zones:
            key = name.lower()
            if key == "pmic":
                zones[name] = 50.0 if self.module.l4t.startswith("32") else 100.0
            elif key != "tj":
                zones[name] = die + offsets[key]
        gpu_gated = self.has(Fault.GATED) or (
            self._gpu < 0.005 and self.module.style.gpu_load_for_user and self._gates_when_idle
        )
        for name in zones:
            if (name.lower() == "gpu" and gpu_gated) or name in ("CV0", "CV1", "CV2"):
                zones[name] = None
        if "tj" in self.module.zones:
            known = [c for n, c in zones.items() if c is not None and n.lower()[0] != "t"]
            zones["tj"] = max(known)
        return {name: zones[name] for name in self.module.zones}

    @property
    def _gates_when_idle(self) -> bool:
        return self.module.key.startswith("agx-orin")

    def rails_mw(self) -> dict[str, int]:
        """Power by rail, now."""
        module = self.module
        idle, cpu, gpu = module.idle_w, self._cpu_w, self._gpu_w
        return {name: int(1000 * (idle * a + cpu * b + gpu * c)) for name, a, b, c in module.rails}

    def reading(self) -> Reading:
        """Everything tegrastats would measure now; averages are the caller's, who ran it."""
        module = self.module
        used = self.memory_used_mb
        free = module.memory_mb - used
        lfb = f"{max(1, free // 40)}x4MB" if free > 400 else f"{max(1, free // 4)}x1MB"
        swap_total = module.memory_mb // 2
        swapped = max(0, int(used - module.memory_mb * 0.9)) * 3
        zones = self.zones()
        rails = self.rails_mw()
        return Reading(
            wall_s=self.clock.time(),
            ram_used_mb=used,
            ram_total_mb=module.memory_mb,
            lfb=lfb,
            swap=(min(swapped, swap_total), swap_total) if module.swap else None,
            cores=self._cores,
            gpu_percent=round(100 * self._gpu),
            gpu_mhz=self._gpu_mhz,
            gpu_clusters=module.gpu_clusters,
            emc_percent=round(4 + 55 * self._gpu),
            emc_mhz=module.emc_mhz if self._gpu > 0.05 else module.emc_mhz // 2,
            encoder_percent=round(100 * DEMANDS[self.workload].encoder),
            zones_c=zones,
            zones_max_c={name: value for name, value in zones.items() if value is not None},
            rails_mw={name: (value, value, value) for name, value in rails.items()},
        )

    def gpu_percent(self) -> int:
        """GPU load as nvidia-smi gives it."""
        self.advance()
        return round(100 * self._gpu)

    def mode_by_id(self, number: int) -> Mode | None:
        """The mode with this id, if the board has one."""
        return next((mode for mode in self.module.modes if mode.id == number), None)

    def _mode_by_id(self, number: int) -> Mode:
        return self.mode_by_id(number) or Mode(0, "", self.module.cores)

    def _step(self, step_s: float, at_s: float) -> None:
        demand = DEMANDS[Workload.IDLE if self._work_is_held else self.workload]
        wave = (
            math.sin(2 * math.pi * (at_s + self._phase_s) / demand.period_s)
            if demand.period_s
            else 0.0
        )
        if demand.period_s and demand.swing >= 0.3:
            wave = 1.0 if wave > 0 else -1.0
        noise = self._random.gauss(0, 0.02)
        want_gpu = min(
            1.0, max(0.0, demand.gpu + demand.swing * wave + (noise if demand.gpu else 0))
        ) * (0.4 + 0.15 * self.batch)
        want_cpu = min(1.0, max(0.01, demand.cpu + 0.5 * demand.swing * wave + noise))
        ease = min(1.0, step_s / 0.8)
        self._gpu += (want_gpu - self._gpu) * ease
        self._cpu += (want_cpu - self._cpu) * ease
        if self._gpu > 0.01:
            self.gpu_used_since_boot = True
        if self.workload is Workload.LEAK:
            self._leaked_mb = (self._leaked_mb + step_s * self.module.memory_mb / 1500) % (
                self.module.memory_mb * 0.5
            )
        self._refresh(noise)
        ambient = self.ambient_c + (34.0 if self.has(Fault.OVERHEAT) else 0.0)
        fan = 0.0 if self.fan_is_stuck else self.fan_duty
        self.thermal.advance(step_s, power_w=self.power_w, fan=fan, ambient_c=ambient)
        over = self.thermal.die_c - (self.module.throttle_c - 3)
        self._throttle = min(1.0, max(0.3, 1.0 - 0.12 * over)) if over > 0 else 1.0

    def _refresh(self, noise: float) -> None:
        module, mode = self.module, self._mode
        cpu_low, cpu_high = module.cpu_mhz
        cpu_cap = min(cpu_high, mode.cpu_mhz or cpu_high)
        gpu_low, gpu_high = module.gpu_mhz
        gpu_cap = min(gpu_high, mode.gpu_mhz or gpu_high)
        busy = 1.0 if self.clocks_locked else min(1.0, 0.25 + 1.2 * self._cpu)
        cpu_mhz = _table_clock(max(cpu_low, cpu_cap * busy * self._throttle), cpu_low, cpu_cap)
        gpu_share = 1.0 if self.clocks_locked or self._gpu > 0.05 else 0.0
        gpu_mhz = max(gpu_low, gpu_cap * gpu_share * self._throttle)
        self._gpu_mhz = _table_clock(gpu_mhz, gpu_low, gpu_cap)
        cores: list[tuple[int, int] | None] = []
        for nth in range(module.cores):
            if nth >= mode.cores:
                cores.append(None)
                continue
            share = self._cpu * (1.5 - nth / module.cores) + noise * (nth % 3 - 1)
            cores.append((min(100, max(0, round(100 * share))), cpu_mhz))
        self._cores = cores
        online = sum(core is not None for core in cores) / module.cores
        self._cpu_w = module.cpu_w * self._cpu * online * (cpu_mhz / cpu_high) ** 1.5
        self._gpu_w = module.gpu_w * self._gpu * (self._gpu_mhz / gpu_high) ** 1.5
        self.power_w = module.idle_w + self._cpu_w + self._gpu_w


def _nothing() -> None:
    """Nobody serves this board."""


def _table_clock(mhz: float, low: int, high: int) -> int:
    """The clock of the frequency table at or below `mhz`; tables have steps of about 77 MHz."""
    return high if mhz >= high else int(low + (mhz - low) // 76.8 * 76.8)


class TegraStatsRun:
    """One tegrastats process on a board: its averages and maxima begin when it does."""

    def __init__(self, board: SimBoard, *, root: bool) -> None:
        self._board = board
        self._root = root
        self._lines = 0
        self._sums: dict[str, int] = {}
        self._max_mw: dict[str, int] = {}
        self._max_c: dict[str, float] = {}

    def line(self) -> str:
        """The next line, without its end."""
        board = self._board
        board.advance()
        reading = board.reading()
        self._lines += 1
        for name, (now, _, _) in reading.rails_mw.items():
            self._sums[name] = self._sums.get(name, 0) + now
            self._max_mw[name] = max(self._max_mw.get(name, now), now)
            reading.rails_mw[name] = (now, self._sums[name] // self._lines, self._max_mw[name])
        for name, celsius in reading.zones_c.items():
            if celsius is not None:
                self._max_c[name] = max(self._max_c.get(name, celsius), celsius)
        reading.zones_max_c = self._max_c
        return write_line(board.module.style, reading, root=self._root)


FileReader = Callable[[SimBoard], bytes]
