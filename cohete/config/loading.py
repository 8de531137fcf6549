"""cohete.yaml from a file: every fault at once, with line, column and a suggestion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from cohete.config.control import BUILT_IN_POWER
from cohete.config.schema import BUILT_IN_THERMAL, Config
from cohete.config.yamltree import MAX_BYTES, Tree, parse_yaml
from cohete.errors import ConfigError
from cohete.text import sanitise

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MAX_ERRORS = 50
DEFAULT_NAME = "cohete.yaml"
_Path = tuple[str | int, ...]


def find_config(explicit: str | None = None, *, cwd: Path | None = None) -> Path | None:
    """The file to use: the one given, $COHETE_CONFIG, ./cohete.yaml, the user's own; else None."""
    if explicit is not None:
        return Path(explicit).expanduser()
    from_environment = os.environ.get("COHETE_CONFIG")
    if from_environment:
        return Path(from_environment).expanduser()
    from platformdirs import user_config_path

    for folder in (cwd or Path.cwd(), user_config_path("cohete")):
        if (folder / DEFAULT_NAME).is_file():
            return folder / DEFAULT_NAME
    return None


def load(path: Path) -> Config:
    """The configuration in `path`. Raises the first ConfigError there is."""
    text = read(path)
    config, errors = check(text, str(path))
    if config is None:
        first = errors[0]
        if len(errors) > 1:
            first.hint = (
                f"{first.hint} ({len(errors) - 1} more: cohete config check {path})".strip()
            )
        raise first
    return config


