"""Faults on simulated boards and a proxy between: each noticed in time, each overcome."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cohete.config.schema import Ssh
from cohete.config.target import Target
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import Device, Refusal, State
from cohete.links.ssh import SshConnector
from cohete.simulator.faults import Fault
from tests.boards import is_live, is_state, lonely_files, raw_server, simulated, until, watched

pytestmark = pytest.mark.claim("DDC-07")


async def timed(condition: object, patience_s: float) -> float:
    begin = time.monotonic()
    await until(condition, patience_s)  # type: ignore[arg-type]
    return time.monotonic() - begin


async def test_cut_connections_come_back_by_themselves(tmp_path: Path) -> None:
    async with (
        simulated("nano", "orin-nx-16gb", folder=tmp_path) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        first, second = session.store
        await until(lambda: first.state is State.LIVE and second.state is State.LIVE)
        samples = second.samples
        await fleet.hosts[first.id].set_fault(Fault.CUT)
        await timed(lambda: first.state is not State.LIVE, 3)
        await timed(is_live(first), 5)
        assert second.samples >= samples
        assert second.attempts == 0


async def test_a_hung_board_is_stale_then_lost_and_others_do_not_notice(tmp_path: Path) -> None:
    async with (
        simulated("nano", "nano", "nano", folder=tmp_path) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        hung, *others = session.store
        await until(lambda: all(device.state is State.LIVE for device in session.store))
        await fleet.hosts[hung.id].set_fault(Fault.HANG)
        assert await timed(lambda: hung.state is State.STALE, 6) < 5.5
        await timed(lambda: hung.state is State.LOST or hung.attempts > 1, 8)
        now = session.clock.monotonic()
        assert all(device.state is State.LIVE for device in others)
        assert all((device.age_s(now) or 99) < 2 for device in others)
        await fleet.hosts[hung.id].set_fault(Fault.HANG, on=False)
        await timed(is_live(hung), 12)


async def test_a_slow_board_is_stale_at_worst_never_lost(tmp_path: Path) -> None:
    async with (
        simulated("nano", folder=tmp_path) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        (device,) = session.store
        await until(is_live(device))
        await fleet.hosts[device.id].set_fault(Fault.SLOW)
        samples = device.samples
        await until(lambda: device.samples >= samples + 2, 15)
        assert "lost" not in {event.kind for event in session.store.events}


async def test_garbage_and_escapes_between_samples_change_nothing(tmp_path: Path) -> None:
    async with (
        simulated("orin-nano-8gb", folder=tmp_path) as (fleet, config, specs),
        watched(config, [replace(spec, interval_ms=100) for spec in specs]) as session,
    ):
        (device,) = session.store
        host = next(iter(fleet.hosts.values()))
        host.board.faults |= {Fault.GARBAGE, Fault.ESCAPES}
        await until(lambda: device.samples > 8 and device.facts is not None)
        assert device.noise_lines > 4
        assert device.facts is not None
        assert device.stats is not None
        for text in (device.facts.model, device.facts.hostname, device.facts.module_name,
                     *(zone.name for zone in device.stats.zones)):  # fmt: skip
            assert text.isprintable()


async def test_a_changed_key_and_a_refused_login_wait_for_a_person(tmp_path: Path) -> None:
    async with (
        simulated("nano", "nano", folder=tmp_path) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        changed, refused = session.store
        await until(lambda: all(device.state is State.LIVE for device in session.store))
        await fleet.hosts[changed.id].set_fault(Fault.HOST_KEY)
        await fleet.hosts[refused.id].set_fault(Fault.AUTH)
        await until(lambda: all(device.state is State.REFUSED for device in session.store), 10)
        assert changed.refusal is Refusal.KEY_CHANGED
        assert refused.refusal is Refusal.LOGIN
        tries = (changed.attempts, refused.attempts)
        await asyncio.sleep(1.5)
        assert (changed.attempts, refused.attempts) == tries
        await fleet.hosts[refused.id].set_fault(Fault.AUTH, on=False)
        session.supervisor.retry(refused.id)
        await timed(is_live(refused), 5)


async def test_a_board_that_is_down_at_first_goes_live_when_it_is_up(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (fleet, config, specs):
        host = next(iter(fleet.hosts.values()))
        await host.set_fault(Fault.DOWN)
        async with watched(config, specs) as session:
            (device,) = session.store
            await until(lambda: device.state is State.LOST)
            assert device.error == "connection refused"
            await host.set_fault(Fault.DOWN, on=False)
            await timed(is_live(device), 8)


async def test_a_gated_sensor_is_off_not_a_number(tmp_path: Path) -> None:
    async with (
        simulated("agx-orin-32gb", folder=tmp_path) as (fleet, config, specs),
        watched(config, specs) as session,
    ):
        next(iter(fleet.hosts.values())).board.faults.add(Fault.GATED)
        (device,) = session.store
        await until(is_live(device))
        assert device.stats is not None
        zones = {zone.name: zone.celsius for zone in device.stats.zones}
        assert zones["GPU"] is None
        assert device.stats.hottest is not None
        assert device.stats.hottest.name == "CPU"


class Proxy:
    """A TCP proxy that can pass, stall or reset."""

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.passing = asyncio.Event()
        self.passing.set()
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
            self.writers += [writer, far_writer]
            await asyncio.gather(
                self._pump(reader, far_writer), self._pump(far_reader, writer),
                return_exceptions=True,
            )  # fmt: skip

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.passing.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


@contextlib.asynccontextmanager
async def proxy(to_port: int) -> AsyncIterator[Proxy]:
    between = Proxy(to_port)
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        between.reset()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def through_proxy(tmp_path: Path) -> AsyncIterator[tuple[Proxy, FleetSession, Device]]:
    async with simulated("nano", folder=tmp_path) as (fleet, config, (spec,)):
        host = next(iter(fleet.hosts.values()))
        async with proxy(host.port) as between:
            files = lonely_files(config)
            known = host.known_hosts.replace(f":{host.port}", f":{between.port}")
            (tmp_path / "proxy_known").write_text(known + "\n")
            connector = SshConnector(
                config.ssh, replace(files, known_hosts=tmp_path / "proxy_known")
            )
            target = Target("127.0.0.1", "nvidia", between.port)
            plan = FleetPlan([replace(spec, target=target)], ssh=config.ssh)
            async with FleetSession(plan, connector=connector) as session:
                device = session.store.devices[0]
                await until(is_live(device))
                yield between, session, device


async def test_a_reset_is_noticed_at_once(tmp_path: Path) -> None:
    async with through_proxy(tmp_path) as (between, _, device):
        between.reset()
        assert await timed(lambda: device.state is not State.LIVE, 3) < 1
        assert await timed(is_live(device), 6) < 5


async def test_a_stall_of_three_seconds_is_no_loss_and_its_backlog_one_sample(
    tmp_path: Path,
) -> None:
    async with through_proxy(tmp_path) as (between, session, device):
        between.passing.clear()
        await asyncio.sleep(3.2)
        between.passing.set()
        await until(is_live(device), 3)
        assert "lost" not in {event.kind for event in session.store.events}
        assert device.attempts == 0


async def test_a_black_hole_is_noticed_within_ten_seconds(tmp_path: Path) -> None:
    async with through_proxy(tmp_path) as (between, session, device):
        between.passing.clear()
        assert await timed(lambda: device.state is State.STALE, 6) < 5.5
        lost_s = await timed(
            lambda: any(event.kind == "lost" for event in session.store.events), 10
        )
        assert lost_s < 6
        between.passing.set()
        await timed(is_live(device), 20)


async def test_silent_and_talkative_strangers_are_errors_within_ten_seconds(
    tmp_path: Path,
) -> None:
    async with (
        simulated("nano", folder=tmp_path) as (_, config, (spec,)),
        raw_server(b"") as silent,
        raw_server(b"B" * 1_048_576) as talkative,
    ):
        specs = [
            spec,
            *(
                replace(spec, id=f"p{port}", target=Target("127.0.0.1", "n", port))
                for port in (silent, talkative)
            ),
        ]
        settings = config.ssh.model_copy(update={"login_timeout_s": 2.0})
        connector = SshConnector(settings, lonely_files(config))
        async with FleetSession(FleetPlan(specs, ssh=settings), connector=connector) as session:
            good, *bad = session.store
            await until(is_live(good), 3)
            await until(lambda: all(device.state is State.LOST for device in bad), 10)


def all_live_anew(session: FleetSession, before: list[float | None]) -> Callable[[], bool]:
    """Every device is live, and not since when it was before."""
    return lambda: all(
        device.state is State.LIVE and device.live_since != since
        for device, since in zip(session.store, before, strict=True)
    )


async def test_coming_and_going_leaks_nothing(tmp_path: Path) -> None:
    """Many losses, then the end: no task, no file descriptor, no session stays."""
    async with simulated("nano", "nano", "nano", folder=tmp_path) as (fleet, config, specs):
        fast = [replace(spec, interval_ms=100) for spec in specs]
        async with watched(config, fast) as session:
            await until(lambda: all(device.state is State.LIVE for device in session.store))
            tasks, fds = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
            for _ in range(8):
                before = [device.live_since for device in session.store]
                for host in fleet.hosts.values():
                    host.cut()
                await until(all_live_anew(session, before))
            await until(lambda: len(asyncio.all_tasks()) <= tasks + 2)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= fds + 2)
        await until(lambda: not any(host.running for host in fleet.hosts.values()))
        gc.collect()


@pytest.mark.claim("DDC-13")
async def test_a_changed_timeout_changes_what_happens(tmp_path: Path) -> None:
    async with simulated("nano", folder=tmp_path) as (_, config, (spec,)), raw_server(b"") as port:
        measured = []
        for limit_s in (0.3, 1.2):
            settings = Ssh(login_timeout_s=limit_s)
            connector = SshConnector(settings, lonely_files(config))
            target = replace(spec, target=Target("127.0.0.1", "n", port))
            plan = FleetPlan([target], ssh=settings)
            async with FleetSession(plan, connector=connector) as session:
                (device,) = session.store
                measured.append(await timed(is_state(device, State.LOST), 5))
        assert measured[1] - measured[0] > 0.6


async def test_a_board_that_refuses_is_not_waited_for(tmp_path: Path) -> None:
    async with simulated("nano", "tx2", folder=tmp_path) as (fleet, config, specs):
        await fleet.hosts["tx2-1"].set_fault(Fault.AUTH)
        async with watched(config, specs) as session, asyncio.timeout(20):
            await session.settled(600)
            assert session.store["nano-0"].facts is not None
            assert session.store["tx2-1"].state is State.REFUSED
