"""Devices as documents: CSV, JSON and Markdown with the same values, unknown left empty."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from cohete.errors import CoheteError
from cohete.fleet.export import export_text, write_export
from tests.tui.support import know, mixed_store, spec, store_of


def test_every_kind_says_the_same() -> None:
    store = mixed_store()
    devices = list(store)
    rows = list(csv.DictReader(io.StringIO(export_text(devices, store, "csv"))))
    document = json.loads(export_text(devices, store, "json"))
    assert [row["id"] for row in rows] == [device.id for device in devices]
    assert document["fleet"] == "edge-lab"
    for row, known in zip(rows, document["devices"], strict=True):
        for name, text in row.items():
            assert text == ("" if known[name] is None else str(known[name])), name
    lines = export_text(devices, store, "md").splitlines()
    assert len(lines) == len(devices) + 2
    assert lines[0].startswith("| Device | State | Gpu |")
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_a_cell_is_never_a_formula_or_a_column() -> None:
    store = store_of([spec("a")])
    know(store, "a", "Nano 4GB", "=cmd|' /C calc'!A0")
    row = next(csv.DictReader(io.StringIO(export_text(list(store), store, "csv"))))
    assert row["power_mode"].startswith("'=")
    header, _, line = export_text(list(store), store, "md").splitlines()
    assert line.replace(r"\|", "").count("|") == header.count("|")


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    write_export(path, "a")
    with pytest.raises(CoheteError, match="a file of this name already"):
        write_export(path, "b")
    assert path.read_text() == "a"
    with pytest.raises(CoheteError, match="cannot write it: no such file"):
        write_export(tmp_path / "nowhere" / "fleet.csv", "a")
    with pytest.raises(CoheteError, match="no export as 'xls'"):
        export_text([], mixed_store(), "xls")