def read(path: Path) -> str:
    """The text of a configuration file, bounded. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ConfigError(f"cannot read the configuration: {reason}", path=str(path)) from None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "the file is not UTF-8 text", path=str(path), line=line, column=1
        ) from None


def check(text: str, path: str) -> tuple[Config | None, list[ConfigError]]:
    """The configuration, or None and every fault in it in the order of the file."""
    try:
        tree = parse_yaml(text, path)
    except ConfigError as error:
        return None, [error]
    if tree.value is None:
        return Config(), []
    if not isinstance(tree.value, dict):
        line, column = tree.position(())
        return None, [
            ConfigError(
                "a configuration is a list of `key: value` lines",
                path=path, line=line, column=column, hint='Begin with version: "1.0".',
            )
        ]  # fmt: skip
    try:
        config = Config.model_validate(tree.value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)[:MAX_ERRORS]
        errors = [_explain(detail, tree, path) for detail in _without_other_branches(details, tree)]
        return None, sorted(errors, key=lambda e: (e.line, e.column))
    dangling = [_at(tree, path, where, what, hint) for where, what, hint in _dangling_names(config)]
    return (None, dangling) if dangling else (config, [])


def _at(
    tree: Tree, path: str, where: _Path, what: str, hint: str, *, key: bool = False
) -> ConfigError:
    line, column = tree.position(where, key=key)
    return ConfigError(what, path=path, line=line, column=column, hint=hint)


def _explain(detail: ErrorDetails, tree: Tree, path: str) -> ConfigError:
    where = _real_path(detail["loc"], tree)
    kind = detail["type"]
    label = _label(where)
    if kind == "extra_forbidden":
        key = str(where[-1])
        close = get_close_matches(key, _keys_at(where[:-1]), n=1)
        hint = f"Did you mean {close[0]!r}?" if close else _known(_keys_at(where[:-1]))
        return _at(tree, path, where, f"unknown key {sanitise(key, 64)!r}", hint, key=True)
    if kind == "missing":
        key = str(detail["loc"][-1])
        return _at(tree, path, where, f"{label or 'this entry'} needs the key {key!r}", "")
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message else "not valid"
    hint = ""
    if kind == "bool_type" and isinstance(detail["input"], str):
        hint = "Write true or false, without quotes."
    elif kind in ("int_type", "float_type") and isinstance(detail["input"], str):
        hint = "Write the number without quotes."
    elif kind == "string_pattern_mismatch":
        message = f"{sanitise(str(detail['input']), 64)!r} is not allowed here"
        hint = "Use letters, digits, dot, dash and underscore, not starting with a dash."
    elif kind == "literal_error":
        choices = message.removeprefix("input should be ")
        message = f"{sanitise(str(detail['input']), 64)!r} is not one of {choices}"
    return _at(tree, path, where, f"{label}: {message}" if label else message, hint)


def _without_other_branches(details: list[ErrorDetails], tree: Tree) -> list[ErrorDetails]:
    """One fault a place: where a value may have several forms, the form that fits best speaks."""
    by_place: dict[_Path, ErrorDetails] = {}
    for detail in details:
        place = _real_path(detail["loc"], tree)
        if detail["type"] == "missing":
            place = (*place, detail["loc"][-1])
        by_place.setdefault(place, detail)
    return [
        detail
        for place, detail in by_place.items()
        if not any(len(other) > len(place) and other[: len(place)] == place for other in by_place)
        or detail["type"] not in ("literal_error", "model_type")
    ]


def _real_path(loc: _Path, tree: Tree) -> _Path:
    """`loc` without the names of union branches that pydantic mixes into it."""
    path: _Path = ()
    for step in loc:
        longer = (*path, step)
        if longer in tree.values or longer in tree.keys:
            path = longer
    return path


def _label(where: _Path) -> str:
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return sanitise(text, 120)


def _known(keys: list[str]) -> str:
    return f"Known keys: {', '.join(keys)}." if keys else ""


def _keys_at(where: _Path) -> list[str]:
    """Names that the schema allows at this place."""
    model: type[BaseModel] | None = Config
    for step in where:
        if model is None:
            return []
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation)
    return list(model.model_fields) if model else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _dangling_names(config: Config) -> Iterator[tuple[_Path, str, str]]:
    seen: dict[str, int] = {}
    policies = [*config.thermal, *(name for name in BUILT_IN_THERMAL if name not in config.thermal)]
    ids = [device.id for device in config.fleet.devices]
    for index, device in enumerate(config.fleet.devices):
        here: _Path = ("fleet", "devices", index)
        if device.id in seen:
            yield (*here, "id"), f"the device id {device.id!r} is used twice", "Ids must be unique."
        seen[device.id] = index
        if device.thermal_policy not in policies:
            yield (
                (*here, "thermal_policy"),
                f"no thermal policy is called {device.thermal_policy!r}",
                _suggest(device.thermal_policy, policies),
            )
    profiles = [*config.power.profiles, *BUILT_IN_POWER]
    for index, device in enumerate(config.fleet.devices):
        if device.power_profile is not None and device.power_profile not in profiles:
            yield (
                ("fleet", "devices", index, "power_profile"),
                f"no power profile is called {device.power_profile!r}",
                _suggest(device.power_profile, profiles),
            )
    for index, device in enumerate(config.fleet.devices):
        for key, names, known in (
            ("limits", device.limits, list(config.limits)),
            ("switches", device.switches, list(config.switches)),
        ):
            for nth, each in enumerate(names):
                if each not in known:
                    yield (
                        ("fleet", "devices", index, key, nth),
                        f"nothing under {key} is called {each!r}",
                        _suggest(each, known),
                    )
    for switch_name, switch in config.switches.items():
        for key, wanted in (("profile", switch.profile), ("back", switch.back)):
            if wanted is not None and wanted not in profiles:
                yield (
                    ("switches", switch_name, key),
                    f"no power profile is called {wanted!r}",
                    _suggest(wanted, profiles),
                )
    for name, group in config.fleet.groups.items():
        for index, member in enumerate(group.devices):
            if member not in seen:
                yield (
                    ("fleet", "groups", name, "devices", index),
                    f"no device is called {member!r}",
                    _suggest(member, ids),
                )
    network = config.provision.network
    for name in network.addresses if network is not None else ():
        if name not in seen:
            yield (
                ("provision", "network", "addresses", name),
                f"no device is called {sanitise(name, 64)!r}",
                _suggest(name, ids),
            )
    targets = ["all", *ids, *config.fleet.groups]
    for index, model in enumerate(config.models):
        listed = [model.devices] if isinstance(model.devices, str) else model.devices
        for nth, name in enumerate(listed):
            if name not in targets:
                where: _Path = ("models", index, "devices")
                yield (
                    where if isinstance(model.devices, str) else (*where, nth),
                    f"no device or group is called {sanitise(name, 64)!r}",
                    _suggest(name, targets),
                )


def _suggest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names[:12])}."
