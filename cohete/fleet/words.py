"""Values as a person reads them: with unit, `–` for unknown, `off` for off, `0` for zero."""

from __future__ import annotations

from collections.abc import Sequence

from cohete.fleet.state import Device, Refusal, State
from cohete.fleet.store import Totals

UNKNOWN = "–"


def percent(value: float | None) -> str:
    """`71%`."""
    return UNKNOWN if value is None else f"{value:.0f}%"


def load(device: Device, now_s: float) -> str:
    """The GPU's load: `71%`, `off`, or unknown."""
    if device.stats is not None and device.stats.gpu_off:
        return "off"
    return percent(device.gpu_percent(now_s))


def celsius(value: float | None) -> str:
    """`61.2C`."""
    return UNKNOWN if value is None else f"{value:.1f}C"


def watts(power_mw: int | None) -> str:
    """`11.2W`; a small negative reading of an idle rail is shown as 0."""
    if power_mw is None:
        return UNKNOWN
    value = max(0, power_mw) / 1000
    return f"{value:.1f}W" if value < 100 else f"{value:.0f}W"


def gib(size_mb: float | None) -> str:
    """`5.1G`, binary."""
    if size_mb is None:
        return UNKNOWN
    value = size_mb / 1024
    return f"{value:.1f}G" if value < 10 else f"{value:.0f}G"


def span(seconds: float | None) -> str:
    """A duration in at most five characters: `0.4s`, `12s`, `5m`, `3h`, `12d`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 120:
        return f"{seconds:.0f}s"
    if seconds < 7200:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 172_800 else f"{seconds / 86_400:.0f}d"


def trend(slope_per_min: float | None) -> str:
    """An arrow and the change per minute; the arrow alone where it is steady."""
    if slope_per_min is None:
        return ""
    if abs(slope_per_min) < 0.2:
        return "→"
    return f"{'↗' if slope_per_min > 0 else '↘'} {slope_per_min:+.1f}/min"


def state_word(device: Device, now_s: float) -> str:
    """The state with what belongs to it: `stale 12s`, `lost, try in 8s`."""
    if device.state is State.STALE:
        return f"stale {span(device.age_s(now_s))}"
    if device.state is State.LOST:
        left_s = 0.0 if device.next_try_at is None else device.next_try_at - now_s
        return f"lost, try in {left_s:.0f}s" if left_s >= 0.5 else "lost, trying"
    if device.state is State.REFUSED and device.refusal not in (None, Refusal.OTHER):
        return f"refused: {device.refusal}"
    return str(device.state)


def counted(devices: Sequence[Device]) -> str:
    """`cam-01` for one, `3 devices` for more."""
    return devices[0].id if len(devices) == 1 else f"{len(devices)} devices"


ROW_TITLES = (
    "DEVICE ",
    "STATE ",
    "GPU",
    "CPU",
    "RAM",
    "HOTTEST",
    "POWER",
    "MODE ",
    "MODULE ",
    "AGE",
)


def row(device: Device, now_s: float) -> tuple[str, ...]:
    """One device as the cells of ROW_TITLES."""
    stats = device.stats
    hottest = stats.hottest if stats else None
    return (
        device.id,
        state_word(device, now_s),
        load(device, now_s),
        percent(stats.cpu_percent if stats else None),
        f"{gib(stats.ram_used_mb)} of {gib(stats.ram_total_mb)}" if stats else UNKNOWN,
        f"{hottest.name} {celsius(hottest.celsius)}" if hottest else UNKNOWN,
        watts(stats.power_mw if stats else None),
        device.mode_name or UNKNOWN,
        device.module_name or UNKNOWN,
        span(device.age_s(now_s)),
    )


def totals_line(totals: Totals, name: str) -> str:
    """The fleet in one line."""
    parts = [f"{totals.live} live"]
    for word, count in (
        ("stale", totals.stale),
        ("lost", totals.lost),
        ("refused", totals.refused),
        ("connecting", totals.connecting),
        ("breaker open", totals.breaker_open),
        ("hot", totals.hot),
        ("over budget", totals.over_budget),
    ):
        if count:
            parts.append(f"{count} {word}")
    parts.append(f"RAM {gib(totals.ram_used_mb)} of {gib(totals.ram_total_mb)}")
    power = watts(totals.power_mw)
    if totals.power_mw is not None and totals.measured_power < totals.live:
        power += f" on {totals.measured_power} of {totals.live}"
    parts.append(f"power {power}")
    return f"{name or 'fleet'}: {', '.join(parts)}"
