"""What setting a board up writes on this computer: a name for ssh, and cohete.yaml. Blocking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cohete.config.devices import specs_from_config
from cohete.config.loading import load, read
from cohete.config.rewriting import rewrite
from cohete.config.schema import Config, Device, Fleet
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.config.writing import text_of, with_device, write_new
from cohete.device.identity import Facts
from cohete.errors import ConfigError
from cohete.links.sshconfig import resolve
from cohete.memory.budget import PRESETS
from cohete.provision.sshconfig import HostEntry, add_entry, with_entry, without_entry

RESERVED_SHARE = 0.25
"""Of the memory of a module without a preset that is left to the system."""
_COMMENTS = {
    "fleet": "thermal_policy stops nothing until thermal.<name>.on_open says what; "
    "memory_budget_mb\nis what work on the board may take; sudo lets tegrastats tell all it knows.",
}


@dataclass(frozen=True, slots=True)
class SshHost:
    """A `Host` of that name in the user's ssh configuration."""

    path: Path
    spec: DeviceSpec
    alias: str

    @property
    def _entry(self) -> HostEntry:
        target = self.spec.target
        return HostEntry(
            self.alias, target.host, target.user or "", target.port or 22,
            self.spec.identity_file or "",
        )  # fmt: skip

    def state(self) -> tuple[bool, str]:
        """Raises ConfigError where a host of that name says something else."""
        host = self.spec.target.host
        if not self.path.exists():
            return False, f"{self.path} is not there yet"
        known = resolve(Target(host), self.path)
        if known.host != host:
            return True, f"ssh knows it as {host} already"
        text = self.path.read_bytes()
        is_there = with_entry(text, self._entry) == text
        return is_there, f"Host {self.alias} is {'there' if is_there else 'missing'}"

    @property
    def shown(self) -> list[str]:
        return [f"{self.path}:", *self._entry.lines]

    def apply(self) -> str:
        backup = add_entry(self.path, self._entry)
        return f"added; before it: {backup.name}" if backup is not None else "it was there"

    @property
    def why_kept(self) -> str:
        return ""

    def take_back(self) -> str:
        """Every other byte stays. Raises ConfigError."""
        try:
            old = self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"it cannot be read: {error.strerror}", path=str(self.path)) from None
        backup = rewrite(self.path, without_entry(old, self._entry), "the ssh configuration")
        return f"Host {self.alias} taken back; before it: {backup.name}"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file that the dashboard opens, with the board in it."""

    path: Path
    spec: DeviceSpec
    facts: Facts | None

    def state(self) -> tuple[bool, str]:
        """Raises ConfigError where there is one that is none."""
        if not self.path.exists():
            return False, f"{self.path} is not there yet"
        known = specs_from_config(load(self.path), self.path.parent)
        name = next((each.id for each in known if each.place == self.spec.place), None)
        if name is None:
            return False, f"{self.path} has {len(known)} boards, and not this one"
        return True, f"{self.path} has it as {name}"

    @property
    def _device(self) -> Device:
        taken = {device.id for device in load(self.path).fleet.devices} if self._is_there else set()
        return device_for(self.spec, self.facts, taken)

    @property
    def _is_there(self) -> bool:
        return self.path.exists()

    @property
    def shown(self) -> list[str]:
        """Raises ConfigError."""
        if not self._is_there:
            return text_of(config_for(self.spec, self.facts), _COMMENTS).splitlines()
        lines = text_of(Config(fleet=Fleet(devices=[self._device]))).splitlines()
        at = next(nth for nth, line in enumerate(lines) if line.lstrip().startswith("- "))
        return [f"{self.path}, below the last of its devices:", *lines[at:]]

    def apply(self) -> str:
        if not self._is_there:
            write_new(self.path, text_of(config_for(self.spec, self.facts), _COMMENTS))
            return f"{self.path} written"
        changed = with_device(read(self.path), str(self.path), self._device)
        backup = rewrite(self.path, changed.encode(), "the configuration")
        return f"added to {self.path}; before it: {backup.name}"

    @property
    def why_kept(self) -> str:
        return (
            f"{self.path} is yours by now: take the board's lines out of fleet.devices; a backup "
            "lies beside it."
        )

    def take_back(self) -> str:
        """Its owner's file by now. Raises ConfigError."""
        raise ConfigError(self.why_kept)


def device_for(spec: DeviceSpec, facts: Facts | None, taken: set[str]) -> Device:
    """The board as it is watched, reached as it was while it was set up."""
    target = spec.target
    reached: dict[str, object] = {
        "port": target.port, "user": target.user, "identity_file": spec.identity_file,
        "jump": None if spec.jumps is None else [str(hop) for hop in spec.jumps],
    }  # fmt: skip
    return Device.model_validate(
        {
            "id": _id_of(spec, taken),
            "connection": "ssh",
            "host": target.host,
            **{name: value for name, value in reached.items() if value is not None},
            "thermal_policy": "conservative",
            "memory_budget_mb": _budget_mb(facts),
            "power_profile": "balanced",
            "sudo": True,
            "interval_ms": 1000,
        }
    )


def config_for(spec: DeviceSpec, facts: Facts | None) -> Config:
    """A configuration of this one board: everything set out, nothing left to defaults."""
    fleet = Fleet(name="jetsons", devices=[device_for(spec, facts, set())])
    return Config(version="1.0", fleet=fleet)


def _id_of(spec: DeviceSpec, taken: set[str]) -> str:
    """Its own, or one made of its address; another one where that is taken."""
    own = spec.id if spec.id != str(spec.target) else spec.target.host.partition("%")[0]
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in own)
    name = kept.strip(".-_") or "jetson"
    if name not in taken:
        return name
    return next(f"{name}-{nth}" for nth in range(2, len(taken) + 3) if f"{name}-{nth}" not in taken)


def _budget_mb(facts: Facts | None) -> int:
    total = facts.memory_total_mb if facts is not None else None
    known = next(
        (total_mb - kept_mb for total_mb, kept_mb in PRESETS.values()
         if total is not None and abs(total_mb - total) <= 256),
        None,
    )  # fmt: skip
    if known is not None:
        return known
    return 6000 if total is None else max(64, int(total * (1 - RESERVED_SHARE)))
