"""cohete.yaml: typed schema, loading with line numbers, and the devices it names."""

from cohete.config.devices import DeviceSpec, Reach, specs_from_config, specs_from_targets
from cohete.config.loading import check, find_config, load
from cohete.config.schema import Config, ThermalPolicy
from cohete.config.target import Target, parse_target

__all__ = [
    "Config",
    "DeviceSpec",
    "Reach",
    "Target",
    "ThermalPolicy",
    "check",
    "find_config",
    "load",
    "parse_target",
    "specs_from_config",
    "specs_from_targets",
]
