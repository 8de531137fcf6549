"""What Debian's own avahi-daemon announces in a network of its own: found, and gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DAEMON = """[server]
host-name=orin-7
use-ipv4=yes
use-ipv6=yes
enable-dbus=no
[publish]
publish-workstation=yes
"""
SERVICE = """<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name replace-wildcards="yes">Jetson on %h</name>
<service><type>_jetson._tcp</type><port>2222</port></service></service-group>
"""
WORLD = """set -e
folder=$1; shift
mount -t tmpfs none /run && mkdir /run/avahi-daemon
mount --bind "$folder/services" /etc/avahi/services
ip link set lo up
ip link add v0 type veth peer name v1
ip addr add 10.77.0.1/24 dev v0; ip link set v0 up
unshare -n sleep 120 & board=$!
while [ "$(readlink /proc/$board/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
ip link set v1 netns $board
nsenter -n -t $board sh -c 'ip link set lo up; ip addr add 10.77.0.2/24 dev v1; ip link set v1 up'
exec "$@" $board "$folder/avahi.conf"
"""
LISTENER = """
import asyncio, json, subprocess, sys
from cohete.device.discovery.mdns import Listening

async def main():
    found, changed = {}, asyncio.Event()

    def seen(name, sighting):
        if sighting is None:
            found.pop(name, None)
        else:
            found[name] = sighting
        changed.set()

    async def until(holds):
        async with asyncio.timeout(20):
            while not holds():
                changed.clear()
                await changed.wait()

    board, config = sys.argv[1:]
    async with Listening(seen):
        daemon = subprocess.Popen(
            ["nsenter", "-n", "-t", board, "/usr/sbin/avahi-daemon", "--no-drop-root",
             "--no-chroot", "--no-rlimits", "-f", config])
        await until(lambda: len(found) >= 2)
        print(json.dumps({
            name: [each.name, str(each.kind), [[a.host, a.port] for a in each.addresses]]
            for name, each in found.items()}))
        daemon.terminate()
        daemon.wait()
        await until(lambda: not found)
        print("gone")

asyncio.run(main())
"""


@pytest.mark.claim("DDC-02")
def test_a_board_that_avahi_announces(tmp_path: Path) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [
        tool
        for tool in ("avahi-daemon", "ip", "unshare", "nsenter")
        if shutil.which(tool, path=path) is None
    ]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    services = tmp_path / "services"
    services.mkdir()
    (services / "jetson.service").write_text(SERVICE)
    (tmp_path / "avahi.conf").write_text(DAEMON)
    world = ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc",
             "--propagation", "private"]  # fmt: skip
    probe = subprocess.run(
        [*world, "sh", "-c", "ip link add v0 type veth peer name v1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        pytest.skip(f"no network of its own here: {probe.stderr.strip()}")
    done = subprocess.run(
        [*world, "sh", "-c", WORLD, "sh", str(tmp_path), sys.executable, "-c", LISTENER],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    found = {name.partition(".")[2]: rest for name, rest in json.loads(first).items()}
    assert found["_jetson._tcp.local."] == ["orin-7", "board", [["10.77.0.2", 2222]]]
    label, kind, addresses = found["_workstation._tcp.local."]
    assert (label, kind) == ("orin-7", "candidate")
    # A link-local address that does not say on which link is of no use.
    assert addresses == [["10.77.0.2", 22]]
    assert last == "gone"
