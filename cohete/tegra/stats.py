"""One tegrastats sample as values: a number, off, or unknown (None). Unknown is never 0.

Named tuples, because each line of each board makes a dozen of them, and a frozen dataclass costs
twice as much to make.
"""

from __future__ import annotations

from typing import NamedTuple

from cohete.tegra.rules import hottest_zone, module_power_mw


class Core(NamedTuple):
    """One CPU core: load relative to its own clock, or offline."""

    percent: int | None
    mhz: int | None
    off: bool = False


class Engine(NamedTuple):
    """A hardware engine: load (None: not printed), one clock a cluster, or powered off."""

    name: str
    percent: int | None
    mhz: tuple[int, ...]
    off: bool = False


class Zone(NamedTuple):
    """A temperature; `celsius` is None while the zone's power domain is gated (-256C)."""

    name: str
    celsius: float | None
    max_c: float | None = None


class Rail(NamedTuple):
    """A power rail in mW with its sign; `avg_mw` runs since this tegrastats started."""

    name: str
    cur_mw: int
    avg_mw: int | None = None
    max_mw: int | None = None


class TegraStats(NamedTuple):
    """Everything one line says. Sizes are MiB (`_mb`) or KiB (`_kb`) as the kernel counts them."""

    ram_used_mb: int
    ram_total_mb: int
    lfb_blocks: int | None = None
    lfb_kb: int | None = None
    swap_used_mb: int | None = None
    swap_total_mb: int | None = None
    swap_cached_mb: int | None = None
    iram_used_kb: int | None = None
    iram_total_kb: int | None = None
    iram_lfb_kb: int | None = None
    cores: tuple[Core, ...] = ()
    gpu_percent: int | None = None
    gpu_mhz: tuple[int, ...] = ()
    gpu_off: bool = False
    emc_percent: int | None = None
    emc_mhz: int | None = None
    engines: tuple[Engine, ...] = ()
    zones: tuple[Zone, ...] = ()
    rails: tuple[Rail, ...] = ()
    mts_fg_percent: int | None = None
    mts_bg_percent: int | None = None
    edp_limit: int | None = None
    time: str | None = None
    unknown_tokens: int = 0

    @property
    def cpu_percent(self) -> float | None:
        """Mean load of the cores that are online; None where none was printed."""
        loads = [core.percent for core in self.cores if core.percent is not None]
        return sum(loads) / len(loads) if loads else None

    @property
    def hottest(self) -> Zone | None:
        """The hottest zone that measures the module itself."""
        return hottest_zone(self.zones)

    @property
    def power_mw(self) -> int | None:
        """Total of the module by its own rule, no rail counted twice; None where unknown."""
        return module_power_mw(self.rails)

    @property
    def ram_percent(self) -> float | None:
        """Used share of the pool that CPU and GPU share."""
        return 100 * self.ram_used_mb / self.ram_total_mb if self.ram_total_mb else None

    @property
    def cores_online(self) -> int:
        """How many cores are not off."""
        return sum(not core.off for core in self.cores)
