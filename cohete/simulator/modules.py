"""The boards the simulator can be: what each prints, its rails, zones, modes and physics."""

from __future__ import annotations

from dataclasses import dataclass

from cohete.simulator.formats import (
    NANO_R32,
    ORIN_R35,
    ORIN_R36,
    ORIN_R39,
    THOR_R38,
    THOR_R39,
    TK1_R21,
    TX1_R28,
    TX2_R28,
    XAVIER_R32,
    Style,
)
from cohete.simulator.thermal import Cooling


@dataclass(frozen=True, slots=True)
class Mode:
    """A power mode; None is no cap. `mask` is the GPU power-gating mask that decides on reboots."""

    id: int
    name: str
    cores: int
    cpu_mhz: int | None = None
    gpu_mhz: int | None = None
    mask: int = 0


@dataclass(frozen=True, slots=True)
class SimModule:
    """One kind of board. Power figures in W at full load and full clocks."""

    key: str
    model: str
    compatible: tuple[str, ...]
    l4t: str
    jetpack: str
    core_package: str
    memory_mb: int
    cores: int
    cpu_mhz: tuple[int, int]
    gpu_mhz: tuple[int, int]
    gpu_clusters: int
    emc_mhz: int
    idle_w: float
    cpu_w: float
    gpu_w: float
    cooling: Cooling
    style: Style
    rails: tuple[tuple[str, float, float, float], ...]
    """Name, and the shares of idle, CPU and GPU power that flow through it."""
    zones: tuple[str, ...]
    modes: tuple[Mode, ...]
    default_mode: int
    throttle_c: float = 97.0
    swap: bool = True
    wide_lfb: bool = False

    @property
    def kernel(self) -> str:
        """The release of the kernel that this L4T ships."""
        return f"{_KERNELS[self.l4t.partition('.')[0]]}-tegra"


_KERNELS = {
    "21": "3.10.40", "28": "4.4.38", "32": "4.9.253", "35": "5.10.120", "36": "5.15.148",
    "38": "6.8.12", "39": "6.8.12",
}  # fmt: skip

_SMALL = Cooling(4.0, 90.0, 0.9, 4.2)
_MEDIUM = Cooling(6.0, 160.0, 0.55, 2.4)
_LARGE = Cooling(12.0, 420.0, 0.22, 0.85)
_HUGE = Cooling(30.0, 900.0, 0.10, 0.36)

_VDD_IN = (
    ("VDD_IN", 1.0, 1.0, 1.0),
    ("VDD_CPU_GPU_CV", 0.10, 0.85, 0.85),
    ("VDD_SOC", 0.30, 0.05, 0.05),
)
_AGX_ORIN = (
    ("VDD_GPU_SOC", 0.30, 0.10, 0.85),
    ("VDD_CPU_CV", 0.10, 0.80, 0.05),
    ("VIN_SYS_5V0", 0.60, 0.10, 0.10),
)
_THOR = (
    ("VDD_GPU", 0.05, 0.02, 0.80),
    ("VDD_CPU_SOC_MSS", 0.30, 0.70, 0.10),
    ("VIN_SYS_5V0", 0.30, 0.10, 0.05),
    ("VIN", 1.0, 1.0, 1.0),
)
_NANO = (
    ("POM_5V_IN", 1.0, 1.0, 1.0),
    ("POM_5V_GPU", 0.02, 0.02, 0.85),
    ("POM_5V_CPU", 0.15, 0.85, 0.05),
)
_AGX_XAVIER = (
    ("GPU", 0.05, 0.02, 0.75),
    ("CPU", 0.10, 0.80, 0.03),
    ("SOC", 0.30, 0.08, 0.10),
    ("CV", 0.0, 0.0, 0.0),
    ("VDDRQ", 0.15, 0.05, 0.07),
    ("SYS5V", 0.40, 0.05, 0.05),
)
_TX2 = (
    ("VDD_IN", 1.0, 1.0, 1.0),
    ("VDD_CPU", 0.15, 0.80, 0.05),
    ("VDD_GPU", 0.05, 0.03, 0.80),
    ("VDD_SOC", 0.30, 0.05, 0.05),
    ("VDD_WIFI", 0.02, 0.0, 0.0),
    ("VDD_DDR", 0.30, 0.05, 0.05),
)

_LOWER = ("cpu", "soc2", "soc0", "gpu", "tj", "soc1")
_LOWER_CV = ("cv0", "cpu", "soc2", "soc0", "cv1", "gpu", "tj", "soc1", "cv2")
_UPPER_CV = ("CV0", "CPU", "SOC2", "SOC0", "CV1", "GPU", "tj", "SOC1", "CV2")
_THOR_ZONES = ("cpu", "tj", "soc012", "gpu", "soc345")
_TX2_ZONES = ("BCPU", "MCPU", "GPU", "PLL", "Tboard", "Tdiode", "PMIC", "thermal")


def _orin(carrier: str, part: str, suffix: str = "") -> tuple[str, ...]:
    return (f"nvidia,{carrier}+{part}{suffix}", f"nvidia,{part}", "nvidia,tegra234")


