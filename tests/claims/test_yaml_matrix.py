"""Whatever a command or a key can make of boards stands in one YAML file: the whole matrix."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from pydantic import BaseModel

from cohete.cli import cohete
from cohete.config.schema import Config

DECLARED = {
    "alerts list": "alerts.rules",
    "alerts rules": "alerts.rules",
    "alerts watch": "alerts.command",
    "apply": "fleet.devices.power_profile",
    "breaker show": "thermal.threshold_c",
    "breaker run": "thermal.on_open.stop",
    "budget": "fleet.devices.memory_budget_mb",
    "clocks show": "power.profiles.clocks",
    "clocks lock": "power.profiles.clocks",
    "clocks free": "power.profiles.clocks",
    "deploy": "models",
    "discover": "discovery.methods",
    "drift": "control.watch_files",
    "fan show": "power.profiles.fan",
    "fan hold": "power.profiles.fan",
    "fan auto": "power.profiles.fan",
    "fan profile": "power.profiles.fan",
    "fit": "models",
    "history": "telemetry.history.folder",
    "power list": "power.profiles.mode",
    "power show": "power.profiles.mode",
    "power set": "power.profiles.mode",
    "power profile": "fleet.devices.power_profile",
    "power measure": "fleet.devices.interval_ms",
    "provision": "provision.packages",
    "setup": "provision.nvme.erase",
    "quantize": "models",
    "rollout list": "control.rollout.at_once",
    "rollout resume": "control.rollout.stop_after",
    "rollout forget": "control.rollout",
    "standing": "switches.when",
    "status": "fleet.devices",
    "storage show": "provision.nvme.mount_point",
    "storage health": "fleet.devices.sudo",
    "sudoers": "control.drain",
    "wake": "fleet.devices.mac",
    "watch": "watch.interval_ms",
}
"""By verb: where the same stands in YAML."""

OF_THE_MOMENT = {
    "alerts silence": "for an hour that begins now",
    "audit": "what was done already",
    "breaker release": "what a Cohete that died left behind",
    "clip": "a part of a file",
    "completion": "for a shell",
    "config check": "the YAML itself",
    "config schema": "the YAML itself",
    "console": "a terminal on a board that has no network yet",
    "decode": "a file",
    "record": "from now on, into a file",
    "storage benchmark": "a measurement, now",
    "simulate": "boards that do not exist",
}
"""What cannot be declared, because it is about now, about a file, or about the YAML."""


def verbs() -> Iterator[str]:
    context = click.Context(cohete)
    for name in cohete.list_commands(context):
        command = cohete.get_command(context, name)
        if isinstance(command, click.Group):
            yield from (f"{name} {each}" for each in command.commands)
        else:
            yield name


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


def is_in_yaml(path: str) -> bool:
    """Whether a path of keys exists; names that people choose, and numbers of lists, left out."""
    found: list[type[BaseModel]] = [Config]
    for key in path.split("."):
        fields = [model.model_fields[key] for model in found if key in model.model_fields]
        if not fields:
            return False
        found = [model for field in fields for model in models_in(field.annotation)]
    return True


@pytest.mark.claim("AI-01")
def test_every_verb_is_in_yaml_or_of_the_moment() -> None:
    assert set(verbs()) == set(DECLARED) | set(OF_THE_MOMENT)
    assert not set(DECLARED) & set(OF_THE_MOMENT)


@pytest.mark.claim("AI-01")
@pytest.mark.parametrize("verb", DECLARED)
def test_its_place_in_yaml_exists(verb: str) -> None:
    assert is_in_yaml(DECLARED[verb])
    assert not is_in_yaml(DECLARED[verb] + "s.nothing")
