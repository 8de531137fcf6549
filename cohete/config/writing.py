"""A configuration as YAML that a person can go on with: valid, and the same when it is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from cohete.config.loading import check
from cohete.config.schema import Config, Device
from cohete.config.yamltree import LOADER
from cohete.errors import ConfigError

HEAD = "# Boards and how they are watched. `cohete config check` checks it, `cohete-tui` opens it."


def text_of(config: Config, comments: Mapping[str, str] | None = None) -> str:
    """What was set in it, a section after the other, each below its comment."""
    document = config.model_dump(mode="json", exclude_unset=True)
    parts = [HEAD]
    for section, value in document.items():
        comment = (comments or {}).get(section, "")
        above = "".join(f"# {line}\n" for line in comment.splitlines())
        text = yaml.safe_dump({section: value}, sort_keys=False, allow_unicode=True, width=100)
        parts.append(f"{above}{text}".rstrip())
    return "\n\n".join(parts) + "\n"


def with_device(text: str, path: str, device: Device) -> str:
    """A configuration with one more device behind the last; every other byte stays.

    Raises ConfigError where it cannot be added without changing what else it says.
    """
    added = yaml.safe_dump(
        [device.model_dump(mode="json", exclude_unset=True)], sort_keys=False, allow_unicode=True,
        width=100,
    ).splitlines()  # fmt: skip
    by_hand = ConfigError(
        "the board cannot be added to it", path=path,
        hint="Add to its fleet.devices: " + " ".join(added),
    )  # fmt: skip
    before, errors = check(text, path)
    if before is None:
        raise errors[0]
    try:
        node = _devices(yaml.compose(text, Loader=LOADER))
    except yaml.YAMLError:
        raise by_hand from None
    if node is None or node.flow_style or not node.value:
        raise by_hand
    lines = text.splitlines(keepends=True)
    at = _last_line(node) + 1
    if not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    margin = " " * node.start_mark.column
    lines[at:at] = [f"{margin}{line}\n" for line in added]
    changed = "".join(lines)
    after, _ = check(changed, path)
    wanted = before.model_copy(deep=True)
    wanted.fleet.devices.append(device)
    if after is None or after != wanted:
        raise by_hand
    return changed


def _devices(root: yaml.Node | None) -> yaml.SequenceNode | None:
    node = root
    for name in ("fleet", "devices"):
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for key, value in node.value if key.value == name), None)
    return node if isinstance(node, yaml.SequenceNode) else None


def _last_line(node: yaml.Node) -> int:
    """Where the last word of it stands; the end mark of a block is where the next one begins."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    mark = node.end_mark
    return int(mark.line) - (1 if mark.column == 0 and mark.line > node.start_mark.line else 0)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, all or nothing. Blocking.

    Raises ConfigError where one is there, where it cannot be written, or where it is not valid.
    """
    config, errors = check(text, str(path))
    if config is None:
        raise errors[0]
    part = path.with_name(f".{path.name}.cohete-part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)
        finally:
            part.unlink()
    except FileExistsError:
        raise ConfigError(
            "there is one already, and it stays as it is", path=str(path),
            hint="Add the board to its fleet.devices, or choose another name.",
        ) from None  # fmt: skip
    except OSError as error:
        raise ConfigError(f"it cannot be written: {error.strerror}", path=str(path)) from None
