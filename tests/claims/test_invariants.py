"""Claims about the whole of Cohete: what its code may contain, say, open and send."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from cohete.config.schema import Config, Ssh
from cohete.fleet.export import device_as_dict
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.links.local import LocalLink
from cohete.simulator.faults import Fault
from tests.boards import is_live, lonely_files, simulated, until, watched
from tests.conftest import SPEC

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "cohete").rglob("*.py")), *sorted((ROOT / "cohete_tui").rglob("*.py"))]


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text())


@pytest.mark.claim("AI-02")
def test_no_dynamic_code_and_no_embedded_language() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                assert name not in {"eval", "exec", "compile", "__import__"}, (path, node.lineno)
                if isinstance(node.func, ast.Attribute):
                    called = ast.unparse(node.func)
                    assert called not in {"yaml.load", "yaml.full_load", "yaml.unsafe_load"}, path
                    assert called not in {"os.system", "os.popen", "subprocess.getoutput"}, path
                for keyword in node.keywords:
                    if keyword.arg == "shell":
                        assert ast.unparse(keyword.value) == "False", (path, node.lineno)
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                module = getattr(node, "module", None) or ""
                for name in (*names, module):
                    assert name.partition(".")[0] not in {
                        "pickle", "marshal", "shelve", "lupa", "quickjs", "js2py", "dill",
                    }, path  # fmt: skip


@pytest.mark.claim("AI-02")
def test_dynamic_imports_only_name_our_own_modules() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                argument = ast.unparse(node.args[0])
                assert argument in {"VERBS[cmd_name][0]"}, (path, argument)


@pytest.mark.claim("AI-02")
def test_nothing_of_ours_is_needed_on_a_board() -> None:
    from cohete.links.commands import PROBES, gpu_utilization, probe, tegrastats

    programs = {argv[0] for argv in (probe(), tegrastats(1000), gpu_utilization(2))}
    programs |= {item.argv[0] for item in PROBES}
    assert programs <= {"timeout", "cat", "head", "grep", "uname", "ls", "sh", "getconf", "ip"}
    words = {word for item in PROBES for word in item.argv}
    assert not words & {"python", "python3", "pip", "cohete"}


@pytest.mark.claim("AI-03")
def test_strictly_typed_and_no_foreign_functions() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"] is True
    assert {"cohete", "cohete_tui"} <= set(settings["files"])
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.partition(".")[0] for alias in node.names}
                names.add((getattr(node, "module", None) or "").partition(".")[0])
                assert not names & {"ctypes", "cffi", "_ctypes"}, path
        text = path.read_text()
        assert not re.search(r"#\s*type:\s*ignore(?!\[)", text), path
    assert not [*ROOT.glob("cohete*/**/*.c"), *ROOT.glob("cohete*/**/*.pyx")]


@pytest.mark.claim("AI-05")
def test_every_section_of_the_configuration_is_strict() -> None:
    from pydantic import BaseModel

    from cohete.config import schema

    models = [
        value for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
    ]  # fmt: skip
    assert Config in models
    for model in models:
        assert model.model_config["extra"] == "forbid", model
        assert model.model_config["strict"] is True, model


CANARY = "canary-Qx7-secret"


@pytest.mark.claim("SS-01")
async def test_secrets_reach_no_log_error_screen_export_or_argv(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        assert spec.identity_file is not None
        locked = tmp_path / "locked"
        locked.touch(0o600)
        key = asyncssh.generate_private_key("ssh-ed25519")
        locked.write_bytes(key.export_private_key(passphrase=CANARY))
        private = Path(spec.identity_file).read_text().splitlines()[1]
        specs = [spec, replace(spec, id="locked", identity_file=str(locked))]
        async with watched(config, specs) as session:
            good, refused = session.store
            await until(lambda: good.state is State.LIVE and refused.state is State.REFUSED)
            await fleet.hosts[spec.id].set_fault(Fault.AUTH)
            await until(lambda: good.state is State.REFUSED)
            shown = json.dumps([device_as_dict(device, session.store) for device in session.store])
            shown += repr(list(session.store.events)) + good.error + good.hint + refused.hint
        argv = "".join(fleet.hosts[spec.id].commands) + Path("/proc/self/cmdline").read_text()
        for secret in (CANARY, private):
            assert secret not in shown
            assert secret not in caplog.text
            assert secret not in argv


@pytest.mark.claim("SS-01")
def test_a_configuration_has_no_place_for_a_password() -> None:
    schema = Config.model_json_schema()
    keys = set(schema["properties"])
    for definition in schema["$defs"].values():
        keys |= set(definition.get("properties", {}))
    assert len(keys) > 40
    for word in ("password", "passphrase", "secret", "token"):
        assert not any(word in key.lower() for key in keys)


@pytest.mark.claim("SS-02")
def test_no_source_switches_a_check_off() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert "known_hosts=None" not in text, path
        assert "verify=False" not in text, path
        assert "StrictHostKeyChecking=no" not in text, path
        assert "0.0.0.0" not in text, path
        assert '"http://' not in text, path
    assert Ssh().accept_new is False


@pytest.mark.claim("SS-03")
async def test_watching_never_uses_sudo(tmp_path: Path) -> None:
    async with (
        simulated("thor", "agx-xavier", folder=tmp_path, sudo=True) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        await until(lambda: all(device.facts is not None for device in session.store))
        for host in fleet.hosts.values():
            assert host.commands
            assert not any("sudo" in command for command in host.commands)


@pytest.mark.claim("SS-03")
async def test_where_sudo_is_allowed_it_is_the_one_command(tmp_path: Path) -> None:
    async with simulated("agx-xavier", folder=tmp_path, sudo=True) as (fleet, config, specs):
        allowed = [replace(spec, sudo=True) for spec in specs]
        async with watched(config, allowed) as session:
            (device,) = session.store
            await until(lambda: device.state is State.LIVE and device.facts is not None)
            assert device.with_root
            assert device.stats is not None
            assert device.stats.emc_percent is not None
            assert "emc" not in session.store.explain(device)
        (host,) = fleet.hosts.values()
        with_sudo = [command for command in host.commands if "sudo" in command]
        assert with_sudo == ["timeout 900 sudo -n /usr/bin/tegrastats --interval 1000"]


def listeners(pid: int) -> set[tuple[str, int]]:
    """Addresses (hex, as the kernel writes them) and ports on which a process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = entry.readlink() if entry.is_symlink() else Path()
        match = re.fullmatch(r"socket:\[(\d+)\]", str(target))
        if match:
            inodes.add(match[1])
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            is_listening = fields[3] == "0A" or table.startswith("udp")
            if fields[9] in inodes and is_listening:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


