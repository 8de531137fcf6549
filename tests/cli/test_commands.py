"""The `cohete` command as a person or a script runs it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cohete.cli import cohete
from cohete.cli.verbs import VERBS
from tests import lines
from tests.boards import simulated
from tests.openssh import openssh

ROOT = Path(__file__).parents[2]


def run(*arguments: str, stdin: bytes | None = None, timeout_s: float = 40) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "cohete", *arguments],
        input=stdin, capture_output=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return done.returncode, out, err


async def run_async(*arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run, *arguments)


def test_help_names_every_verb_without_importing_any() -> None:
    status, out, _ = run("--help")
    assert status == 0
    for verb in VERBS:
        assert f"  {verb} " in out
        assert run(verb, "--help")[0] == 0


def test_decode_a_file_standard_input_and_rejects(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"motd\n{lines.NANO}\n\n{lines.THOR_R38}\n")
    status, out, err = run("decode", str(log))
    assert status == 0
    documents = [json.loads(line) for line in out.splitlines()]
    assert [document["line_number"] for document in documents] == [2, 4]
    assert documents[0]["gpu_percent"] == 40
    assert documents[1]["gpu_percent"] is None
    assert err == "2 lines were no samples\n"
    status, out, err = run("decode", "-", "--strict", stdin=lines.NANO.encode() + b"\n\xff\n")
    assert status == 1
    assert len(out.splitlines()) == 1
    assert err == "1 line was no sample\n"
    assert run("decode", "--strict", stdin=lines.NANO.encode())[0] == 0
    status, _, err = run("decode", str(tmp_path / "none"))
    assert status == 2
    assert "no such file" in err


def test_decode_survives_any_bytes() -> None:
    noise = os.urandom(20_000) + b"\n" + lines.TK1.encode() + b"\n"
    status, out, _ = run("decode", stdin=noise)
    assert status == 0
    assert json.loads(out.splitlines()[-1])["ram_total_mb"] == 1876


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{lines.NANO}\n" * 5000)
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m cohete decode {log} | head -n 1"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert json.loads(done.stdout)


def test_config_check_and_schema(tmp_path: Path) -> None:
    status, out, _ = run("config", "check", str(ROOT / "sample-configs" / "full.yaml"))
    assert (status, "good (4 devices, 2 models)" in out) == (0, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text("fleet: {devices: [{id: a, tgas: [x]}]}\nflet: 1\n")
    status, _, err = run("config", "check", str(bad))
    assert status == 1
    assert f"{bad}:1:27: unknown key 'tgas'. Did you mean 'tags'?" in err
    assert "2 faults" in err
    status, out, _ = run("config", "schema")
    assert json.loads(out)["title"] == "cohete.yaml"


def test_no_device_says_how_to_name_one() -> None:
    status, _, err = run("status")
    assert status == 2
    assert "nvidia@10.0.0.7" in err
    status, _, err = run("status", "--", "-oProxyCommand=x")
    assert status == 2
    assert "no host name" in err


async def test_status_of_a_fleet_and_its_exit_code(tmp_path: Path) -> None:
    async with simulated("nano", "thor", folder=tmp_path) as (fleet, _, _):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("status", "--config", config, "--fleet")
        assert status == 0
        for part in ("nano-0", "thor-1", "live", "Nano 4GB", "Thor T5000", "120W", "2 live"):
            assert part in out
        status, out, _ = await run_async("status", "--config", config, "--json", "--fleet")
        document = json.loads(out)
        assert status == 0
        assert document["fleet"]["live"] == 2
        assert [device["id"] for device in document["devices"]] == ["nano-0", "thor-1"]
        assert document["devices"][0]["sample"]["ram_total_mb"] == 3964
        assert document["devices"][0]["age_s"] < 5
        await next(iter(fleet.hosts.values())).stop()
        status, out, _ = await run_async("status", "--config", config)
        assert status == 1
        assert "connection refused" in out
        status, out, _ = await run_async("status", "--config", config, "thor-1")
        assert status == 0
        assert "nano-0" not in out


@pytest.mark.claim("DDC-10")
async def test_status_of_a_stranger_shows_its_key_and_does_not_trust_it(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, _, _):
        config = tmp_path / "cohete.yaml"
        empty = tmp_path / "empty"
        config.write_text(config.read_text().replace("known_hosts:", f"known_hosts: {empty} #"))
        status, out, _ = await run_async("status", "--config", str(config))
        assert status == 1
        assert "never seen before; its key is SHA256:" in out
        assert not empty.exists()
        status, out, _ = await run_async("status", "--config", str(config), "--accept-new")
        assert status == 0
        assert empty.exists()


async def test_watch_as_json_lines_and_as_plain_text(tmp_path: Path) -> None:
    async with simulated("orin-nx-16gb", folder=tmp_path):
        config = str(tmp_path / "cohete.yaml")
        status, out, _ = await run_async("watch", "--config", config, "--for", "2.5")
        assert status == 0
        documents = [json.loads(line) for line in out.splitlines()]
        assert {"event": "live", "text": "connected"}.items() <= documents[0].items()
        samples = [document for document in documents if "ram_total_mb" in document]
        assert len(samples) >= 2
        assert samples[0]["device"] == "orin-nx-16gb-0"
        status, out, _ = await run_async("watch", "--config", config, "--plain", "--for", "1.5")
        assert status == 0
        assert "hottest" in out


async def test_watch_says_what_to_do_about_a_board_that_cannot_be_reached(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, _, _):
        config = str(tmp_path / "cohete.yaml")
        await next(iter(fleet.hosts.values())).stop()
        _, out, _ = await run_async("watch", "--config", config, "--for", "1")
        event = json.loads(out.splitlines()[0])
        assert event["event"] == "lost"
        assert "connection refused" in event["text"]
        assert event["hint"]
        _, out, _ = await run_async("watch", "--config", config, "--plain", "--for", "1")
        assert f"{event['text']}. {event['hint']}" in out


async def test_simulate_serves_what_it_says(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cohete", "simulate", "--devices", "3", "--scenario", "calm",
        "--output", str(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(3):
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        assert line
    status, out, _ = await run_async("status", "--config", str(tmp_path / "cohete.yaml"), "--fleet")
    assert status == 0
    assert "3 live" in out
    assert (tmp_path / "id_simulator").stat().st_mode & 0o077 == 0
    process.terminate()
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert not errors


def test_scenarios_are_listed_and_a_wrong_one_is_explained() -> None:
    assert "chaos" in run("simulate", "--scenario", "list")[1]
    status, _, err = run("simulate", "--scenario", "nope")
    assert status == 2
    assert "demo" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(cohete, ["completion", shell])
    assert done.exit_code == 0
    assert "_COHETE_COMPLETE" in done.output


async def test_a_real_sshd_by_target_alone(tmp_path: Path) -> None:
    """`cohete status user@host:port` with the user's own key and known_hosts."""
    with openssh(tmp_path / "board") as server:
        home = Path(os.environ["HOME"])
        (home / ".ssh").mkdir(mode=0o700)
        key = home / ".ssh" / "id_ed25519"
        key.touch(0o600)
        key.write_bytes(server.client_key.read_bytes())
        (home / ".ssh" / "known_hosts").write_text(server.known_hosts)
        target = str(server.spec().target)
        status, out, err = await run_async("status", target)
        assert status == 0, err
        assert target in out
        assert "25W" in out


def test_the_dashboard_without_a_terminal_points_to_the_other_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from cohete_tui.cli import main; main()", "--demo"],
        capture_output=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"cohete watch" in done.stderr
