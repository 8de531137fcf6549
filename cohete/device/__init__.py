"""Who a device is: identity, facts with their age, and why something is unknown."""

from cohete.device.facts import Aged, FactCache, read_facts
from cohete.device.identity import ComputeHint, Facts, PowerMode, compute_hint, facts_from
from cohete.device.missing import explain

__all__ = [
    "Aged",
    "ComputeHint",
    "FactCache",
    "Facts",
    "PowerMode",
    "compute_hint",
    "explain",
    "facts_from",
    "read_facts",
]
