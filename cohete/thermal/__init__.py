"""Heat: policies, the circuit breaker, what is about to happen, what already throttles. Pure."""

from cohete.thermal.breaker import Breaker, BreakerState
from cohete.thermal.guard import ThermalCircuitBreaker, ThermalExceeded
from cohete.thermal.policy import Limits, Policy

__all__ = [
    "Breaker",
    "BreakerState",
    "Limits",
    "Policy",
    "ThermalCircuitBreaker",
    "ThermalExceeded",
]
