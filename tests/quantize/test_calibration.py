"""What the runtime takes on a board: measured once, believed where it can be, used from then on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cohete.cli.fit import command
from cohete.device.identity import Facts, known_by
from cohete.errors import CoheteError, ConfigError
from cohete.memory.footprint import OVERHEAD_MIB
from cohete.quantize.calibration import FILE, MOST_MIB, Calibration, Calibrations, overhead_of
from cohete.simulator.workload import Workload
from cohete_tui.wizard import overhead_on
from tests.boards import simulated
from tests.cli.test_commands import run_async
from tests.quantize.models import MODELS, write
from tests.tui.support import store_of

HERE = Calibration(312.5, "tiny", "2026-01-02T03:04:05+00:00")


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_is_no_server_alone_is_not_believed(before: float, after: float, need: float) -> None:
    if 0 <= before - after - need <= MOST_MIB:
        assert overhead_of(before, after, need) == before - after - need
    else:
        with pytest.raises(CoheteError, match="that is not this server alone"):
            overhead_of(before, after, need)


def test_a_board_is_known_by_itself_and_not_by_its_address() -> None:
    assert known_by(Facts(serial="1", machine_id="2"), "there") == "1"
    assert known_by(Facts(machine_id="2"), "there") == "2"
    assert known_by(Facts(), "there") == known_by(None, "there") == "there"


def test_it_is_kept_by_board(tmp_path: Path) -> None:
    kept = Calibrations(tmp_path / "state")
    assert kept.of("a") is None
    kept.keep("a", HERE)
    kept.keep("b", Calibration(700.0, "other", "now"))
    again = Calibrations(tmp_path / "state")
    found = again.of("b")
    assert again.of("a") == HERE
    assert (found.overhead_mib if found else None) == 700
    file = tmp_path / "state" / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    for text in ("{", "[]", json.dumps({"version": 1, "boards": {"x": 1}}), "\x00"):
        file.write_text(text)
        assert again.of("a") is None
    file.write_text(json.dumps({"version": 1, "boards": {}}))
    again.keep("a", Calibration(1e9, "too much", "now"))
    assert again.of("a") is None
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept"):
        Calibrations(tmp_path / "file").keep("a", HERE)


def test_the_wizard_takes_the_most_of_its_boards(tmp_path: Path) -> None:
    devices = list(store_of(["a", "b"]))
    assert overhead_on([], tmp_path) == overhead_on(devices, tmp_path) == OVERHEAD_MIB
    for device, mib in zip(devices, (300.0, 520.0), strict=True):
        device.facts = Facts(serial=device.id)
        Calibrations(tmp_path).keep(device.id, Calibration(mib, "tiny", "now"))
    assert overhead_on(devices[:1], tmp_path) == 300
    assert overhead_on(devices, tmp_path) == 520


async def test_measured_around_the_start_of_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    model = tmp_path / "model.gguf"
    write(MODELS["untied-f16"], model)
    async with simulated("orin-nano-8gb", folder=tmp_path) as (fleet, _, specs):
        board = next(iter(fleet.hosts.values())).board
        board.workload = Workload.IDLE
        started = 800.0

        def start(text: str, **_: object) -> str:
            board._leaked_mb += started
            return ""

        monkeypatch.setattr(click, "prompt", start)
        where = ("--config", str(tmp_path / "cohete.yaml"), "--device", specs[0].id)
        argv = ("fit", str(model), *where, "--context", "256")

        async def overhead() -> float:
            status, out, err = await run_async(*argv, "--json")
            assert status == 0, err
            return float(json.loads(out)["overhead_mib"])

        assert await overhead() == OVERHEAD_MIB
        done = await asyncio.to_thread(CliRunner().invoke, command, [*argv[1:], "--calibrate"])
        assert done.exit_code == 0, done.output
        assert f"llama-server -m {model} -ngl 99 -c 256 -np 1" in done.output
        assert "kept for it" in done.output
        found = await overhead()
        assert found != OVERHEAD_MIB
        assert 600 < found < 850
        # Somebody says otherwise, and what cannot be is not kept.
        status, out, _ = await run_async(*argv, "--json", "--overhead", "10")
        assert json.loads(out)["overhead_mib"] == 10
        started = -300.0
        done = await asyncio.to_thread(CliRunner().invoke, command, [*argv[1:], "--calibrate"])
        assert "that is not this server alone" in str(done.exception)
        assert await overhead() == found
        for words, why in (
            (("fit", str(model), "--calibrate"), "say --device"),
            (("fit", "llama-3.2-1b", *where, "--calibrate"), "only a file that is served"),
        ):
            status, _, err = await run_async(*words)
            assert (status, why in err) == (2, True)
