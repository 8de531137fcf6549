"""What simulated boards do all day, and what that asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Workload(StrEnum):
    """What a board does all day."""

    IDLE = "idle"
    INFERENCE = "inference"
    BURSTY = "bursty"
    TRAINING = "training"
    VIDEO = "video"
    LEAK = "leak"


@dataclass(frozen=True, slots=True)
class Demand:
    """How much of each part is asked for, 0 to 1, and how it swings."""

    gpu: float
    cpu: float
    memory: float
    encoder: float = 0.0
    period_s: float = 0.0
    swing: float = 0.0


DEMANDS = {
    Workload.IDLE: Demand(0.00, 0.03, 0.18),
    Workload.INFERENCE: Demand(0.72, 0.28, 0.62, period_s=47, swing=0.18),
    Workload.BURSTY: Demand(0.40, 0.35, 0.45, period_s=21, swing=0.40),
    Workload.TRAINING: Demand(0.97, 0.55, 0.78, period_s=90, swing=0.03),
    Workload.VIDEO: Demand(0.18, 0.40, 0.35, encoder=0.66, period_s=33, swing=0.10),
    Workload.LEAK: Demand(0.35, 0.25, 0.40, period_s=60, swing=0.10),
}
