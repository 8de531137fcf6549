"""The devices that a configuration or a command line names."""

from __future__ import annotations

from pathlib import Path

from cohete.config.schema import Config, Device
from cohete.config.spec import DeviceSpec, Reach
from cohete.config.target import Target, parse_target

USB_ADDRESS = "192.168.55.1"
"""Where every running L4T answers on its USB gadget network."""


def specs_from_config(config: Config, folder: Path) -> list[DeviceSpec]:
    """The devices of a configuration; relative files are relative to `folder`."""
    return [_spec(device, config, folder) for device in config.fleet.devices]


def specs_from_targets(texts: tuple[str, ...], *, interval_ms: int = 1000) -> list[DeviceSpec]:
    """Devices named on the command line, each once, in that order. Raises ConfigError."""
    specs: dict[str, DeviceSpec] = {}
    for text in texts:
        target = parse_target(text)
        specs.setdefault(str(target), DeviceSpec(str(target), target, interval_ms=interval_ms))
    return list(specs.values())


def _spec(device: Device, config: Config, folder: Path) -> DeviceSpec:
    reach = {"local": Reach.LOCAL, "replay": Reach.REPLAY}.get(device.connection, Reach.SSH)
    host = device.host or device.ip
    if host is None:
        host = {"usb": USB_ADDRESS, "mdns": f"{device.id}.local"}.get(device.connection, device.id)
    hops = [device.jump] if isinstance(device.jump, str) else device.jump
    return DeviceSpec(
        id=device.id,
        target=Target(host, device.user, device.port),
        reach=reach,
        identity_file=_within(device.identity_file, folder),
        jumps=None if hops is None else tuple(parse_target(hop) for hop in hops),
        file=Path(_within(device.file, folder) or "") if device.file else None,
        enabled=device.enabled,
        sudo=device.sudo,
        read_only=device.read_only,
        interval_ms=device.interval_ms or config.watch.interval_ms,
        tags=tuple(device.tags),
        site=device.site,
        memory_budget_mb=device.memory_budget_mb
        if "memory_budget_mb" in device.model_fields_set
        else None,
        limits=tuple(device.limits),
        switches=tuple(device.switches),
        mac=device.mac,
        power_profile=device.power_profile,
        thermal_name=device.thermal_policy if "thermal_policy" in device.model_fields_set else "",
        thermal=config.policy(device.thermal_policy)
        if "thermal_policy" in device.model_fields_set
        else None,
    )


def _within(path: str | None, folder: Path) -> str | None:
    return None if path is None else str(folder / Path(path).expanduser())
