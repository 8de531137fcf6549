"""Every action that exists, by the name it has in files: how one is written down and read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from cohete.control.change import Action
from cohete.control.files import PutFile
from cohete.errors import ConfigError
from cohete.fleet.holding import Hold, Release
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode
from cohete.power.profiles import Profile

Known = (
    SetMode | SetClocks | HoldFan | AutomaticFan | SetFanProfile | Profile | Hold | Release
    | PutFile
)  # fmt: skip

KINDS: dict[str, type[Known]] = {
    "power_mode": SetMode,
    "clocks": SetClocks,
    "fan_speed": HoldFan,
    "fan_automatic": AutomaticFan,
    "fan_profile": SetFanProfile,
    "profile": Profile,
    "hold": Hold,
    "release": Release,
    "put_file": PutFile,
}


def action_as_dict(action: Action) -> dict[str, object]:
    """Plain values from which `action_from` makes it again. Raises TypeError for a foreign one."""
    for kind, made_by in KINDS.items():
        if isinstance(action, made_by):
            return {"kind": kind, **dataclasses.asdict(action)}
    raise TypeError(f"{type(action).__name__} has no name in files")


def action_from(document: Mapping[str, object]) -> Action:
    """An action from what was written down. Raises ConfigError."""
    fields = dict(document)
    made_by = KINDS.get(str(fields.pop("kind", "")))
    if made_by is None:
        raise ConfigError(f"there is no action {str(document.get('kind'))[:40]!r}")
    try:
        return TypeAdapter(made_by).validate_python(fields)
    except ValidationError as error:
        raise ConfigError(f"this is no action: {error.errors()[0]['msg']}") from None
