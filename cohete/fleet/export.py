"""A device in plain types, for JSON and every other export; the order is that of the screens."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cohete.errors import CoheteError
from cohete.fleet.state import Device
from cohete.fleet.store import FleetStore, Totals
from cohete.fleet.words import ROW_TITLES, row
from cohete.tegra.export import as_dict

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def device_as_dict(device: Device, store: FleetStore) -> dict[str, Json]:
    """Everything known of a device; None is unknown, `sample` is the last one there was."""
    now = store.clock.monotonic()
    stats, facts = device.stats, device.facts
    age = device.age_s(now)
    facts_age = device.facts_age_s(now)
    return {
        "id": device.id,
        "state": str(device.state),
        "reason": device.error or None,
        "next_step": device.hint or None,
        "age_s": None if age is None else round(age, 3),
        "address": str(device.spec.target),
        "module": device.module_name or None,
        "model": (facts.model or None) if facts else None,
        "l4t": facts.l4t if facts else None,
        "jetpack": facts.jetpack if facts else None,
        "power_mode": device.mode_name or None,
        "facts_age_s": None if facts_age is None else round(facts_age, 3),
        "key_fingerprint": device.fingerprint or None,
        "gpu_percent": device.gpu_percent(now),
        "cpu_percent": None if stats is None else _rounded(stats.cpu_percent),
        "ram_used_mb": stats.ram_used_mb if stats else None,
        "ram_total_mb": stats.ram_total_mb if stats else None,
        "hottest_zone": stats.hottest.name if stats and stats.hottest else None,
        "hottest_c": stats.hottest.celsius if stats and stats.hottest else None,
        "power_mw": stats.power_mw if stats else None,
        "unknown": dict(store.explain(device)),
        "sample": None if stats is None else _plain(as_dict(stats)),
    }


def totals_as_dict(totals: Totals, name: str) -> dict[str, Json]:
    """The fleet in numbers."""
    return {
        "name": name,
        "devices": totals.devices,
        "live": totals.live,
        "stale": totals.stale,
        "lost": totals.lost,
        "refused": totals.refused,
        "connecting": totals.connecting,
        "disabled": totals.disabled,
        "breaker_open": totals.breaker_open,
        "hot": totals.hot,
        "over_budget": totals.over_budget,
        "ram_used_mb": totals.ram_used_mb,
        "ram_total_mb": totals.ram_total_mb,
        "power_mw": totals.power_mw,
        "power_measured_on": totals.measured_power,
        "oldest_age_s": None if totals.oldest_age_s is None else round(totals.oldest_age_s, 3),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _plain(value: object) -> Json:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value


EXPORT_KINDS = ("csv", "json", "md")
_FLAT = (
    "id", "state", "reason", "age_s", "address", "module", "l4t", "jetpack", "power_mode",
    "gpu_percent", "cpu_percent", "ram_used_mb", "ram_total_mb", "hottest_zone", "hottest_c",
    "power_mw",
)  # fmt: skip


def export_text(devices: Sequence[Device], store: FleetStore, kind: str) -> str:
    """Devices as a document of one of EXPORT_KINDS. An empty cell is unknown."""
    if kind == "json":
        document = {
            "fleet": store.name,
            "at": _stamp(store.clock.time()),
            "devices": [device_as_dict(device, store) for device in devices],
        }
        return json.dumps(document, indent=2) + "\n"
    if kind == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_FLAT)
        for device in devices:
            known = device_as_dict(device, store)
            writer.writerow([_cell(known[name]) for name in _FLAT])
        return text.getvalue()
    if kind == "md":
        now = store.clock.monotonic()
        titles = [title.strip().capitalize() for title in ROW_TITLES]
        rows = [titles, ["---"] * len(titles)]
        rows += [[cell.replace("|", r"\|") for cell in row(device, now)] for device in devices]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    raise CoheteError(f"there is no export as {kind!r}", hint=f"Use {', '.join(EXPORT_KINDS)}.")


def copy_text(devices: Sequence[Device], store: FleetStore, *, as_json: bool) -> str:
    """Devices for a clipboard: all that is known as JSON, else one row, or a table of them."""
    if as_json:
        return export_text(devices, store, "json")
    if len(devices) > 1:
        return export_text(devices, store, "md")
    return "  ".join(row(devices[0], store.clock.monotonic())) if devices else ""


def write_export(path: Path, text: str) -> None:
    """Write a new file; one that exists is never replaced. Raises CoheteError. Blocks."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CoheteError(
            "there is a file of this name already", where=str(path), hint="Choose another name."
        ) from None
    except OSError as error:
        raise CoheteError(
            f"cannot write it: {(error.strerror or 'unknown reason').lower()}", where=str(path)
        ) from None


def _cell(value: Json) -> Json:
    # A spreadsheet would run a text that begins like a formula.
    return (
        f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
    )


def _stamp(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
