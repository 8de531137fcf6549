"""OpenSSH's own sshd on loopback, with stand-ins for the commands of a Jetson on its PATH."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from tests import lines

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)

TEGRASTATS = f"""#!/bin/sh
echo $$ >> "$STANDIN/pids"
echo "$*" >> "$STANDIN/tegrastats.args"
while :; do echo '{lines.ORIN_R36}'; sleep 0.2; done
"""
NVPMODEL = """#!/bin/sh
echo 'NVPM WARN: fan mode is not set!'
echo 'NV Power Mode: 25W'
echo 1
echo 'NVPM ERROR: Error opening /sys/kernel/nvpmodel_clk_cap/emc: 13' >&2
"""
DPKG_QUERY = """#!/bin/sh
case "$*" in *nvidia-jetpack) printf '6.2.1+b38';; *) printf '36.4.7-20250918154033';; esac
"""


def require_sshd() -> str:
    if SSHD is None:
        pytest.skip("no OpenSSH server on this machine (scripts/system-packages installs it)")
    return SSHD


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Sshd:
    """A running server: where it is, its key, and what it ran."""

    folder: Path
    port: int
    host_key: asyncssh.SSHKey
    client_key: Path
    extra: str = ""
    inside: tuple[str, ...] = ()
    """A program that begins the server in a world of its own, and becomes it."""
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def known_hosts(self) -> str:
        key = self.host_key.export_public_key().decode().strip()
        return f"[127.0.0.1]:{self.port} {key}\n"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Stand-in tegrastats that still run."""
        file = self.folder / "pids"
        pids = [int(text) for text in file.read_text().split()] if file.exists() else []
        return [pid for pid in pids if _alive(pid)]

    def spec(self, name: str = "board", **changes: object) -> DeviceSpec:
        target = Target("127.0.0.1", pwd.getpwuid(os.geteuid()).pw_name, self.port)
        return DeviceSpec(name, target, identity_file=str(self.client_key), **changes)  # type: ignore[arg-type]

    def start(self) -> None:
        config = self.folder / "sshd_config"
        bin_path = f"{self.folder}/bin:/usr/bin:/bin"
        config.write_text(
            f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv PATH={bin_path} STANDIN={self.folder} HOME={self.folder}
Subsystem sftp internal-sftp
{self.extra}
"""
        )
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [*self.inside, require_sshd(), "-D", "-e", "-f", str(config)], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        for _ in range(200):
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise RuntimeError(f"sshd did not start: {self.log}")

    def stop(self) -> None:
        """Kill the listener and every session it has, as a power cut would."""
        if self.process is None:
            return
        for pid in [self.process.pid, *_descendants(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def sessions(self) -> list[int]:
        """The sshd processes that serve somebody."""
        return _descendants(self.process.pid) if self.process else []


@contextlib.contextmanager
def openssh(
    folder: Path,
    *,
    extra: str = "",
    client_key: Path | None = None,
    inside: tuple[str, ...] = (),
) -> Iterator[Sshd]:
    """A server of its own with its own host key."""
    require_sshd()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in (
        ("tegrastats", TEGRASTATS), ("nvpmodel", NVPMODEL), ("dpkg-query", DPKG_QUERY),
    ):  # fmt: skip
        program = folder / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    _write_private(folder / "host_key", host_key)
    if client_key is None:
        client_key = folder / "id"
        _write_private(client_key, asyncssh.generate_private_key("ssh-ed25519"))
    public = asyncssh.read_private_key(client_key).export_public_key()
    (folder / "authorized_keys").write_bytes(public)
    server = Sshd(folder, free_port(), host_key, client_key, extra, inside)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        for pid in server.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _write_private(path: Path, key: asyncssh.SSHKey) -> None:
    path.touch(0o600)
    path.write_bytes(key.export_private_key())


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found += [int(entry.name), *_descendants(int(entry.name))]
    return found
