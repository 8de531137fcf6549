"""The dashboard over a store that a test fills by hand: no timer, no network, no sleep."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from textual.pilot import Pilot
from textual.screen import Screen

from cohete.clock import ManualClock
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.device.identity import Facts, PowerMode
from cohete.errors import LinkError
from cohete.fleet.alerting import AlertKeeper
from cohete.fleet.breakers import DeviceBreaker
from cohete.fleet.changing import Changes
from cohete.fleet.state import Device, Refusal, State
from cohete.fleet.store import FleetStore
from cohete.hardware import MODULES
from cohete.links.base import Link
from cohete.tegra import parse
from cohete.telemetry.past import Past
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.fleet import FleetScreen
from tests import lines

BY_NAME = {module.name: module for module in MODULES}


class StillSession:
    """A session whose store only changes when the test says so."""

    def __init__(self, store: FleetStore) -> None:
        self.store = store
        self.retried: list[str] = []
        self.accepted: list[str] = []
        self.stopped = False
        self.asked: list[tuple[str, int, int, int]] = []
        self.kept: Past | None = None
        self.links: dict[str, Link] = {}
        self.changes: Changes | None = None
        self.alerts: AlertKeeper | None = None
        self.breakers: dict[str, DeviceBreaker] = {}

    def start(self) -> None:
        """Nothing runs."""

    async def stop(self) -> None:
        self.stopped = True

    async def accept_key(self, device: Device) -> None:
        self.accepted.append(device.id)
        device.key_line = ""

    def breaker_of(self, device: Device) -> DeviceBreaker | None:
        return self.breakers.get(device.id)

    def retry(self, device_id: str) -> None:
        self.retried.append(device_id)

    async def past(self, device_id: str, from_ms: int, to_ms: int, step_ms: int) -> Past | None:
        self.asked.append((device_id, from_ms, to_ms, step_ms))
        return self.kept

    def link(self, device: Device) -> Link:
        if self.links.get(device.id) is None:
            raise LinkError("it is not connected", where=device.id, hint="i shows why.")
        return self.links[device.id]

    def shell_argv(self, device: Device) -> list[str]:
        return ["ssh", device.spec.target.host]


def spec(name: str, **changes: object) -> DeviceSpec:
    return DeviceSpec(name, Target("10.0.0.7", "nvidia"), **changes)  # type: ignore[arg-type]


def store_of(specs: Sequence[DeviceSpec | str], name: str = "lab") -> FleetStore:
    full = [item if isinstance(item, DeviceSpec) else spec(item) for item in specs]
    return FleetStore(full, ManualClock(wall_s=1_795_000_000.0), name)


def feed(store: FleetStore, name: str, line: str) -> None:
    stats = parse(line)
    assert stats is not None
    store.apply(store[name], stats)


def know(store: FleetStore, name: str, module: str, mode: str = "") -> None:
    facts = Facts(
        model=f"NVIDIA Jetson {module}",
        module=BY_NAME[module],
        l4t="36.4.7",
        jetpack="JetPack 6.2.1",
        hostname=name,
        kernel="5.15.148-tegra",
        memory_total_mb=7620,
        memory_available_mb=3000,
        power_mode=PowerMode(mode, 0) if mode else None,
        uptime_s=18_000,
        has_neon=True,
        has_cuda=True,
    )
    store.apply_facts(store[name], facts)


def mixed_store() -> FleetStore:
    """A live one, a hot one, a stale one, a lost one, a refused one, a Thor, one connecting."""
    store = store_of(
        [
            spec("cam-01", memory_budget_mb=6000, tags=("camera",)),
            spec("cam-02", tags=("camera",), site="roof"),
            "dock",
            "gate",
            "lab-thor",
            "mast",
            "rover",
        ],
        "edge-lab",
    )
    clock = store.clock
    assert isinstance(clock, ManualClock)
    for step in range(30):
        feed(store, "cam-01", lines.ORIN_R36.replace("12479mW", f"{11000 + 90 * step}mW"))
        feed(store, "lab-thor", lines.THOR_R38)
        feed(store, "cam-02", lines.ORIN_R36.replace("tj@53.968C", f"tj@{80 + step / 4:.3f}C"))
        if step < 20:
            feed(store, "dock", lines.XAVIER_USER)
        if step < 10:
            feed(store, "gate", lines.NANO)
        clock.step(1)
    know(store, "cam-01", "Orin Nano 8GB", "15W")
    know(store, "cam-02", "Orin NX 16GB", "MAXN")
    know(store, "dock", "AGX Xavier 32GB", "MODE_30W_ALL")
    know(store, "gate", "Nano 4GB", "MAXN")
    know(store, "lab-thor", "Thor T5000", "120W")
    for name in ("cam-01", "cam-02", "dock", "gate", "lab-thor"):
        store[name].fingerprint = "SHA256:yTd3H7pq0"
        store[name].description = "ssh nvidia@10.0.0.7"
    store.apply_gpu(store["lab-thor"], 83)
    store.set_state(store["dock"], State.STALE, "no sample for some time", "Waiting for the next.")
    store.set_state(store["gate"], State.LOST, "no route to host", "Is the board on?")
    store["gate"].next_try_at = clock.monotonic() + 8
    mast = store["mast"]
    mast.refusal = Refusal.LOGIN
    store.set_state(
        mast, State.REFUSED, "the board does not accept nvidia", "Install a key with ssh-copy-id."
    )
    return store


@contextlib.asynccontextmanager
async def dashboard(
    store: FleetStore, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[None], CoheteApp, StillSession]]:
    """The app on its fleet screen, drawn once."""
    session = StillSession(store)
    app = CoheteApp(Launch(), session=session, timer=False)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        yield pilot, app, session
    assert session.stopped


async def settle(pilot: Pilot[None]) -> None:
    """Everything that was asked for is drawn."""
    screen = pilot.app.screen
    if isinstance(screen, FleetScreen) or hasattr(screen, "flush"):
        screen.flush()
    await pilot.pause()


def shown(screen: Screen[object]) -> str:
    """What a person reads: the screen as plain text."""
    width, height = screen.size
    rows = screen._compositor.render_strips()
    text = ["".join(segment.text for segment in strip) for strip in rows[:height]]
    return "\n".join(line.ljust(width).rstrip() for line in text)


def notices(app: CoheteApp) -> str:
    """What was said to the person in passing."""
    return " ".join(notice.message for notice in app._notifications)


def text_of(app: CoheteApp) -> str:
    """The visible screen as text."""
    return shown(app.screen)
