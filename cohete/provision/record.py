"""What the setup wizard remembers of a board between two times."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from cohete.config.spec import DeviceSpec
from cohete.device.identity import Facts, known_by
from cohete.errors import ConfigError
from cohete.kept import keep

FOLDER = "setup"
MAX_TEXT = 2000


class SetupRecord:
    """What was skipped on a board, and why, and what was chosen; in the state folder. Blocking."""

    def __init__(self, folder: Path, spec: DeviceSpec, facts: Facts | None) -> None:
        digest = hashlib.sha256(known_by(facts, spec.place).encode()).hexdigest()
        self._path = folder / FOLDER / f"{digest[:40]}.json"

    def skipped(self) -> dict[str, str]:
        """By name of the step: the reason. Never raises."""
        return self._read("skipped")

    def chosen(self) -> dict[str, str]:
        """By name of the step: what was chosen of it, as text. Never raises."""
        return self._read("chosen")

    def skip(self, name: str, reason: str | None) -> None:
        """Skip it from now on; None no more. Raises ConfigError where that cannot be kept."""
        found = self.skipped()
        if reason is None:
            found.pop(name, None)
        else:
            found[name] = reason[:MAX_TEXT]
        self._write({"skipped": found, "chosen": self.chosen()})

    def choose(self, name: str, text: str) -> None:
        """Have this chosen from now on. Raises ConfigError where that cannot be kept."""
        if len(text) > MAX_TEXT:
            raise ConfigError(f"{len(text)} characters are too many to be remembered")
        self._write({"skipped": self.skipped(), "chosen": self.chosen() | {name: text}})

    def _read(self, part: str) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(self._path.read_bytes()[:65_536])
            if isinstance(document, dict) and document.get("version") == 1:
                found = document.get(part)
                if isinstance(found, dict):
                    return {
                        name: text for name, text in found.items()
                        if isinstance(text, str) and len(text) <= MAX_TEXT
                    }  # fmt: skip
        return {}

    def _write(self, parts: dict[str, dict[str, str]]) -> None:
        try:
            keep(self._path, json.dumps({"version": 1, **parts}))
        except OSError as error:
            raise ConfigError(
                f"what is to be remembered of it cannot be kept: {error.strerror}",
                path=str(self._path),
            ) from None
