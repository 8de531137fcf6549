"""Random keys, sizes and faults on every screen: no exception, and it still answers afterwards."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.clock import ManualClock
from cohete.fleet.state import Refusal, State
from cohete.fleet.store import FleetStore
from cohete_tui.actions import ACTIONS
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.fleet import FleetScreen
from tests import lines
from tests.tui.support import StillSession, feed, know, mixed_store, settle, text_of

STEPS = int(os.environ.get("COHETE_FUZZ_STEPS", "60"))
"""More for minutes of it: COHETE_FUZZ_STEPS=5000 pytest tests/tui/test_fuzz.py."""

LEAVES = {"everywhere.quit", "everywhere.quit-now", "everywhere.save-screenshot",
          "fleet.shell", "device.shell", "everywhere.record"}  # fmt: skip
ACTION_KEYS = {
    key for action in ACTIONS if action.id not in LEAVES for key in action.keys.split(",") if key
}
KEYS = [*sorted(ACTION_KEYS), *"abgpx19>:!~ ", "tab", "enter", "escape", "backspace", "ctrl+p"]
SIZES = ((80, 24), (120, 40), (40, 10), (200, 60), (30, 5), (81, 25))
PRINTED = (lines.ORIN_R36, lines.NANO, lines.XAVIER_USER, lines.THOR_R38)


def happen(store: FleetStore, rng: random.Random) -> None:
    """Something that happens to a fleet."""
    clock = store.clock
    assert isinstance(clock, ManualClock)
    device = rng.choice(store.devices)
    what = rng.randrange(8)
    if what < 3:
        feed(store, device.id, rng.choice(PRINTED))
    elif what == 3:
        store.set_state(device, State.LOST, "no route to host", "Is the board on?")
        store.event(device, "lost", "no route to host", "Is the board on?")
        device.next_try_at = clock.monotonic() + 5
    elif what == 4:
        device.refusal = rng.choice(list(Refusal))
        store.set_state(device, State.REFUSED, "not accepted", "Look at it.")
        store.event(device, "refused", "not accepted")
    elif what == 5:
        know(store, device.id, "Orin Nano 8GB", rng.choice(("15W", "MAXN")))
    elif what == 6:
        store.set_state(device, State.STALE, "no sample for some time")
    else:
        clock.step(rng.choice((0.3, 4, 70)))


async def answers(pilot: Pilot[None], app: CoheteApp) -> bool:
    """Whether it can be brought back to the fleet with the keys a person would try."""
    for _ in range(12):
        if isinstance(app.screen, FleetScreen) and app.focused is app.screen.canvas:
            return True
        await pilot.press("escape")
        await pilot.pause()
    return False


@pytest.mark.parametrize("seed", range(6))
async def test_random_keys(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some keys write files where one is.
    monkeypatch.chdir(tmp_path)
    rng = random.Random(seed)
    store = mixed_store()
    app = CoheteApp(Launch(), session=StillSession(store), timer=False)
    pressed: list[str] = []
    leave = app.exit
    async with app.run_test(size=SIZES[seed], notifications=True) as pilot:
        # A command line may happen to be told to quit.
        monkeypatch.setattr(app, "exit", lambda *_, **__: None)
        await settle(pilot)
        for _ in range(STEPS):
            key = rng.choice(KEYS)
            pressed.append(key)
            await pilot.press(key)
            if rng.random() < 0.5:
                happen(store, rng)
            if rng.random() < 0.05:
                await pilot.resize_terminal(*rng.choice(SIZES))
            if rng.random() < 0.3:
                await settle(pilot)
            assert app._exception is None, pressed[-20:]
            assert app.is_running, pressed[-20:]
        await pilot.resize_terminal(100, 30)
        assert await answers(pilot, app), (pressed[-20:], app.screen)
        await settle(pilot)
        header = text_of(app).splitlines()[0]
        assert any(str(state) in header for state in State), header
        monkeypatch.setattr(app, "exit", leave)


async def test_a_storm_of_sizes_keeps_the_place() -> None:
    rng = random.Random(1)
    store = mixed_store()
    app = CoheteApp(Launch(), session=StillSession(store), timer=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("down", "right")
        screen = app.screen
        assert isinstance(screen, FleetScreen)
        on = screen.canvas.cursor_id
        for nth in range(60):
            await pilot.resize_terminal(rng.randrange(20, 300), rng.randrange(4, 80))
            if nth % 10 == 0:
                await pilot.press("t")
            await settle(pilot)
            assert screen.canvas.cursor_id == on
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert str(on) in text_of(app)
