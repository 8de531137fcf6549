"""The events screen: counts, filter, acknowledging, and the way to the device."""

from __future__ import annotations

from pathlib import Path

from cohete.clock import ManualClock
from cohete.config.alerts import Alerts
from cohete.fleet.alerting import AlertKeeper
from cohete.fleet.eventlog import EventLog
from cohete.fleet.silences import read_silences
from cohete.fleet.state import State
from cohete.fleet.store import MAX_EVENTS, FleetStore
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.device import DeviceScreen
from cohete_tui.screens.events import EventsScreen
from cohete_tui.screens.fleet import FleetScreen
from tests.tui.support import (
    StillSession,
    dashboard,
    mixed_store,
    notices,
    settle,
    store_of,
    text_of,
)
from tests.tui.test_hands import typed


def on(app: CoheteApp, kind: type) -> bool:
    return isinstance(app.screen, kind)


def eventful() -> FleetStore:
    store = mixed_store()
    store.events.clear()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    for _ in range(3):
        store.event(store["gate"], "lost", "no route to host", "Is the board on?")
        clock.step(10)
        store.event(store["gate"], "live", "connected again")
        clock.step(10)
    store.event(store["mast"], "refused", "the board does not accept nvidia", "Use ssh-copy-id.")
    store.event(None, "history", "the disk is nearly full")
    return store


def test_the_same_thing_is_told_once_with_its_count() -> None:
    store = eventful()
    log = EventLog()
    entries = log.entries(store.events)
    assert [(e.kind, e.device, e.count) for e in entries] == [
        ("history", "", 1), ("refused", "mast", 1), ("live", "gate", 3), ("lost", "gate", 3),
    ]  # fmt: skip
    assert entries[3].last_s - entries[3].first_s == 40
    assert log.new_trouble(store.events) == 3
    log.acknowledge(store.events, [entries[3].key])
    assert log.new_trouble(store.events) == 2
    store.event(store["gate"], "lost", "no route to host")
    assert log.new_trouble(store.events) == 3
    assert [e.device for e in log.entries(store.events, "MAST accept")] == ["mast"]


def test_marks_of_what_is_forgotten_go() -> None:
    store = store_of("a")
    log = EventLog()
    for nth in range(3 * MAX_EVENTS):
        store.event(store["a"], "memory", f"{nth} MiB left")
        if nth % 100 == 99:
            log.acknowledge(store.events, [entry.key for entry in log.entries(store.events)])
    assert log.new_trouble(store.events) == 0
    assert len(log._seen_to) <= MAX_EVENTS


async def test_events_are_listed_acknowledged_and_lead_to_the_device() -> None:
    store = eventful()
    async with dashboard(store, (110, 30)) as (pilot, app, _):
        assert "3 new in events" in text_of(app)
        await pilot.press("e")
        await pilot.pause()
        await settle(pilot)
        assert on(app, EventsScreen)
        text = text_of(app)
        assert "Events  4  3 new" in text
        assert "3 times since" in text
        assert text.index("nearly full") < text.index("does not accept") < text.index("no route")
        await pilot.press("j")
        await settle(pilot)
        assert "Use ssh-copy-id." in text_of(app)
        await pilot.press("a")
        await settle(pilot)
        assert "2 new" in text_of(app)
        assert "✓" in text_of(app)
        await pilot.press("A")
        await settle(pilot)
        assert "new" not in text_of(app).splitlines()[0]
        await pilot.press("slash", *typed("route"), "enter")
        await settle(pilot)
        assert "Events  1" in text_of(app)
        await pilot.press("enter")
        await pilot.pause()
        assert on(app, DeviceScreen)
        assert text_of(app).startswith(" gate")
        await pilot.press("e", "g")
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert on(app, DeviceScreen)
        assert text_of(app).startswith(" mast")
        await pilot.press("escape")
        await settle(pilot)
        assert on(app, FleetScreen)
        assert "new in events" not in text_of(app)


async def test_nothing_happened_and_nothing_matches() -> None:
    store = store_of(["a"])
    async with dashboard(store) as (pilot, app, _):
        await pilot.press("e")
        await pilot.pause()
        await settle(pilot)
        assert "Nothing has happened yet" in text_of(app)
        store.set_state(store["a"], State.LOST, "gone")
        store.event(store["a"], "lost", "gone")
        await settle(pilot)
        assert "gone" in text_of(app)
        await pilot.press("slash", *typed("zzz"))
        await settle(pilot)
        assert "No event matches" in text_of(app)
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert on(app, FleetScreen)


async def test_an_alert_is_silenced_by_key_and_told_again(tmp_path: Path) -> None:
    store = mixed_store()
    store.events.clear()
    session = StillSession(store)
    keeper = AlertKeeper(store, Alerts(), store.clock, tmp_path)
    session.alerts = keeper
    assert isinstance(store.clock, ManualClock)
    for _ in range(40):
        keeper.look()
        store.clock.step(1)
    assert any(event.kind == "alert" for event in store.events)
    app = CoheteApp(Launch(), session=session, timer=False)
    async with app.run_test(size=(110, 30)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await settle(pilot)
        screen = app.screen
        assert isinstance(screen, EventsScreen)
        entry = screen.current
        assert entry is not None
        rule = keeper.book.rule_told(entry.text)
        assert rule is not None
        assert f"{len(keeper.book.firing)} alerts now" in text_of(app)
        await pilot.press("s")
        await settle(pilot)
        assert text_of(app).count("silenced until") == 1
        (kept,) = read_silences(tmp_path)
        assert (kept.rule, kept.device) == (rule.name, entry.device)
        assert kept.until_s == store.clock.time() + 3600
        await pilot.press("s")
        await settle(pilot)
        assert "silenced until" not in text_of(app)
        assert read_silences(tmp_path) == []
        await pilot.press("S")
        await settle(pilot)
        assert [(each.rule, each.device) for each in read_silences(tmp_path)] == [(rule.name, "")]


async def test_only_an_alert_can_be_silenced(tmp_path: Path) -> None:
    async with dashboard(eventful(), (110, 30)) as (pilot, app, _):
        await pilot.press("e")
        await settle(pilot)
        await pilot.press("s")
        await settle(pilot)
        assert "the event under the cursor is none" in notices(app)
