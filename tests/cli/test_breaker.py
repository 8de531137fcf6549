"""Breakers on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohete.control.audit import default_folder
from cohete.fleet.standing import Standing, Taken
from tests.boards import simulated
from tests.cli.test_commands import run_async


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def with_policy(folder: Path) -> str:
    """The configuration of simulated boards, with a policy for the first."""
    path = folder / "cohete.yaml"
    text = path.read_text()
    head, mark, tail = text.partition("      ip: ")
    policy = (
        "thermal:\n  lab: {threshold_c: 65, cooldown_c: 55, check_interval_ms: 100, "
        "on_open: {stop: [inference.service]}}\n"
    )
    path.write_text(f"{head}      thermal_policy: lab\n{mark}{tail}{policy}")
    return str(path)


@pytest.mark.claim("TM-08", "AI-01")
async def test_shown_run_and_let_go(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, __):
        config = with_policy(tmp_path)
        board = next(iter(fleet.hosts.values())).board
        board.services["inference.service"] = True
        board.thermal.die_c = board.thermal.sink_c = 50
        status, out, _ = await run_async("breaker", "show", "--config", config)
        assert status == 0, out
        assert "orin-nano-8gb-0: closed" in out
        assert "lab: opens above 65 C, closes from 55 C, warns from 60 C" in out
        board.thermal.die_c = board.thermal.sink_c = 90
        status, out, _ = await run_async("breaker", "show", "--config", config, "--json")
        assert status == 1
        (device,) = json.loads(out)["devices"]
        assert device["state"] == "open"
        assert device["margin_c"] < 0
        status, out, err = await run_async("breaker", "run", "--config", config, "--for", "4")
        assert status == 0
        assert "breaker: breaker open: " in out
        assert not board.services["inference.service"]
        assert "hold unit inference.service" in err
        assert "This stays so until Cohete runs again" in err
        status, out, _ = await run_async("standing")
        assert status == 1
        assert "(breaker:work), since 20" in out
        status, out, _ = await run_async("standing", "other")
        assert (status, out) == (0, "Nothing stands.\n")
        status, out, _ = await run_async("breaker", "run", "--config", config, "--dry-run")
        assert status == 0
        assert "already so: unit inference.service not running" in out
        status, out, _ = await run_async("breaker", "release", "--config", config, "--yes")
        assert status == 0
        status, out, _ = await run_async(
            "breaker", "run", "--config", config, "--dry-run", "--json"
        )
        (change,) = json.loads(out)["changes"]
        assert any("systemctl stop" in line for line in change["commands"])
        assert (await run_async("standing", "--json"))[1] == "[]\n"
        Standing(default_folder()).write(Taken("a", "limit:x:0", "w", "MAXN", 0))
        status, out, _ = await run_async("standing", "a", "--forget")
        assert (status, out.splitlines()[-1]) == (0, "Forgotten: it stays as it is.")
        assert (await run_async("standing", "--json"))[1] == "[]\n"
        assert (await run_async("standing", "--forget"))[0] == 2
        assert board.services["inference.service"]


@pytest.mark.claim("TM-08")
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("threshold_c: 55, cooldown_c: 65, check_interval_ms: 500", "must be below threshold_c"),
        ("threshold_c: 300, cooldown_c: 65, check_interval_ms: 500", "threshold_c"),
        ("threshold_c: 65, cooldown_c: 55, check_interval_ms: -5", "check_interval_ms"),
        ("threshold_c: 65, cooldown_c: 55", "check_interval_ms"),
    ],
)
async def test_a_bad_policy_is_refused_with_its_line(
    tmp_path: Path, values: str, words: str
) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text(f"fleet: {{devices: [{{id: a}}]}}\nthermal:\n  lab: {{{values}}}\n")
    status, _, err = await run_async("breaker", "show", "--config", str(path))
    assert status == 2
    assert words in err
    assert f"{path}:3:" in err
