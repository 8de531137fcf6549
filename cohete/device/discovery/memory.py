"""Boards that were found before, kept over restarts. Blocking; one file, all or nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cohete.device.discovery.found import Address, Found, Kind, Sighting, Way
from cohete.kept import keep

FILE = "boards.json"
VERSION = 2
"""1 had one address a board, under `host` and `port`."""
MAX_BYTES = 16_777_216
MAX_BOARDS = 10_000


class _Place(BaseModel):
    model_config = ConfigDict(extra="ignore")

    host: str
    port: int = 22


class _Board(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    kind: Kind = Kind.CANDIDATE
    addresses: list[_Place] = []
    host_key: str = ""
    ids: list[str] = []
    console: str = ""


def remembered(folder: Path) -> list[Sighting]:
    """What was found before, as sightings of long ago. A file that is none of ours is nothing.

    Files of older versions are read; one of a newer version is left alone.
    """
    path = folder / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            return []
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(document, dict) or document.get("version", 1) not in (1, VERSION):
        return []
    boards = document.get("boards")
    found = []
    for entry in boards[:MAX_BOARDS] if isinstance(boards, list) else ():
        with contextlib.suppress(ValidationError):
            board = _Board.model_validate(_migrated(entry))
            found.append(
                Sighting(
                    Way.KNOWN,
                    board.kind,
                    board.name,
                    tuple(Address(place.host, place.port) for place in board.addresses[:16]),
                    board.host_key,
                    tuple(board.ids[:16]),
                )
            )
    return found


def _migrated(entry: object) -> object:
    if isinstance(entry, dict) and "host" in entry and "addresses" not in entry:
        place = {"host": entry["host"], "port": entry.get("port", 22)}
        return {**entry, "addresses": [place]}
    return entry


def remember(folder: Path, found: list[Found]) -> None:
    """Keep these boards, for nobody else to read. Raises OSError.

    A file of a newer version is not touched.
    """
    path = folder / FILE
    if _version(path) > VERSION:
        return
    boards = [
        _Board(
            name=each.name,
            kind=each.kind,
            addresses=[_Place(host=a.host, port=a.port) for a in each.addresses],
            host_key=each.host_key,
            ids=list(each.ids),
        ).model_dump(mode="json")
        for each in found[:MAX_BOARDS]
        if each.kind is not Kind.RECOVERY
    ]
    keep(path, json.dumps({"version": VERSION, "boards": boards}, indent=1))


def _version(path: Path) -> int:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return int(document["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
