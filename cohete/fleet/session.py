"""A fleet from start to end: which devices, their links, the supervisor. For every front end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cohete.claim import DeviceClaims
from cohete.clock import Clock, SystemClock
from cohete.config.alerts import Alerts
from cohete.config.control import Control, Power
from cohete.config.devices import specs_from_config, specs_from_targets
from cohete.config.limits import Limit
from cohete.config.loading import find_config, load
from cohete.config.schema import Dashboard, History, Ssh, Telemetry, Watch
from cohete.config.spec import DeviceSpec, Reach
from cohete.config.switches import Switch
from cohete.config.target import Target
from cohete.control.applying import Control as Applier
from cohete.control.audit import AuditLog
from cohete.control.audit import default_folder as default_state_folder
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.errors import ConfigError, LinkError
from cohete.fleet.alerting import AlertKeeper
from cohete.fleet.breakers import BreakerKeeper
from cohete.fleet.changing import Changes
from cohete.fleet.chosen import ChosenProfiles
from cohete.fleet.garbage import keep_tidy
from cohete.fleet.guarding import FILE as GUARDS_FILE
from cohete.fleet.guarding import GuardGate, Guards
from cohete.fleet.keeper import HistoryKeeper
from cohete.fleet.leaks import LeakKeeper
from cohete.fleet.limits import LimitKeeper
from cohete.fleet.pressure import PressureKeeper
from cohete.fleet.standing import Standing
from cohete.fleet.state import Device, State
from cohete.fleet.store import FleetStore
from cohete.fleet.supervisor import Settings, Supervisor
from cohete.fleet.switches import SwitchKeeper
from cohete.links.base import Completed, Link, put_over
from cohete.links.keylogin import why_no_key
from cohete.links.local import is_jetson
from cohete.links.opener import Opener, make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector
from cohete.telemetry.past import Limits, Past

_log = logging.getLogger("cohete.fleet")

GUARD_RETRY_S = 5.0
SETTLE_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to watch and how."""

    specs: list[DeviceSpec]
    name: str = ""
    ssh: Ssh = field(default_factory=Ssh)
    watch: Watch = field(default_factory=Watch)
    dashboard: Dashboard = field(default_factory=Dashboard)
    telemetry: Telemetry = field(default_factory=Telemetry)
    control: Control = field(default_factory=Control)
    power: Power = field(default_factory=Power)
    alerts: Alerts = field(default_factory=Alerts)
    limits: dict[str, Limit] = field(default_factory=dict)
    switches: dict[str, Switch] = field(default_factory=dict)
    path: Path | None = None
    """The configuration it was planned from."""


def plan_fleet(
    targets: Sequence[str] = (),
    config_path: str | None = None,
    *,
    accept_new: bool = False,
    interval_ms: int | None = None,
) -> FleetPlan | None:
    """From the command line: named targets, else a configuration, else this machine if it is a
    Jetson, else None. Raises ConfigError.

    Targets that are ids of the configuration mean those devices.
    """
    path = find_config(config_path)
    config = load(path) if path is not None else None
    if config is None or path is None:
        plan = FleetPlan(specs_from_targets(tuple(targets)))
    else:
        listed = specs_from_config(config, path.parent)
        plan = FleetPlan(
            _chosen(listed, targets, config.watch.interval_ms) if targets else listed,
            config.fleet.name,
            config.ssh,
            config.watch,
            config.dashboard,
            config.telemetry,
            config.control,
            config.power,
            config.alerts,
            config.limits,
            config.switches,
            path,
        )
    if not plan.specs and not targets and is_jetson():
        here = DeviceSpec("this-machine", Target("localhost"), Reach.LOCAL)
        plan = replace(plan, specs=[here])
    if not plan.specs:
        return None
    if accept_new:
        plan = replace(plan, ssh=plan.ssh.model_copy(update={"accept_new": True}))
    if interval_ms is not None:
        plan = replace(plan, specs=[replace(s, interval_ms=interval_ms) for s in plan.specs])
    return plan


def require_fleet(plan: FleetPlan | None) -> FleetPlan:
    """The plan, or an error that says how to name devices."""
    if plan is None:
        raise ConfigError(
            "no device to watch",
            hint="Name one (nvidia@10.0.0.7), write a cohete.yaml, or try `cohete-tui --demo`.",
        )
    return plan


