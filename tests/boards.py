"""Simulated boards behind real SSH, for tests that go over the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from cohete.clock import SystemClock
from cohete.config.devices import specs_from_config
from cohete.config.loading import load
from cohete.config.schema import Config
from cohete.config.spec import DeviceSpec
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import Device, State
from cohete.links.ssh import SshConnector, SshFiles
from cohete.simulator.board import SimBoard
from cohete.simulator.server import SimFleet
from cohete.simulator.workload import Workload

PATIENCE_S = 20.0


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for something the other side does; fail when it does not come."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.01)


def boards(*modules: str, clock: SystemClock) -> list[SimBoard]:
    """One board of each module, named by module and number."""
    return [
        SimBoard(f"{module}-{nth}", module, clock, workload=Workload.INFERENCE)
        for nth, module in enumerate(modules)
    ]


@contextlib.asynccontextmanager
async def simulated(
    *modules: str, folder: Path, sudo: bool = False
) -> AsyncIterator[tuple[SimFleet, Config, list[DeviceSpec]]]:
    """Running boards, and the configuration written for them."""
    clock = SystemClock()
    fleet = SimFleet(boards(*modules, clock=clock), clock=clock, sudo=sudo)
    async with fleet:
        path = await asyncio.to_thread(fleet.write_files, folder)
        config = load(path)
        yield fleet, config, specs_from_config(config, folder)


@contextlib.asynccontextmanager
async def watched(config: Config, specs: list[DeviceSpec]) -> AsyncIterator[FleetSession]:
    """A fleet session over simulated boards that reads nobody's own ssh files."""
    connector = SshConnector(config.ssh, lonely_files(config))
    session = FleetSession(FleetPlan(specs, ssh=config.ssh), connector=connector)
    async with session:
        yield session


def lonely_files(config: Config) -> SshFiles:
    """The files of a configuration, and none of the user's."""
    files = SshFiles.of(config.ssh)
    return SshFiles(files.config, files.known_hosts, ())


def is_state(device: Device, state: State) -> Callable[[], bool]:
    """For `until`."""
    return lambda: device.state is state


def is_live(device: Device) -> Callable[[], bool]:
    """For `until`."""
    return lambda: device.state is State.LIVE


@contextlib.asynccontextmanager
async def raw_server(banner: bytes) -> AsyncIterator[int]:
    """A port on loopback that says `banner` to whoever comes, and then nothing more."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(banner)
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()
