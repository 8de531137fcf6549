"""What is known of the whole fleet: a plain object, written by one side, read by the others.

Readers ask what changed since they last looked; nothing is called on the path of a sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cohete.clock import Clock, FrozenClock
from cohete.config.spec import DeviceSpec
from cohete.device.identity import Facts, sharing
from cohete.device.missing import explain
from cohete.errors import AuthRefused, CoheteError, HostKeyChanged, HostKeyUnknown
from cohete.fleet.state import Device, Event, Refusal, State
from cohete.tegra import TegraStats
from cohete.tegra.rules import Reading, reading_of
from cohete.thermal.throttle import Cause, throttled_by

MAX_EVENTS = 1_000
HOT_C = 80.0
"""Above this a zone is called hot where no thermal policy of the device says otherwise."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in numbers, from the devices that are live; None where none is known.

    `measured_power` counts the devices whose power is in `power_mw`.
    """

    devices: int
    live: int
    stale: int
    lost: int
    refused: int
    connecting: int
    disabled: int
    breaker_open: int
    hot: int
    over_budget: int
    ram_used_mb: int
    ram_total_mb: int
    power_mw: int | None
    measured_power: int
    oldest_age_s: float | None


TAP_SAMPLES = 200_000
Sample = tuple[int, float, TegraStats, Reading]
"""Index of the device, monotonic seconds, what tegrastats said, and what it means as a whole."""


RawLine = tuple[int, float, bytes]
"""Index of the device, monotonic seconds, what it printed."""


class Tap:
    """Samples or raw lines in the order they came, for one reader that takes them now and then.

    Holds TAP_SAMPLES; of a reader that does not come the oldest are lost.
    """

    __slots__ = ("lines", "samples")

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=TAP_SAMPLES)
        self.lines: deque[RawLine] = deque(maxlen=TAP_SAMPLES)

    def take(self) -> list[Sample]:
        """What came since the last call."""
        taken = list(self.samples)
        self.samples.clear()
        return taken

    def take_lines(self) -> list[RawLine]:
        """What was printed since the last call."""
        taken = list(self.lines)
        self.lines.clear()
        return taken


class FleetStore:
    """Devices in their order, latest state by id, and the rare events."""

    def __init__(self, specs: Iterable[DeviceSpec], clock: Clock, name: str = "") -> None:
        self.name = name
        self.clock = clock
        now = clock.monotonic()
        self.devices: list[Device] = [Device(spec, index, now) for index, spec in enumerate(specs)]
        self._by_id = {device.id: device for device in self.devices}
        if len(self._by_id) != len(self.devices):
            raise CoheteError("two devices have the same id")
        self.version = 0
        self._changed: set[int] = set()
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._event_count = 0
        self._taps: tuple[Tap, ...] = ()
        self.line_taps: tuple[Tap, ...] = ()

    def __getitem__(self, device_id: str) -> Device:
        return self._by_id[device_id]

    def __contains__(self, device_id: object) -> bool:
        return device_id in self._by_id

    def __len__(self) -> int:
        return len(self.devices)

    def __iter__(self) -> Iterator[Device]:
        return iter(self.devices)

    def snapshot(self) -> FleetStore:
        """The whole fleet as it is now, for whoever wants to look at it in peace."""
        kept = FleetStore((), FrozenClock(self.clock), self.name)
        kept.devices = [device.snapshot() for device in self.devices]
        kept._by_id = {device.id: device for device in kept.devices}
        kept.version = self.version
        kept.events = self.events.copy()
        return kept

    @property
    def is_kept(self) -> bool:
        """Whether this is a moment that was kept, and not the fleet as it is."""
        return isinstance(self.clock, FrozenClock)

    def reset(self) -> None:
        """Forget everything but who the devices are; for a jump to another time."""
        now = self.clock.monotonic()
        for device in self.devices:
            device.__init__(device.spec, device.index, now)  # type: ignore[misc]
            self.touch(device)
        self.events.clear()

    def take_changed(self) -> set[int]:
        """Indexes of the devices that changed since the last call; for one reader, the screen."""
        changed, self._changed = self._changed, set()
        return changed

    def touch(self, device: Device) -> None:
        """Note that something about a device changed."""
        self.version += 1
        device.version = self.version
        self._changed.add(device.index)

    def apply(self, device: Device, stats: TegraStats) -> None:
        """A sample arrived."""
        now = self.clock.monotonic()
        device.stats = stats
        device.stats_at = device.last_line_at = now
        device.samples += 1
        reading = reading_of(stats)
        if reading.gpu_percent is None:
            reading = reading._replace(gpu_percent=device.gpu_percent(now))
        device.reading = reading
        hottest_c, power_mw, ram_percent, gpu_percent, cpu_percent = reading
        power_w = None if power_mw is None else power_mw / 1000
        device.history.add(now, (hottest_c, power_w, ram_percent, gpu_percent, cpu_percent))
        if device.state is not State.LIVE:
            self._went_live(device, now)
        for tap in self._taps:
            tap.samples.append((device.index, now, stats, reading))
        self.version += 1
        device.version = self.version
        self._changed.add(device.index)

    def open_tap(self, *, lines: bool = False) -> Tap:
        """A place where every sample, or every raw line, from now on can be taken; close it when
        done."""
        tap = Tap()
        if lines:
            self.line_taps = (*self.line_taps, tap)
        else:
            self._taps = (*self._taps, tap)
        return tap

    def close_tap(self, tap: Tap) -> None:
        """Nothing is put there any more."""
        self._taps = tuple(each for each in self._taps if each is not tap)
        self.line_taps = tuple(each for each in self.line_taps if each is not tap)

    def apply_facts(self, device: Device, facts: Facts) -> None:
        """Facts were read."""
        before = device.facts
        device.facts = sharing(facts, before)
        device.facts_at = self.clock.monotonic()
        if (
            before
            and before.power_mode
            and facts.power_mode
            and before.power_mode != facts.power_mode
        ):
            self.event(device, "mode", f"power mode is now {facts.power_mode.name}")
        self._tell_throttling(device, before, facts)
        self.touch(device)

    def _tell_throttling(self, device: Device, before: Facts | None, facts: Facts) -> None:
        """What the hardware holds back, and why; a mode's own cap is no news."""
        now = facts.held_back
        known = before.held_back.events if before is not None else None
        found = tuple(throttled_by(now.cooling, now.events, known, now.clocks_mhz))
        causes = {each.cause for each in device.throttling}
        device.throttling = found
        for each in found:
            if each.cause is not Cause.MODE and each.cause not in causes:
                self.event(device, "throttled", f"by {each.cause}: {each.words}")

    def apply_gpu(self, device: Device, percent: int) -> None:
        """GPU load from somewhere else than tegrastats."""
        device.gpu_fallback = percent
        device.gpu_fallback_at = self.clock.monotonic()
        self.touch(device)

    def explain(self, device: Device) -> dict[str, str]:
        """Why values of this device are unknown, by field."""
        reasons = explain(
            device.stats, device.facts, root=device.with_root, sudo_note=device.sudo_note
        )
        if device.gpu_percent(self.clock.monotonic()) is not None:
            reasons.pop("gpu", None)
        return reasons

    def set_state(self, device: Device, state: State, error: str = "", hint: str = "") -> None:
        """A device changed its state, or the reason for it."""
        if device.state is not state:
            device.since = self.clock.monotonic()
            device.state = state
            if state not in (State.LIVE, State.STALE):
                device.live_since = None
        device.error = error
        device.hint = hint
        self.touch(device)

    def refuse(self, device: Device, error: CoheteError) -> None:
        """A person has to act before this device is tried again."""
        device.refusal = _refusal(error)
        device.next_try_at = None
        if isinstance(error, HostKeyUnknown | HostKeyChanged):
            device.fingerprint = error.fingerprint
        device.key_line = error.line if isinstance(error, HostKeyUnknown) else ""
        self.set_state(device, State.REFUSED, error.what, error.hint)
        self.event(device, "refused", error.what, error.hint)

    def event(self, device: Device | None, kind: str, text: str, hint: str = "") -> None:
        """Something rare happened now."""
        if device is not None:
            device.told_at[kind] = self.clock.monotonic()
        self.event_at(self.clock.time(), device, kind, text, hint)

    def event_at(
        self, wall_s: float, device: Device | None, kind: str, text: str, hint: str = ""
    ) -> None:
        """Something rare happened then."""
        self._event_count += 1
        self.events.append(
            Event(
                self._event_count,
                wall_s,
                device.id if device else "",
                kind,
                text,
                hint,
            )
        )

    def totals(self) -> Totals:
        """The fleet in numbers, now."""
        now = self.clock.monotonic()
        counts = dict.fromkeys(State, 0)
        opened = hot = over = used = total = power = measured = 0
        oldest: float | None = None
        for device in self.devices:
            counts[device.state] += 1
            stats, reading = device.stats, device.reading
            if stats is None or reading is None or device.state is not State.LIVE:
                continue
            used += stats.ram_used_mb
            total += stats.ram_total_mb
            oldest = max(oldest or 0.0, now - device.stats_at)
            opened += is_breaker_open(device)
            hot += is_hot(device)
            over += is_over_budget(device)
            if reading.power_mw is not None:
                power += reading.power_mw
                measured += 1
        return Totals(
            devices=len(self.devices),
            live=counts[State.LIVE],
            stale=counts[State.STALE],
            lost=counts[State.LOST],
            refused=counts[State.REFUSED],
            connecting=counts[State.CONNECTING],
            disabled=counts[State.DISABLED],
            breaker_open=opened,
            hot=hot,
            over_budget=over,
            ram_used_mb=used,
            ram_total_mb=total,
            power_mw=power if measured else None,
            measured_power=measured,
            oldest_age_s=oldest,
        )

    def _went_live(self, device: Device, now: float) -> None:
        again = device.was_live and device.state is not State.STALE
        stale = device.state is State.STALE
        device.was_live = True
        device.refusal = None
        device.attempts = 0
        device.next_try_at = None
        self.set_state(device, State.LIVE)
        if not stale or device.live_since is None:
            device.live_since = now
        if not stale:
            device.came_alive(now)
            if not device.is_flapping(now):
                self.event(device, "live", "connected again" if again else "connected")


def is_hot(device: Device) -> bool:
    """Whether the hottest zone of the last sample is above what counts as hot."""
    hottest_c = device.reading.hottest_c if device.reading else None
    return hottest_c is not None and hottest_c >= HOT_C


def is_breaker_open(device: Device) -> bool:
    """Whether work on it is held, or should be, because of heat."""
    return device.breaker is not None and not device.breaker.allows_work


def is_over_budget(device: Device) -> bool:
    """Whether more memory is used than the configuration grants to this device."""
    budget_mb = device.spec.memory_budget_mb
    return (
        budget_mb is not None and device.stats is not None and device.stats.ram_used_mb > budget_mb
    )


def _refusal(error: CoheteError) -> Refusal:
    if isinstance(error, HostKeyUnknown):
        return Refusal.KEY_UNKNOWN
    if isinstance(error, HostKeyChanged):
        return Refusal.KEY_CHANGED
    return Refusal.LOGIN if isinstance(error, AuthRefused) else Refusal.OTHER
