"""Memory: budgets that hold, pressure that is seen coming, leaks. Pure but for the log file."""

from cohete.memory.budget import BudgetExceeded, MemoryBudget, MemoryGuard
from cohete.memory.leak import Leak, find_leak
from cohete.memory.pressure import Level, Moment, Pressure, assess

__all__ = [
    "BudgetExceeded",
    "Leak",
    "Level",
    "MemoryBudget",
    "MemoryGuard",
    "Moment",
    "Pressure",
    "assess",
    "find_leak",
]
