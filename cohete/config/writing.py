"""A configuration as YAML that a person can go on with: valid, and the same when it is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from cohete.config.loading import check
from cohete.config.schema import Config
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