@pytest.mark.claim("SS-04", "DDC-11")
async def test_watching_opens_no_port_at_all(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cohete", "watch", "--config", str(tmp_path / "cohete.yaml"),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 20)
        await asyncio.wait_for(process.stdout.readline(), 20)
        assert listeners(process.pid) == set()
        process.kill()
        await process.communicate()


@pytest.mark.claim("SS-04")
async def test_the_simulator_listens_on_loopback_only(tmp_path: Path) -> None:
    async with simulated("nano", "nano", folder=tmp_path) as (fleet, _, _):
        ours = {host.port for host in fleet.hosts.values()}
        mine = {(address, port) for address, port in listeners(os.getpid()) if port in ours}
        assert len(mine) == 2
        assert {address for address, _ in mine} == {"0100007F"}


@pytest.mark.claim("MM-01")
async def test_free_memory_is_the_kernels_memavailable() -> None:
    """On this machine's own /proc/meminfo, over the link that runs commands here."""
    from cohete.device.facts import read_facts

    facts = await read_facts(LocalLink())
    wanted = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        wanted[name] = int(rest.split()[0])
    assert facts.memory_available_mb is not None
    assert abs(facts.memory_available_mb - wanted["MemAvailable"] / 1024) < 200
    assert facts.memory_total_mb == wanted["MemTotal"] // 1024


@pytest.mark.claim("MM-01")
async def test_used_memory_on_screen_is_total_minus_available(tmp_path: Path) -> None:
    async with (
        simulated("orin-nx-16gb", folder=tmp_path) as (_, config, specs),
        watched(config, specs) as session,
    ):
        (device,) = session.store
        await until(lambda: device.facts is not None)
        assert device.stats is not None
        assert device.facts is not None
        available = device.facts.memory_available_mb
        assert available is not None
        shown = device.stats.ram_total_mb - device.stats.ram_used_mb
        assert abs(shown - available) <= 50


@pytest.mark.claim("DDC-08")
async def test_each_board_once_in_the_order_they_were_named(tmp_path: Path) -> None:
    modules = ["nano", "thor", "orin-nx-16gb", "tx2"]
    async with simulated(*modules, folder=tmp_path) as (_, config, specs):
        for _ in range(2):
            async with watched(config, specs) as session:
                await until(
                    lambda session=session: all(d.state is State.LIVE for d in session.store)  # type: ignore[misc]
                )
                assert [device.id for device in session.store] == [spec.id for spec in specs]


@pytest.mark.claim("DDC-11")
async def test_only_the_ssh_port_is_used(tmp_path: Path) -> None:
    """A board goes live with nothing reachable but its SSH port: no multicast, nothing else."""
    async with simulated("nano", folder=tmp_path) as (fleet, config, specs):
        connector_files = lonely_files(config)
        from cohete.links.ssh import SshConnector

        dialled: list[tuple[str, int]] = []
        connector = SshConnector(config.ssh, connector_files)
        dialer = connector._handshake.dialer
        original = dialer.dial

        async def dial(host: str, port: int, timeout_s: float) -> object:
            dialled.append((host, port))
            return await original(host, port, timeout_s)

        dialer.dial = dial  # type: ignore[method-assign, assignment]
        async with FleetSession(FleetPlan(specs, ssh=config.ssh), connector=connector) as session:
            await until(is_live(session.store.devices[0]))
        (host,) = fleet.hosts.values()
        assert set(dialled) == {("127.0.0.1", host.port)}


def test_marked_claims_exist() -> None:
    """Every id that a test claims to prove is one of the hundred."""
    tsv = SPEC / "falsification.tsv"
    if not tsv.is_file():
        pytest.skip("the list of claims is not beside this project (../shared/spec)")
    known = {line.split("\t")[0] for line in tsv.read_text().splitlines()[1:]}
    marked = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for arguments in re.findall(r"mark\.claim\(([^)]*)\)", path.read_text()):
            marked |= set(re.findall(r'"([A-Z]{2,3}-\d\d)"', arguments))
    assert marked <= known
    promised = {
        "DDC-03", "DDC-05", "DDC-07", "DDC-08", "DDC-10", "DDC-11", "DDC-12", "DDC-13", "DDC-14",
        "DDC-15", "TM-01", "TM-02", "TM-05", "MM-01", "FO-05", "AI-02", "AI-03", "AI-05", "SS-01",
        "SS-02", "SS-03", "SS-04",
    }  # fmt: skip
    assert promised <= marked


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode().split()  # fmt: skip
    hosts = re.compile("py" + r"pi\.org|python" + r"hosted\.org|deb\." + r"debian\.org|/wo" + "rk/")
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".json", ""}:
            assert not hosts.search(path.read_text("utf-8", "replace")), name