def _chosen(listed: list[DeviceSpec], targets: Sequence[str], interval_ms: int) -> list[DeviceSpec]:
    by_id = {spec.id: spec for spec in listed}
    chosen: dict[str, DeviceSpec] = {}
    for text in targets:
        found = (
            [by_id[text]] if text in by_id else specs_from_targets((text,), interval_ms=interval_ms)
        )
        for spec in found:
            chosen.setdefault(spec.id, spec)
    return list(chosen.values())


class FleetSession:
    """A running fleet: `async with FleetSession(plan) as session: session.store ...`."""

    def __init__(
        self,
        plan: FleetPlan,
        *,
        clock: Clock | None = None,
        connector: SshConnector | None = None,
        keep_history: bool = False,
        guards: bool = False,
        state_folder: Path | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = FleetStore(plan.specs, self.clock, plan.name)
        self.connector = connector or SshConnector(plan.ssh)
        self.supervisor = Supervisor(
            self.store,
            make_opener(self.connector, self.clock),
            self.clock,
            Settings(facts_ttl_s=plan.watch.facts_ttl_s, max_connecting=plan.ssh.max_connecting),
        )
        gate = Gate(plan.control.read_only)
        kept_in = state_folder or default_state_folder()
        self._claims = DeviceClaims(kept_in / GUARDS_FILE)
        guard_gate = GuardGate(plan.control.read_only)
        self.control = Applier(gate, AuditLog(kept_in, self.clock), self.clock)
        places = {spec.id: spec.place for spec in plan.specs}
        self.standing = Standing(
            kept_in, lambda text: self.store.event(None, "guard", text), places
        )
        self.chosen = ChosenProfiles(kept_in, self.clock, places)
        self.breakers = BreakerKeeper(
            self.store, self.control, self._runner_anyhow, self.standing, self.clock, guard_gate
        )
        self.changes = Changes(
            self.control, self.runner, plan.control, kept_in, plan.power, self.chosen,
            lambda device: why_no_key(self.connector, device.spec, self.clock),
        )  # fmt: skip
        self.pressure = PressureKeeper(self.store, self.clock)
        self.leaks = LeakKeeper(self.store, self.clock)
        self.alerts = AlertKeeper(self.store, plan.alerts, self.clock, kept_in)
        self.limits = LimitKeeper(
            self.store, plan.limits, self.control, self.runner, self.pressure, self.standing,
            self.clock, plan.power.profiles, guard_gate,
        )  # fmt: skip
        self.switches = SwitchKeeper(
            self.store, plan.switches, plan.power, plan.control,
            self.control, self.runner, self.standing, self.clock, guard_gate, self.chosen,
        )  # fmt: skip
        self.guards = Guards(
            self.store, guard_gate, self._claims, self.standing,
            (self.switches.resume, self.limits.resume, self.breakers.resume), self.clock,
            self.chosen,
        )  # fmt: skip
        self._guards = guards
        history = plan.telemetry.history
        self.keeper: HistoryKeeper | None = None
        if keep_history and history.enabled:
            folder = history_folder(plan.telemetry)
            self.keeper = HistoryKeeper(self.store, folder, _limits(history))
        self._task: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None

    async def __aenter__(self) -> FleetSession:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tidying = asyncio.create_task(keep_tidy(self.clock), name="garbage")
        self._task = asyncio.create_task(self.supervisor.run(), name="supervisor")
        if self.keeper is not None:
            self._keeping = asyncio.create_task(self.keeper.run(), name="history")
        if self._guards:
            self._guarding = asyncio.create_task(self._guard(), name="guards")

    async def _guard(self) -> None:
        """Everything that watches over the boards, until cancelled; none ends another."""
        keepers: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("memory", self.pressure.run),
            ("leaks", self.leaks.run),
            ("alerts", self.alerts.run),
            ("guards", self.guards.run),
        ]
        if self.switches.by_id:
            keepers.append(("switches", self.switches.run))
        if self.limits.limits:
            keepers.append(("limits", self.limits.run))
        if self.breakers.by_id:
            keepers.append(("breakers", self.breakers.run))
        await self.guards.take()
        async with asyncio.TaskGroup() as group:
            for name, run in keepers:
                group.create_task(self._keep_going(name, run))

    async def _keep_going(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A guard that fails is told, and begun anew."""
        while True:
            try:
                await run()
            except Exception as error:  # noqa: BLE001 - a guard must never end for good
                _log.error("the guard %s failed", name, exc_info=error)
                text = f"{name} failed and was begun anew: {_kinds(error)}"
                self.store.event(None, "guard", text, "This is a bug; please report it.")
            await self.clock.sleep(GUARD_RETRY_S)

    async def stop(self) -> None:
        """Leave every device as it was, with nothing of ours running on it."""
        # Changes end first: while they do, the connections are still there.
        running = (self._guarding, self._keeping, self._task, self._tidying)
        tasks = [task for task in running if task is not None]
        self._task = self._keeping = self._guarding = self._tidying = None
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])
        self._claims.drop()
        await self.connector.close()
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def settled(self, timeout_s: float, *, facts: bool = True) -> None:
        """Until each device has shown a sample (and its facts), or cannot be had, or time is up."""
        deadline = self.clock.monotonic() + timeout_s
        while self.clock.monotonic() < deadline:
            if all(
                (device.state is State.LIVE and (device.facts is not None or not facts))
                or device.state in (State.REFUSED, State.DISABLED)
                or (device.state is State.LOST and device.attempts > 1)
                for device in self.store
            ):
                return
            await self.clock.sleep(SETTLE_POLL_S)

    def shell_argv(self, device: Device) -> list[str]:
        """What to run for a shell on a device. Raises CoheteError where it has none."""
        from cohete.links.shell import shell_argv

        return shell_argv(device.spec, self.connector.settings, self.connector.files)

    def link(self, device: Device) -> Link:
        """The connection to a device. Raises LinkError where there is none now."""
        return self.supervisor.link(device)

    def runner(self, device: Device) -> Runner:
        """Runs commands on a device over the connection there is at that moment."""
        return _OverSession(self.supervisor, device)

    def _runner_anyhow(self, device: Device) -> Runner:
        """The same, and where there is no connection over one of its own."""
        return _OverSession(self.supervisor, device, make_opener(self.connector, self.clock))

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None:
        """What was kept of a device; None where no history is kept."""
        if self.keeper is None:
            return None
        return await self.keeper.past(device_id, from_ms, to_ms, step_ms)

    async def accept_key(self, device: Device) -> None:
        """Put the key that a person confirmed on record and connect. No-op without such a key.

        Raises ConfigError where the file cannot be written; the question then stays open.
        """
        if device.key_line:
            await self.connector.host_keys.add_line(device.key_line)
            device.key_line = ""
            self.supervisor.retry(device.id)


def _kinds(error: BaseException) -> str:
    """What an error is, also where a task group wrapped it."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(_kinds(each) for each in error.exceptions)
    return type(error).__name__


@dataclass(frozen=True, slots=True)
class _OverSession:
    supervisor: Supervisor
    device: Device
    opener: Opener | None = None
    """How a connection is made where the watching has none."""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        try:
            link = self.supervisor.link(self.device)
        except LinkError:
            if self.opener is None:
                raise
            async with ReopeningLink(self.opener, self.device.spec) as own:
                return await own.run(argv, timeout_s=timeout_s)
        return await link.run(argv, timeout_s=timeout_s)

    async def put(self, local: str, remote: str, sent: Callable[[int, int], None]) -> None:
        await put_over(self.supervisor.link(self.device), local, remote, sent)


def history_folder(telemetry: Telemetry) -> Path:
    """Where history is kept: as the configuration says, else in the user's state folder."""
    from platformdirs import user_state_path

    folder = telemetry.history.folder
    return Path(folder).expanduser() if folder else user_state_path("cohete") / "history"


def _limits(history: History) -> Limits:
    return Limits(
        raw_s=history.raw_hours * 3600,
        minutes_s=history.minutes_days * 86_400,
        tens_s=history.ten_minutes_days * 86_400,
        max_bytes=history.max_mb * 1024 * 1024,
    )


def default_folder() -> Path:
    """Where a simulated fleet keeps its files unless told otherwise."""
    from platformdirs import user_cache_path

    return user_cache_path("cohete") / "simulator"
