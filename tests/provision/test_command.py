"""`cohete provision` through OpenSSH's sshd: shown, carried out, and nothing the second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import run_async
from tests.control.test_on_openssh import SUDO
from tests.openssh import openssh
from tests.provision.test_steps import APT, DPKG


@pytest.mark.claim("PS-10", "PS-06", "PS-05")
async def test_shown_then_done_then_nothing_to_do(tmp_path: Path) -> None:
    with openssh(tmp_path / "board") as server:
        for name, text in (("sudo", SUDO), ("apt-get", APT), ("dpkg-query", DPKG)):
            program = server.folder / "bin" / name
            program.write_text(text)
            program.chmod(0o755)
        known = tmp_path / "known"
        known.write_text(server.known_hosts)
        user = server.spec().target.user
        path = tmp_path / "cohete.yaml"
        path.write_text(
            f"ssh: {{known_hosts: {known}}}\n"
            "provision: {packages: [htop, nvtop], ssh: {copy_id: false, config_host: cam}}\n"
            f"fleet: {{devices: [{{id: board, ip: 127.0.0.1, port: {server.port}, user: {user}, "
            f"identity_file: {server.client_key}}}]}}\n"
        )
        own = tmp_path / "ssh" / "config"
        more = ("provision", "--config", str(path), "--ssh-config", str(own))
        status, out, err = await run_async(*more, "--dry-run")
        assert status == 0, (out, err)
        assert "== install htop, nvtop" in out
        assert "sudo -n -- /usr/bin/apt-get -y" in out
        assert "would have\nHost cam\n    HostName 127.0.0.1" in out
        assert "board: it does not tell its release" in err
        assert not own.exists()
        assert not (server.folder / "apt").exists()
        # Nobody at the terminal is no yes.
        assert (await run_async(*more))[0] == 2
        assert not (server.folder / "apt").exists()
        status, out, _ = await run_async(*more, "--yes")
        assert status == 0
        assert "board: done" in out
        assert f"{own}: Host cam added" in out
        kept = own.read_text()
        status, out, _ = await run_async(*more, "--yes")
        assert status == 0
        assert "board: already so: htop 1.2-3, nvtop 1.2-3" in out
        assert "Host cam is there already" in out
        assert own.read_text() == kept
        assert (server.folder / "apt").read_text().count("install ") == 2
        status, out, _ = await run_async(*more, "--yes", "--read-only")
        assert "would have" in out
        path.write_text("fleet: {devices: [{id: a, ip: 127.0.0.1}]}\n")
        status, _, err = await run_async(*more, "--dry-run")
        assert status == 2
        assert "there is nothing to provision" in err
