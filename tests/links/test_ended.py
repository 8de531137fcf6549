"""What is left of a connection that has ended: nothing, without anybody looking for garbage."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from cohete.errors import LinkError
from cohete.links.commands import tegrastats
from cohete.links.ssh import SshConnector, SshLink
from cohete.simulator.faults import Fault
from tests.boards import lonely_files, simulated, until


class Alive(weakref.WeakSet[asyncssh.SSHClientConnection]):
    """Those that were made and are there."""

    made = 0


@pytest.fixture
def connections() -> Iterator[Alive]:
    """Those that are there, while nobody looks for garbage."""
    alive = Alive()
    init = asyncssh.SSHClientConnection.__init__

    def noted(self: asyncssh.SSHClientConnection, *args: object, **more: object) -> None:
        alive.add(self)
        alive.made += 1
        init(self, *args, **more)  # type: ignore[arg-type]

    gc.collect()
    gc.disable()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncssh.SSHClientConnection, "__init__", noted)
        yield alive
    gc.enable()


async def test_closed_after_a_command_and_a_stream(tmp_path: Path, connections: Alive) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)):
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        await link.run(("uname", "-a"), timeout_s=5)
        came = asyncio.Event()
        await link.stream(tegrastats(spec.interval_ms), lambda _: came.set())
        await came.wait()
        assert len(connections) == 1
        await link.close()
        assert connections.made == 1
        await until(lambda: not connections)
        await connector.close()


async def test_cut_by_the_board(tmp_path: Path, connections: Alive) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        connector = SshConnector(config.ssh, lonely_files(config))
        link = SshLink(spec, connector)
        await link.open()
        came = asyncio.Event()
        stream = await link.stream(tegrastats(spec.interval_ms), lambda _: came.set())
        await came.wait()
        await next(iter(fleet.hosts.values())).set_fault(Fault.CUT)
        with contextlib.suppress(LinkError):
            await stream.wait()
        await link.close()
        del link, stream
        assert connections.made == 1
        await until(lambda: not connections)
        await connector.close()


async def test_refused(tmp_path: Path, connections: Alive) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        connector = SshConnector(config.ssh, lonely_files(config))
        await next(iter(fleet.hosts.values())).set_fault(Fault.AUTH)
        words = ""
        try:
            await SshLink(spec, connector).open()
        except LinkError as error:
            words = error.what
        assert words
        assert connections.made == 1
        await until(lambda: not connections)
        await connector.close()
