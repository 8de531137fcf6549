"""A desk and a board, each in a network of its own: runs in the desk's, and tells in JSON.

The board has Debian's NetworkManager and OpenSSH's sshd; the desk lends it an address.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import asyncssh

from cohete.clock import SystemClock
from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action
from cohete.control.gate import Gate
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision import turning
from cohete.provision.network import SetAddress
from cohete.provision.undo import undo_of

MOVED = "10.77.0.200"
OFFICE = "10.77.0.150"
KEPT = Path("/etc/NetworkManager/system-connections")


def nmcli(*words: str) -> str:
    """What NetworkManager says of this board."""
    return subprocess.run(
        ["/usr/bin/nmcli", *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def profiles() -> tuple[str, list[str]]:
    """The one that eth0 lives on, and Cohete's that start by themselves."""
    said = nmcli("-t", "-f", "NAME,AUTOCONNECT,DEVICE", "connection", "show")
    rows = [line.split(":") for line in said.splitlines()]
    ours = sorted(name for name, starts, _ in rows
                  if name.startswith("cohete-") and starts == "yes")  # fmt: skip
    return next((name for name, _, device in rows if device == "eth0"), ""), ours


async def main(folder: Path) -> None:
    turning.ROLLBACK_S, turning.REACH_S = 5, 2.5
    clock = SystemClock()
    control = Control(Gate(), AuditLog(folder / "state", clock), clock)
    host = nmcli("-g", "IP4.ADDRESS", "device", "show", "eth0").partition("/")[0]
    known = folder / "known"
    key = asyncssh.read_public_key(folder / "host_key.pub").export_public_key().decode()

    async def apply(where: str, action: Action | None) -> None:
        assert action is not None
        known.write_text(f"{where} {key}")
        connector = SshConnector(Ssh(), SshFiles(folder / "none", known, ()))
        spec = DeviceSpec("board", Target(where, "root"), identity_file=str(folder / "id"))
        async with ReopeningLink(make_opener(connector, clock), spec) as link:
            result = await control.apply(spec, link, action)
        await connector.close()
        now = nmcli("-g", "IP4.ADDRESS", "device", "show", "eth0").partition("/")[0]
        where = {host: "lent", MOVED: "moved", OFFICE: "office"}.get(now, now)
        on, ours = profiles()
        kept = [path.stem for path in KEPT.iterdir()]
        assert set(ours) <= {*kept}, "not there after a start"
        left = sorted(path.name for path in Path("/run/timers").iterdir())
        told = json.dumps([str(result.outcome), where, on, ours, left, result.words])
        sys.stdout.write(told.replace(host, "LENT") + "\n")

    keep, move = SetAddress(), SetAddress("eth0", f"{MOVED}/24")
    # A network in which nobody hears of it.
    await apply(host, SetAddress("eth0", "10.99.0.7/24", "10.99.0.1"))
    await apply(host, keep)
    await apply(host, keep)
    await apply(host, undo_of(keep))
    await apply(host, undo_of(keep))
    await apply(host, move)
    await apply(MOVED, undo_of(move))
    nmcli("connection", "add", "type", "ethernet", "con-name", "Office", "ifname", "eth0",
          "ipv4.method", "manual", "ipv4.addresses", f"{OFFICE}/24")  # fmt: skip
    nmcli("connection", "up", "Office")
    await apply(OFFICE, move)
    await apply(MOVED, undo_of(move))
    # What it had before is not there any more, as after a start where nobody had written it down.
    nmcli("connection", "up", "Wired connection 1", "ifname", "eth0")
    nmcli("connection", "delete", "Office")
    await apply(host, keep)
    nmcli("connection", "delete", "Wired connection 1")
    await apply(host, undo_of(keep))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
