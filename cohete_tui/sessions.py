"""The fleets a dashboard can show: a planned one, or the demo's simulated boards."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cohete.fleet.alerting import AlertKeeper
    from cohete.fleet.breakers import DeviceBreaker
    from cohete.fleet.changing import Changes
    from cohete.fleet.session import FleetSession
    from cohete.fleet.state import Device
    from cohete.fleet.store import FleetStore
    from cohete.links.base import Link
    from cohete.links.handshake import Ask
    from cohete.simulator.scenario import Scenario
    from cohete.simulator.server import SimFleet
    from cohete.telemetry.past import Past
    from cohete_tui.launch import Launch
    from cohete_tui.replay_app import Session

DEMO_BOARDS = 12
DEMO_WORK = "inference.service"
"""What runs on simulated boards, and is held while one of them is too hot."""


async def open_session(launch: Launch, ask: Ask | None = None) -> Session:
    """A fleet that is ready to start; `ask` is asked for passwords. Raises CoheteError."""
    # SSH takes a while to load: beside the event loop, so that the screen stays alive.
    await asyncio.to_thread(_load_ssh)
    if launch.demo:
        return await _open_demo(read_only=launch.read_only or launch.served)
    from cohete.fleet.session import FleetSession

    assert launch.plan is not None
    plan = launch.plan
    if launch.read_only or launch.served:
        control = plan.control.model_copy(update={"read_only": True})
        plan = replace(plan, control=control)
    connector = None
    if ask is not None:
        from cohete.links.ssh import SshConnector

        connector = SshConnector(plan.ssh, ask=ask)
    fleet = FleetSession(
        plan, connector=connector, keep_history=launch.history, guards=not launch.served
    )
    return PlannedSession(fleet)


def _load_ssh() -> None:
    import cohete.fleet.session  # noqa: F401


class PlannedSession:
    """The fleet of a configuration or of the command line."""

    def __init__(self, fleet: FleetSession) -> None:
        self._fleet = fleet
        self.store: FleetStore = fleet.store
        self.changes: Changes | None = fleet.changes
        self.alerts: AlertKeeper | None = fleet.alerts

    def start(self) -> None:
        self._fleet.start()

    async def stop(self) -> None:
        await self._fleet.stop()

    async def accept_key(self, device: Device) -> None:
        await self._fleet.accept_key(device)

    def retry(self, device_id: str) -> None:
        self._fleet.supervisor.retry(device_id)

    def breaker_of(self, device: Device) -> DeviceBreaker | None:
        return self._fleet.breakers.by_id.get(device.id)

    def shell_argv(self, device: Device) -> list[str]:
        return self._fleet.shell_argv(device)

    def link(self, device: Device) -> Link:
        return self._fleet.link(device)

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None:
        return await self._fleet.past(device_id, from_ms, to_ms, step_ms)


class DemoSession(PlannedSession):
    """Simulated boards in this process, watched through real SSH on loopback."""

    def __init__(
        self, fleet: FleetSession, boards: SimFleet, scenario: Scenario, folder: str
    ) -> None:
        super().__init__(fleet)
        self._boards = boards
        self._scenario = scenario
        self._folder = folder
        self._story: asyncio.Task[None] | None = None

    def start(self) -> None:
        from cohete.simulator.scenario import play

        super().start()
        self._story = asyncio.create_task(play(self._scenario, self._boards))

    async def stop(self) -> None:
        if self._story is not None:
            self._story.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._story
        await super().stop()
        await self._boards.stop()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


async def _open_demo(*, read_only: bool) -> DemoSession:
    from cohete.clock import SystemClock
    from cohete.config.control import Control
    from cohete.config.schema import History, Telemetry
    from cohete.config.thermal import Reactions, ThermalPolicy
    from cohete.fleet.session import FleetSession, plan_fleet, require_fleet
    from cohete.simulator.scenario import build
    from cohete.simulator.server import SimFleet

    clock = SystemClock()
    scenario = await asyncio.to_thread(build, "demo", clock, DEMO_BOARDS)
    for board in scenario.boards:
        board.services[DEMO_WORK] = True
    boards = SimFleet(scenario.boards, clock=clock, sudo=True)
    await boards.start()
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="cohete-demo-")
    path = await asyncio.to_thread(boards.write_files, Path(folder), "demo")
    plan = require_fleet(await asyncio.to_thread(plan_fleet, (), str(path)))
    policy = ThermalPolicy(
        threshold_c=85, cooldown_c=75, check_interval_ms=1000,
        on_open=Reactions(stop=[DEMO_WORK]),
    )  # fmt: skip
    plan = replace(
        plan,
        specs=[replace(spec, thermal=policy, thermal_name="demo") for spec in plan.specs],
        telemetry=Telemetry(history=History(folder=f"{folder}/history")),
        control=Control(read_only=read_only),
    )
    fleet = FleetSession(
        plan, clock=clock, keep_history=True, guards=True, state_folder=Path(folder)
    )
    return DemoSession(fleet, boards, scenario, folder)
