"""`cohete history`: what was kept, in the units a person reads."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cohete.cli.history import command
from cohete.errors import CoheteError
from cohete.telemetry.chunk import Chunk
from cohete.telemetry.files import HistoryFiles, NewChunk
from tests.history import closed_history  # noqa: F401 - a fixture


@pytest.fixture
def config(tmp_path: Path) -> str:
    folder = tmp_path / "history"
    begin = int(time.time() * 1000) - 600_000
    times = [begin + 1000 * nth for nth in range(120)]
    columns: dict[str, list[int | None]] = {
        "hottest_mc": [40_000 + 100 * nth for nth in range(120)],
        "power_mw": [None if nth < 60 else 12_500 for nth in range(120)],
        "cpu_permille": [333] * 120,
        "zone_mc.cpu": [41_250] * 120,
    }
    HistoryFiles(folder).add([NewChunk("cam-01", Chunk.of(times, columns))])
    path = tmp_path / "cohete.yaml"
    path.write_text(f"version: '1.0'\ntelemetry: {{history: {{folder: {folder}}}}}\n")
    return str(path)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_devices_and_a_table(config: str) -> None:
    assert run("--config", config) == "cam-01\n"
    text = run("cam-01", "--config", config, "--step", "1m")
    header, *rows = text.splitlines()
    assert header.split() == ["TIME", "CPU_PERCENT", "HOTTEST_C", "POWER_W", "ZONE_C.CPU"]
    assert 2 <= len(rows) <= 3
    assert " 33.3 " in rows[0]
    assert "–" in rows[0]
    assert "12.5" in rows[-1]


def test_json_and_csv_have_lowest_and_highest(config: str) -> None:
    lines = run("cam-01", "--config", config, "--step", "1s", "--json").splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 120
    assert first["hottest_c"] == first["hottest_c_min"] == 40.0
    assert first["power_w"] is None
    assert first["at"].endswith("+00:00")
    text = run("cam-01", "--config", config, "--step", "1h", "--csv", "--columns", "hottest_c")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["at", "hottest_c", "hottest_c_min", "hottest_c_max"]
    assert max(float(row["hottest_c_max"]) for row in rows) == 51.9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "nobody: there is no history of it in this time. Devices with history: cam"),
        (("cam-01", "--from", "yesterdayish"), "'yesterdayish' is no time"),
        (("cam-01", "--from", "now", "--to", "2h"), "--from is not before --to"),
        (("cam-01", "--step", "0s"), "'0s' is no span of time"),
        (("cam-01", "--columns", "heat"), "there is no column 'heat'. Columns: "),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(config: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CoheteError) as caught:
        run(*arguments, "--config", config)
    assert said in str(caught.value)


def test_parquet_where_pyarrow_is_there_and_a_word_where_not(config: str, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    try:
        import pyarrow.parquet
    except ImportError:
        with pytest.raises(CoheteError, match="Parquet needs pyarrow"):
            run("cam-01", "--config", config, "--parquet", str(path))
    else:
        run("cam-01", "--config", config, "--step", "1s", "--parquet", str(path))
        assert pyarrow.parquet.read_table(path).num_rows == 120