SIM_MODULES: tuple[SimModule, ...] = (
    SimModule(
        "orin-nano-8gb", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        _orin("p3768-0000", "p3767-0005", "-super"), "36.4.7", "6.2.1+b38",
        "36.4.7-20250918154033", 7607, 6, (729, 1728), (306, 1020), 1, 3199, 4.2, 6.0, 12.0,
        _MEDIUM, ORIN_R36, _VDD_IN, _LOWER,
        (Mode(0, "15W", 6, 1498, 612, 240), Mode(1, "25W", 6, 1344, 918, 240),
         Mode(2, "MAXN_SUPER", 6, None, None, 240)), 1,
    ),
    SimModule(
        "orin-nano-4gb", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit",
        _orin("p3768-0000", "p3767-0004"), "36.4.3", "6.2+b77", "36.4.3-20250107174145", 3602, 6,
        (729, 1510), (306, 625), 1, 2133, 3.4, 4.0, 5.0, _MEDIUM, ORIN_R36, _VDD_IN, _LOWER,
        (Mode(0, "10W", 6, None, None, 252), Mode(1, "7W_AI", 4, 806, 408, 252),
         Mode(2, "7W_CPU", 4, 960, 306, 252)), 0,
    ),
    SimModule(
        "orin-nano-r39", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        _orin("p3768-0000", "p3767-0005", "-super"), "39.2.1", "7.2.1+b12",
        "39.2.1-20260807055422", 7486, 6, (729, 1728), (306, 1020), 1, 3199, 3.6, 6.0, 12.0,
        _MEDIUM, ORIN_R39, _VDD_IN, _LOWER,
        (Mode(0, "15W", 6, 1498, 612, 240), Mode(1, "25W", 6, 1344, 918, 240),
         Mode(2, "MAXN_SUPER", 6, None, None, 240)), 1, swap=False,
    ),
    SimModule(
        "orin-nx-16gb", "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        _orin("p3768-0000", "p3767-0000"), "36.4.4", "6.2.1+b38", "36.4.4-20250616085344", 15656,
        8, (729, 1984), (306, 918), 1, 3199, 4.6, 8.0, 12.0, _MEDIUM, ORIN_R36, _VDD_IN, _LOWER_CV,
        (Mode(0, "MAXN", 8, None, None, 240), Mode(1, "10W", 4, 1190, 612, 252),
         Mode(2, "15W", 4, 1651, 612, 252), Mode(3, "25W", 8, 1498, 408, 240)), 0,
    ),
    SimModule(
        "orin-nx-8gb", "NVIDIA Orin NX Developer Kit",
        _orin("p3509-0000", "p3767-0001"), "35.4.1", "5.1.2-b104", "35.4.1-20230801124926", 7337,
        6, (729, 1984), (306, 765), 2, 3199, 4.4, 6.0, 9.0, _MEDIUM, ORIN_R35, _VDD_IN, _UPPER_CV,
        (Mode(0, "MAXN", 6, None, None, 240), Mode(1, "10W", 4, 1190, 612, 252),
         Mode(2, "15W", 4, 1421, 612, 252), Mode(3, "20W", 6, 1498, 408, 240)), 2,
    ),
    SimModule(
        "agx-orin-64gb", "NVIDIA Jetson AGX Orin Developer Kit",
        _orin("p3737-0000", "p3701-0005"), "36.4.4", "6.2.1+b38", "36.4.4-20250616085344", 62841,
        12, (729, 2201), (306, 1300), 2, 3199, 9.0, 18.0, 32.0, _LARGE, ORIN_R36, _AGX_ORIN,
        ("cpu", "soc2", "soc0", "gpu", "tj", "soc1"),
        (Mode(0, "MAXN", 12), Mode(1, "MODE_15W", 4, 1114, 408, 248),
         Mode(2, "MODE_30W", 8, 1728, 612, 240), Mode(3, "MODE_50W", 12, 1498, 816)), 2,
    ),
    SimModule(
        "agx-orin-32gb", "NVIDIA Jetson AGX Orin Developer Kit",
        _orin("p3737-0000", "p3701-0004"), "35.3.1", "5.1.1-b56", "35.3.1-20230319081403", 30623,
        8, (729, 2188), (114, 930), 2, 3199, 8.5, 14.0, 22.0, _LARGE, ORIN_R35, _AGX_ORIN,
        ("CV0", "CPU", "Tboard", "SOC2", "Tdiode", "SOC0", "CV1", "GPU", "tj", "SOC1", "CV2"),
        (Mode(0, "MAXN", 8, None, None, 128), Mode(1, "MODE_15W", 4, 1114, 408, 248),
         Mode(2, "MODE_30W", 8, 1728, 612, 240), Mode(3, "MODE_40W", 8, 1498, 816, 128)), 2,
    ),
    SimModule(
        "thor", "NVIDIA Jetson AGX Thor Developer Kit",
        ("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"), "38.4.0",
        "7.1-b100", "38.4.0-20251230160601", 125772, 14, (972, 2601), (314, 1575), 3, 4266, 22.0,
        38.0, 70.0, _HUGE, THOR_R38, _THOR, _THOR_ZONES,
        (Mode(0, "MAXN", 14), Mode(1, "120W", 14, 2601, 1386), Mode(2, "90W", 12, 2200, 1100, 3),
         Mode(3, "70W", 12, 1800, 900, 7)), 1, swap=False,
    ),
    SimModule(
        "thor-r39", "NVIDIA Jetson AGX Thor Developer Kit",
        ("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"), "39.2.0",
        "7.2-b20", "39.2.0-20260601092848", 125749, 14, (972, 2601), (314, 1575), 3, 4266, 22.0,
        38.0, 70.0, _HUGE, THOR_R39, _THOR, _THOR_ZONES,
        (Mode(0, "MAXN", 14), Mode(1, "120W", 14, 2601, 1386), Mode(2, "90W", 12, 2200, 1100, 3),
         Mode(3, "70W", 12, 1800, 900, 7)), 1,
    ),
    SimModule(
        "nano", "NVIDIA Jetson Nano Developer Kit",
        ("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"),
        "32.7.1", "4.6.1-b110", "32.7.1-20220219090432", 3964, 4, (102, 1479), (76, 921), 1, 1600,
        1.6, 3.2, 4.6, _SMALL, NANO_R32, _NANO, ("PLL", "CPU", "PMIC", "GPU", "AO", "thermal"),
        (Mode(0, "MAXN", 4), Mode(1, "5W", 2, 918, 640)), 0,
    ),
    SimModule(
        "xavier-nx", "NVIDIA Jetson Xavier NX Developer Kit",
        ("nvidia,p3509-0000+p3668-0000", "nvidia,p3668-0000", "nvidia,tegra194"), "32.7.4",
        "4.6.4-b39", "32.7.4-20230608212426", 7774, 6, (1190, 1907), (114, 1109), 1, 1866, 3.2,
        7.0, 8.0, _MEDIUM, XAVIER_R32, _VDD_IN, ("AO", "GPU", "PMIC", "AUX", "CPU", "thermal"),
        (Mode(0, "MODE_15W_2CORE", 2, 1907, 1109, 1), Mode(1, "MODE_15W_4CORE", 4, 1421, 1109, 1),
         Mode(2, "MODE_15W_6CORE", 6, 1421, 1109, 1), Mode(3, "MODE_10W_2CORE", 2, 1498, 803, 1),
         Mode(4, "MODE_10W_4CORE", 4, 1190, 803, 1), Mode(8, "MODE_20W_6CORE", 6, 1421, 1109, 1)),
        2,
    ),
    SimModule(
        "agx-xavier", "Jetson-AGX",
        ("nvidia,p2972-0000", "nvidia,p2888-0004", "nvidia,tegra194"), "32.6.1", "4.6-b199",
        "32.6.1-20210726122859", 31919, 8, (1190, 2265), (114, 1377), 1, 2133, 5.5, 14.0, 16.0,
        _LARGE, XAVIER_R32, _AGX_XAVIER,
        ("AO", "GPU", "Tdiode", "PMIC", "AUX", "CPU", "thermal", "Tboard"),
        (Mode(0, "MAXN", 8), Mode(1, "MODE_10W", 2, 1200, 520, 5),
         Mode(2, "MODE_15W", 4, 1200, 670), Mode(3, "MODE_30W_ALL", 8, 1200, 900),
         Mode(7, "MODE_15W_DESKTOP", 4, 2189, 670)), 0,
    ),
    SimModule(
        "tx2", "quill", ("nvidia,p2597-0000+p3310-1000", "nvidia,quill", "nvidia,tegra186"),
        "28.2.1", "", "28.2.1-20180517002905", 7855, 6, (345, 2035), (114, 1300), 1, 1866, 2.6,
        5.5, 7.0, _MEDIUM, TX2_R28, _TX2, _TX2_ZONES,
        (Mode(0, "MAXN", 6), Mode(1, "MAXQ", 4, 1200, 850),
         Mode(3, "MAXP_CORE_ARM", 4, 2000, 1120)),
        0, swap=False,
    ),
    SimModule(
        "tx1", "jetson_tx1", ("nvidia,p2371-2180", "nvidia,jetson-cv", "nvidia,tegra210"),
        "28.1.0", "", "", 3983, 4, (102, 1734), (76, 998), 1, 1600, 2.0, 5.0, 6.0, _MEDIUM,
        TX1_R28, (), (), (), 0,
    ),
    SimModule(
        "tk1", "jetson-tk1", ("nvidia,jetson-tk1", "nvidia,tegra124"), "21.8.0", "", "", 1876, 4,
        (204, 2218), (72, 852), 1, 924, 1.8, 4.0, 4.5, _SMALL, TK1_R21, (), (), (), 0, swap=False,
    ),
)  # fmt: skip

BY_KEY = {module.key: module for module in SIM_MODULES}
