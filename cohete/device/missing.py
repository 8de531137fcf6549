"""Why a value is unknown: the sentence that stands where a number would."""

from __future__ import annotations

from cohete.device.identity import Facts
from cohete.hardware import Family
from cohete.tegra import TegraStats
from cohete.tegra.rules import contradicted_by


def explain(
    stats: TegraStats | None, facts: Facts | None, *, root: bool, sudo_note: str = ""
) -> dict[str, str]:
    """Reasons by field for what this sample does not say.

    `root`: whether this stream is root's tegrastats; `sudo_note`: why it is not, if that was tried.
    """
    if stats is None:
        return {}
    reasons: dict[str, str] = {}
    release = f"L4T {facts.l4t}" if facts and facts.l4t else "this release"
    ask = sudo_note or "allow sudo for this device to see it"
    thor = bool(facts and facts.module and facts.module.family is Family.THOR)
    if stats.gpu_percent is None:
        if thor:
            reasons["gpu"] = "tegrastats prints no GPU load on Thor; nvidia-smi gives it instead"
        elif stats.gpu_off:
            reasons["gpu"] = "the GPU is powered off"
        else:
            reasons["gpu"] = f"tegrastats on {release} prints no GPU load" + (
                "" if root else f" without root; {ask}"
            )
    if stats.emc_percent is None:
        reasons["emc"] = f"memory bandwidth (EMC) needs root on {release}" + (
            "" if root else f"; {ask}"
        )
    if not stats.engines:
        reasons["engines"] = f"engine loads need root on {release}" + ("" if root else f"; {ask}")
    if not stats.rails:
        reasons["power"] = "this carrier or release prints no power rails"
    elif stats.power_mw is None:
        reasons["power"] = "no rail of this board measures the whole module"
    else:
        swapped = contradicted_by(stats.rails)
        if swapped is not None:
            reasons["power"] = (
                f"{swapped.name} draws more than the total: this carrier may swap rail labels"
            )
    if not stats.zones:
        reasons["temperature"] = f"tegrastats on {release} prints no temperatures"
    if stats.swap_total_mb is None:
        reasons["swap"] = "this device has no swap"
    return reasons
