"""A simulated board to change, and what a test asks of it afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cohete.clock import SystemClock
from cohete.config.spec import DeviceSpec
from cohete.control.applying import Control
from cohete.control.audit import AuditEntry, AuditLog, read_audit
from cohete.control.change import Action, Change
from cohete.control.gate import Gate
from cohete.control.outcome import Result
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector
from cohete.simulator.board import SimBoard
from cohete.simulator.faults import Fault
from cohete.simulator.server import SimHost
from tests.boards import lonely_files, simulated


@dataclass
class Bench:
    """One board, and the control that changes it."""

    host: SimHost
    spec: DeviceSpec
    control: Control
    link: ReopeningLink
    folder: Path

    @property
    def board(self) -> SimBoard:
        return self.host.board

    async def look(self, action: Action) -> Change:
        return await self.control.look(self.spec, self.link, action)

    async def apply(
        self, action: Action, *, reboot: bool = False, shown: Change | None = None
    ) -> Result:
        return await self.control.apply(self.spec, self.link, action, reboot=reboot, shown=shown)

    def audit(self) -> list[AuditEntry]:
        return read_audit(self.folder / "state")

    def changed_by(self) -> list[str]:
        """Command lines that used sudo, as the board got them."""
        return [line for line in self.host.commands if "sudo -n" in line and "@@cohete" not in line]

    async def fault(self, fault: Fault, *, on: bool = True) -> None:
        await self.host.set_fault(fault, on)


@contextlib.asynccontextmanager
async def bench(
    module: str, folder: Path, *, sudo: bool = True, gate: Gate | None = None
) -> AsyncIterator[Bench]:
    clock = SystemClock()
    async with simulated(module, folder=folder, sudo=sudo) as (fleet, config, specs):
        connector = SshConnector(config.ssh, lonely_files(config))
        control = Control(gate or Gate(), AuditLog(folder / "state", clock), clock)
        async with ReopeningLink(make_opener(connector, clock), specs[0]) as link:
            yield Bench(next(iter(fleet.hosts.values())), specs[0], control, link, folder)
        await connector.close()
