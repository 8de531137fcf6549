"""Debian's own NetworkManager on a board of its own: an address given and taken back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

WIRED = "Wired connection 1"
TOOLS = ("NetworkManager", "nmcli", "dbus-daemon", "dnsmasq", "sshd", "ip", "unshare", "nsenter")
PROGRAMS = {
    "systemd-run": """#!/bin/sh
for word in "$@"; do
  shift
  case $word in
  --unit=*) unit=${word#--unit=};; --on-active=*) after=${word#--on-active=};; --*) ;;
  *) set -- "$word" "$@"; break;;
  esac
done
setsid sh -c 'echo $$ > "$0"; sleep "$1"; shift; rm -f "$0"; exec "$@"' \\
  "/run/timers/$unit.timer" "$after" "$@" > /dev/null 2>&1 < /dev/null &
while [ ! -s "/run/timers/$unit.timer" ]; do :; done
""",
    "systemctl": """#!/bin/sh
[ -s "/run/timers/$2" ] || { echo "Failed to stop $2: Unit $2 not loaded." >&2; exit 5; }
kill -- "-$(cat "/run/timers/$2")"; rm -f "/run/timers/$2"
""",
    "sudo": '#!/bin/sh\nshift 2; exec "$@"\n',
}
"""Timers of systemd as processes that sleep, each in a file by its name."""
MANAGER = """[main]
plugins=keyfile
dhcp=internal
dns=none
rc-manager=unmanaged
no-auto-default=*
"""
SERVER = """Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
"""
WORLD = """set -e
folder=$1 ports=$2; shift 2
mount -t tmpfs none /run
mkdir -p /run/dbus /run/sshd /run/timers /run/profiles /run/upper /run/work
mount -t tmpfs none /var/lib/NetworkManager
mount --bind /run/profiles /etc/NetworkManager/system-connections
mount -t overlay none -o lowerdir=/usr/bin,upperdir=/run/upper,workdir=/run/work /usr/bin
cp "$folder"/bin/* /usr/bin/
ip link set lo up
ip link add v0 type bridge
ip addr add 10.77.0.1/24 dev v0; ip link set v0 up
unshare -n sleep 300 & board=$!
while [ "$(readlink /proc/$board/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
for port in $ports; do
  ip link add "desk-$port" type veth peer name $port netns $board
  ip link set "desk-$port" master v0 up
done
in_board="nsenter -n -t $board"
$in_board ip link set lo up
dbus-daemon --system --fork --nopidfile
dnsmasq --no-daemon --conf-file=/dev/null --port=0 --no-ping --interface=v0 --bind-interfaces \\
  --dhcp-range=10.77.0.50,10.77.0.99,1h --dhcp-leasefile=/run/leases > "$folder/dnsmasq" 2>&1 &
# Without a udev it takes what is there as ready where /sys is for reading only.
$in_board unshare -m sh -c 'mount -t sysfs -o ro none /sys && exec "$@"' sh \\
  NetworkManager --debug --config "$folder/manager.conf" --config-dir /run/none \\
  --system-config-dir /run/none > "$folder/manager" 2>&1 &
$in_board "$(command -v sshd)" -D -e -f "$folder/sshd_config" > "$folder/sshd" 2>&1 &
waited() { tries=$((tries + 1)); [ $tries -lt 600 ] || exit 77; sleep 0.05; }
until nmcli -t general status > /dev/null 2>&1; do waited; done
for port in $ports; do nmcli device set $port managed yes; done
nmcli connection add type ethernet con-name 'Wired connection 1' > /dev/null
nmcli connection up 'Wired connection 1' ifname eth0 > /dev/null
until [ "$(nmcli -g GENERAL.STATE connection show 'Wired connection 1')" = activated ]; do
  waited
done
exec "$@" "$folder"
"""


@pytest.mark.claim("PS-08")
@pytest.mark.parametrize("ports", ["eth0", "eth0 eth1"])
def test_an_address_is_given_tried_and_taken_back(tmp_path: Path, ports: str) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    world = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc",
             "--propagation", "private"]  # fmt: skip
    probe = subprocess.run(
        [*world, "sh", "-c", "mount -t tmpfs none /run && cd /run && mkdir a b && "
         "mount -t overlay none -o lowerdir=/usr/bin,upperdir=a,workdir=b /usr/bin && "
         "unshare -n -m mount -t sysfs -o ro none /sys && "
         "ip link add v0 type bridge && ip link add v1 type veth peer name v2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        pytest.skip(f"no network of its own here: {probe.stderr.strip()}")
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    (tmp_path / "manager.conf").write_text(MANAGER)
    (tmp_path / "sshd_config").write_text(SERVER.format(folder=tmp_path))
    for name in ("id", "host_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_bytes(key.export_private_key())
        (tmp_path / f"{name}.pub").write_bytes(key.export_public_key())
    shutil.copy(tmp_path / "id.pub", tmp_path / "authorized_keys")
    done = subprocess.run(
        [*world, "sh", "-c", WORLD, "sh", str(tmp_path), ports,
         sys.executable, "-m", "tests.provision.managed"],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if done.returncode == 77:
        log = (tmp_path / "manager").read_text(errors="replace")
        pytest.skip(f"NetworkManager does not come up here: {log[-300:]}")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    kept, away = "cohete-eth0-LENT", "cohete-eth0-10.77.0.200-was-LENT"
    # A second port takes up whatever is free, and that is left to it.
    before = "eth0-lent" if "eth1" in ports else WIRED
    # What came of it, where the board is, what it lives on, which of ours start by themselves.
    assert [each[:4] for each in said] == [
        ["failed, nothing changed", "lent", WIRED, []],
        ["done", "lent", kept, [kept]],
        ["already so", "lent", kept, [kept]],
        ["done", "lent", before, []],
        ["already so", "lent", before, []],
        ["done", "moved", away, [away]],
        ["done", "lent", before, []],
        ["done", "moved", "cohete-eth0-10.77.0.200", ["cohete-eth0-10.77.0.200"]],
        ["done", "office", "Office", []],
        ["done", "lent", kept, [kept]],
        ["done", "lent", "eth0-lent", []],
    ], done.stdout
    assert [each[4] for each in said] == [[]] * len(said), "timers are left"
    assert "reach it there: no route to this network" in said[0][5]
