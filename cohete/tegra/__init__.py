"""The tegrastats grammar, pure: a line becomes a `TegraStats`."""

from cohete.tegra.parser import parse
from cohete.tegra.stats import Core, Engine, Rail, TegraStats, Zone

__all__ = ["Core", "Engine", "Rail", "TegraStats", "Zone", "parse"]
