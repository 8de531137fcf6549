"""How a dashboard is begun."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cohete_tui.looks import Looks

if TYPE_CHECKING:
    from cohete.fleet.session import FleetPlan


@dataclass(frozen=True, slots=True)
class Launch:
    """What to show: a planned fleet, the demo, or (neither) the start screen."""

    plan: FleetPlan | None = None
    demo: bool = False
    accept_new: bool = False
    read_only: bool = False
    history: bool = False
    replay: Path | None = None
    max_kbps: float | None = None
    looks: Looks = field(default_factory=Looks)
    served: bool = False
    """In a browser: nothing is written, neither here nor on a device."""
    model: str | None = None
    """Begin with the quantization wizard; "" asks which model."""
    setup: bool = False
    """Lead through setting up the first board; its password may be asked for."""
