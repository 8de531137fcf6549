"""Which alerts are silenced, kept in a file that every Cohete of a person shares. Blocking."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from cohete.fleet.alerts import Silence

FILE = "silences.json"
MAX_SILENCES = 1_000


def read_silences(folder: Path) -> list[Silence]:
    """What is silenced; a file that is none silences nothing."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return [
            Silence(str(each["rule"]), str(each["device"]), float(each["until_s"]))
            for each in found[:MAX_SILENCES]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_silences(folder: Path, silences: list[Silence]) -> None:
    """Keep them, all or nothing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps([asdict(each) for each in silences]), encoding="utf-8")
    part.replace(folder / FILE)


def silence(folder: Path, rule: str, device: str, for_s: float, now_wall_s: float) -> list[Silence]:
    """Silence a rule on a device for so long ("" is every one; 0 s ends it); what is silenced then.

    Raises OSError.
    """
    kept = [
        each
        for each in read_silences(folder)
        if (each.rule, each.device) != (rule, device) and each.until_s > now_wall_s
    ]
    if for_s > 0:
        kept.append(Silence(rule, device, now_wall_s + for_s))
    write_silences(folder, kept)
    return kept
