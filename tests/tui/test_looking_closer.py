"""Processes, log and connection of one device, over a link that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.errors import LinkError
from cohete.fleet.state import State, Try
from cohete.links.base import Completed, LineSink, StreamEnd
from cohete_tui.app import CoheteApp
from cohete_tui.screens.activity import ActivityScreen
from cohete_tui.screens.connection import ConnectionScreen
from cohete_tui.screens.log import LogScreen
from cohete_tui.widgets.log import LogView, marked
from tests.fakes import FakeStream
from tests.tui.support import dashboard, know, mixed_store, notices, settle, store_of, text_of
from tests.tui.test_events import on
from tests.tui.test_hands import typed

PROCESSES = "\n@@cohete processes\n1 50 3300 systemd\n77 {ticks} 25600 llama-server\n"
REST = (
    "@@cohete uptime\n{uptime} 1.0\n@@cohete network\n"
    "  eth0: {bytes} 9 0 0 0 0 0 0 5000 8 0 0 0 0 0 0\n"
    "@@cohete df\n/dev/nvme0n1p1 61255492 60000000 1000 97% /\n"
)


class TalkingLink:
    description = "a fake"

    def __init__(self) -> None:
        self.reads = 0
        self.argvs: list[tuple[str, ...]] = []
        self.streams: list[FakeStream] = []
        self.error: LinkError | None = None
        self.extra = ""

    async def open(self) -> None:
        """It is."""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        self.argvs.append(tuple(argv))
        if self.error is not None:
            raise self.error
        nth, self.reads = self.reads, self.reads + 1
        text = PROCESSES.format(ticks=100 + 150 * nth) + REST.format(
            uptime=1000 + 3 * nth, bytes=9_000_000 * nth
        )
        return Completed(0, (text + self.extra).encode(), b"")

    async def stream(self, argv: Sequence[str], sink: LineSink) -> FakeStream:
        self.argvs.append(tuple(argv))
        if self.error is not None:
            raise self.error
        self.streams.append(FakeStream(sink))
        return self.streams[-1]

    def abort(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""

    def fail(self, why: str) -> None:
        self.error = LinkError(why, where="cam-01", hint="Wait.") if why else None

    def say(self, *lines: str) -> None:
        self.streams[-1].sink([line.encode() for line in lines])


async def until_shown(app: CoheteApp, text: str) -> str:
    """Until the screen says this; the clock of the test stands still."""
    for _ in range(200):
        shown = text_of(app)
        if text in shown:
            return shown
        if hasattr(app.screen, "flush"):
            app.screen.flush()
        await asyncio.sleep(0.005)
    pytest.fail(f"{text!r} was not shown:\n{text_of(app)}")


async def test_processes_are_read_twice_and_have_rates() -> None:
    store = mixed_store()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store, (90, 24)) as (pilot, app, session):
        link = session.links["cam-01"] = TalkingLink()
        await pilot.press(*typed(":open cam-01"), "enter")
        await pilot.press("P")
        text = await until_shown(app, "llama-server")
        assert on(app, ActivityScreen)
        assert "cam-01  processes  2" in text
        assert "–" in text
        assert "GPU memory by process needs root" in text
        await clock.advance(1)
        text = await until_shown(app, "50.0%")
        assert "3.0 MB/s" in text
        assert "57G of 58G" in text
        assert text.index("llama-server") < text.index("systemd")
        await pilot.press("slash", *"sys", "enter")
        await settle(pilot)
        assert "llama-server" not in text_of(app)
        await pilot.press("escape", "s", "j", "G", "g")
        await settle(pilot)
        assert "MEMORY▼" in text_of(app)
        link.fail("the connection was lost")
        await clock.advance(3)
        text = await until_shown(app, "the connection was lost")
        assert "llama-server" in text
        await clock.advance(3)
        assert "6.0s ago" in await until_shown(app, "6.0s ago")
        link.fail("")
        await clock.advance(3)
        await until_shown(app, "needs root")
        await pilot.press("escape")
        assert not on(app, ActivityScreen)
        reads = link.reads
        await clock.advance(9)
        assert link.reads == reads


async def test_gpu_memory_where_it_can_be_read() -> None:
    store = store_of(["thor"])
    know(store, "thor", "Thor T5000")
    async with dashboard(store, (90, 24)) as (pilot, app, session):
        link = session.links["thor"] = TalkingLink()
        link.extra = "\n@@cohete compute_apps\n77, 5120\n"
        await pilot.press("P")
        text = await until_shown(app, "5.0G")
        assert "needs root" not in text
        assert any("nvidia-smi" in argv[-1] for argv in link.argvs)


async def test_a_device_that_is_not_connected_says_so() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, _):
        await pilot.press(*typed(":open gate"), "enter")
        await pilot.press("P")
        await until_shown(app, "it is not connected")
        await pilot.press("escape", "L")
        await until_shown(app, "it is not connected")
        assert on(app, LogScreen)


async def test_a_log_follows_wraps_finds_and_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = mixed_store()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store, (60, 16)) as (pilot, app, session):
        link = session.links["cam-01"] = TalkingLink()
        await pilot.press(*typed(":open cam-01"), "enter")
        await pilot.press("L")
        await pilot.pause()
        link.say(*[f"line {nth} {'needle ' if nth % 40 == 7 else ''}x" for nth in range(100)])
        text = await until_shown(app, "line 99")
        assert "100 lines  following" in text
        assert "line 50 " not in text
        await pilot.press("g")
        assert "stopped, G follows" in await until_shown(app, "line 0 ")
        link.say("\x1b[31mnew\x07")
        await settle(pilot)
        assert "line 0 " in text_of(app)
        await pilot.press("G")
        assert "␛[31mnew" in await until_shown(app, "[31mnew")
        await pilot.press("slash", *"needle", "enter")
        await until_shown(app, "line 7 needle")
        await pilot.press("n")
        await until_shown(app, "line 47 needle")
        await pilot.press("N")
        await until_shown(app, "line 7 needle")
        link.say("long " * 30 + "END")
        await pilot.press("w", "G")
        assert "wrapped" in await until_shown(app, "END")
        await pilot.press("w", *["right"] * 6)
        await until_shown(app, "END")
        await pilot.press(*["left"] * 6)
        await until_shown(app, "line 99")
        await pilot.press(*typed(":save board.log"), "enter")
        saved = (tmp_path / "board.log").read_text().splitlines()
        assert len(saved) == 102
        assert saved[100] == "␛[31mnew\ufffd"
        assert "102 lines written" in notices(app)
        await pilot.press("escape", "escape")
        assert not on(app, LogScreen)
        await pilot.pause()
        assert link.streams[-1].end.done()


async def test_a_log_goes_on_after_a_lost_connection_and_says_what_is_missing() -> None:
    store = mixed_store()
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with dashboard(store, (90, 16)) as (pilot, app, session):
        link = session.links["cam-01"] = TalkingLink()
        await pilot.press(*typed(":open cam-01"), "enter")
        await pilot.press("L")
        await pilot.pause()
        link.say("before")
        link.streams[-1].finish(StreamEnd(None, ""))
        await until_shown(app, "the connection was lost Trying again.")
        await clock.advance(3)
        await pilot.pause()
        assert len(link.streams) == 2
        assert link.argvs[-1][-1] == "0"
        link.say("after")
        text = await until_shown(app, "after")
        assert "what was written since is missing" in text
        assert "Trying again" not in text
        link.streams[-1].finish(StreamEnd(124, ""))
        await pilot.pause()
        assert len(link.streams) == 2
        await clock.advance(3)
        await pilot.pause()
        assert len(link.streams) == 3
        await until_shown(app, "a line or two may be missing")
        await pilot.press("s")
        await pilot.pause()
        assert "--dmesg" in link.argvs[-1]
        link.streams[-1].finish(StreamEnd(1, "insufficient permissions."))
        text = await until_shown(app, "systemd-journal,adm")
        assert "before" not in text


async def test_why_a_device_is_lost_and_every_try() -> None:
    store = mixed_store()
    gate = store["gate"]
    clock = store.clock
    gate.tried(Try(clock.time() - 60, 0.2, ""))
    gate.tried(Try(clock.time() - 5, 5.0, "no route to host"))
    store.event(gate, "lost", "no route to host")
    async with dashboard(store, (90, 40)) as (pilot, app, session):
        await pilot.press(*typed(":open gate"), "enter")
        await pilot.press("i")
        text = await until_shown(app, "Tries")
        assert on(app, ConnectionScreen)
        assert "✕ lost" in text
        assert "Is the board on?" in text
        assert "tried again in 8.0s" in text
        assert "SHA256:yTd3H7pq0" in text
        assert text.index("no route to host  ") < text.index("connected")
        await pilot.press("c", "j", "pagedown")
        assert session.retried == ["gate"]
        store.set_state(store["gate"], State.REFUSED, "key changed", "Look at it.")
        await until_shown(app, "Nothing is tried until you act")
        await pilot.press("escape")
        assert not on(app, ConnectionScreen)


async def test_what_came_a_moment_ago_is_found_and_another_source_is_drawn() -> None:
    store = mixed_store()
    async with dashboard(store, (80, 12)) as (pilot, app, session):
        link = session.links["cam-01"] = TalkingLink()
        await pilot.press(*typed(":open cam-01"), "enter")
        await pilot.press("L")
        await pilot.pause()
        link.say(*[f"one {nth}" for nth in range(50)])
        await until_shown(app, "one 49")
        view = app.screen.query_one(LogView)
        link.say("needle")
        assert view.find("needle", 1)
        await pilot.press("s")
        await pilot.pause()
        link.say(*[f"two {nth}" for nth in range(51)])
        await until_shown(app, "two 50")


def test_words_stand_out() -> None:
    assert marked("an Oom and oom", "oom") == [
        ("an ", ""), ("Oom", "accent"), (" and ", ""), ("oom", "accent"), ("", ""),
    ]  # fmt: skip
    assert marked("plain", "") == [("plain", "")]


async def test_an_empty_log_can_be_searched() -> None:
    store = mixed_store()
    async with dashboard(store) as (pilot, app, session):
        session.links["cam-01"] = TalkingLink()
        await pilot.press(*typed(":open cam-01"), "enter")
        await pilot.press("L")
        await pilot.press("slash", "x", "enter", "n", "up", "end", "home")
        assert "No line has these words" in notices(app)
        assert app.screen.query_one(LogView).lines.count == 0
