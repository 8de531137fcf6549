"""A sample in the form every export shares: plain types, None where something is unknown."""

from __future__ import annotations

from cohete.tegra.stats import Engine, TegraStats

Plain = (
    int
    | float
    | str
    | bool
    | None
    | list[int | None]
    | dict[str, float]
    | dict[str, int]
    | dict[str, dict[str, int | bool | list[int] | None]]
)


def as_dict(stats: TegraStats) -> dict[str, Plain]:
    """The sample by field name, in the order in which screens show it."""
    hottest = stats.hottest
    return {
        "ram_used_mb": stats.ram_used_mb,
        "ram_total_mb": stats.ram_total_mb,
        "lfb_blocks": stats.lfb_blocks,
        "lfb_kb": stats.lfb_kb,
        "swap_used_mb": stats.swap_used_mb,
        "swap_total_mb": stats.swap_total_mb,
        "swap_cached_mb": stats.swap_cached_mb,
        "cpu_percent": [core.percent for core in stats.cores],
        "cpu_mhz": [core.mhz for core in stats.cores],
        "gpu_percent": stats.gpu_percent,
        "gpu_mhz": list(stats.gpu_mhz),
        "emc_percent": stats.emc_percent,
        "emc_mhz": stats.emc_mhz,
        "engines": {engine.name: _engine(engine) for engine in stats.engines},
        "temps_c": {z.name: z.celsius for z in stats.zones if z.celsius is not None},
        "temps_max_c": {z.name: z.max_c for z in stats.zones if z.max_c is not None},
        "rails_mw": {rail.name: rail.cur_mw for rail in stats.rails},
        "rails_avg_mw": {r.name: r.avg_mw for r in stats.rails if r.avg_mw is not None},
        "rails_max_mw": {r.name: r.max_mw for r in stats.rails if r.max_mw is not None},
        "power_mw": stats.power_mw,
        "hottest_zone": hottest.name if hottest else None,
        "hottest_c": hottest.celsius if hottest else None,
        "time": stats.time,
    }


def _engine(engine: Engine) -> dict[str, int | bool | list[int] | None]:
    mhz = list(engine.mhz)
    return {
        "percent": engine.percent,
        "mhz": mhz[0] if len(mhz) == 1 else mhz or None,
        "off": engine.off,
    }
