"""A fleet recorded and played: the same states and values at the same moments, however it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohete.clock import ManualClock
from cohete.config.devices import specs_from_config
from cohete.config.loading import load
from cohete.fleet.player import LogSource, Player, open_source
from cohete.fleet.recorder import Recorder
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.fleet.store import FleetStore
from cohete.telemetry.recording import (
    EVENT,
    LINE,
    MAGIC,
    STATE,
    DeviceEntry,
    Header,
    Record,
    RecordingError,
    RecordingFile,
    RecordingWriter,
)
from tests import lines
from tests.boards import simulated, until
from tests.tui.support import know, spec, store_of

HEADER = Header("lab", 1_000, (DeviceEntry("a"), DeviceEntry("b", "nvidia@10.0.0.7", ("x",), "s")))


def printed(store: FleetStore, name: str, line: str) -> None:
    """What the supervisor does with a line that is a sample."""
    from cohete.tegra import parse

    stats = parse(line)
    assert stats is not None
    for tap in store.line_taps:
        tap.lines.append((store[name].index, store.clock.monotonic(), line.encode()))
    store.apply(store[name], stats)


@contextlib.asynccontextmanager
async def recording(store: FleetStore, path: Path) -> AsyncIterator[Recorder]:
    recorder = Recorder(store, path)
    await recorder.open()
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def story(path: Path) -> FleetStore:
    """100 seconds: `a` warms up, `b` is lost at 40 s and back at 60 s, somebody is refused."""
    store = store_of([spec("a", tags=("camera",), site="roof"), "b"], "edge-lab")
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with recording(store, path):
        for second in range(100):
            printed(store, "a", lines.ORIN_R36.replace("tj@53.968C", f"tj@{54 + second / 10}C"))
            if second == 40:
                store.set_state(store["b"], State.LOST, "no route to host", "Is the board on?")
                store["b"].next_try_at = clock.monotonic() + 20
                store.event(store["b"], "lost", "no route to host", "Is the board on?")
            elif not 40 < second < 60:
                printed(store, "b", lines.NANO)
            if second == 10:
                know(store, "a", "Orin Nano 8GB", "15W")
            await clock.advance(1)
            # The file is written by a thread, in real time; here the clock waits for it.
            await until(lambda: clock.sleeping > 0)
    return store


async def test_what_was_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "x.cohete"
    live = await story(path)
    began_ms = int((live.clock.time() - 100) * 1000)
    player = Player(open_source(path))
    assert player.source.header.fleet == "edge-lab"
    assert player.store["a"].spec.tags == ("camera",)
    await player.seek(began_ms + 30_500)
    a, b = player.store["a"], player.store["b"]
    assert (a.state, b.state) == (State.LIVE, State.LIVE)
    assert a.stats is not None
    assert a.stats.hottest is not None
    assert a.stats.hottest.celsius == 57.0
    assert a.module_name == "Orin Nano 8GB"
    assert a.mode_name == "15W"
    age = a.age_s(player.clock.monotonic())
    assert age == pytest.approx(0.5, abs=0.01)
    await player.seek(began_ms + 50_000)
    assert str(b.state) == "lost"
    assert b.error == "no route to host"
    assert b.next_try_at == pytest.approx((began_ms + 60_000) / 1000, abs=1)
    assert [event.text for event in player.store.events if event.kind == "lost"] == [
        "no route to host"
    ]
    await player.advance(began_ms + 70_000)
    assert str(b.state) == "live"
    assert len(a.history) >= 20
    await player.seek(began_ms + 5_000)
    assert str(b.state) == "live"
    assert a.facts is None
    assert not [event for event in player.store.events if event.kind == "lost"]
    assert await player.next_event()
    assert player.now_ms == pytest.approx(began_ms + 40_000, abs=600)
    await player.advance(began_ms + 10**6)
    assert player.ended
    player.close()


async def test_fast_playing_ends_where_slow_playing_does(tmp_path: Path) -> None:
    path = tmp_path / "x.cohete"
    await story(path)
    ends = []
    for speed in (1.0, 100.0):
        player = Player(open_source(path))
        player.speed = speed
        await player.seek(0)
        for step in range(1, 12):
            await player.advance(player.source.begin_ms + 10_000 * step)
        ends.append({d.id: (d.state, d.stats, d.error) for d in player.store})
        player.close()
    assert ends[0] == ends[1]


async def test_the_player_follows_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "x.cohete"
    await story(path)
    clock = ManualClock()
    player = Player(open_source(path), clock)
    task = asyncio.create_task(player.run())

    async def at_least(ms: int) -> None:
        for _ in range(400):
            if player.now_ms - player.source.begin_ms >= ms:
                return
            await clock.advance(0.1)
            await asyncio.sleep(0.001)
        raise AssertionError(player.now_ms - player.source.begin_ms)

    await at_least(1_000)
    player.playing = False
    await clock.advance(0.2)
    stood = player.now_ms
    await clock.advance(5)
    assert player.now_ms == stood
    player.playing = True
    player.faster(9)
    assert player.speed == 100.0
    await at_least(90_000)
    player.faster(-20)
    assert player.speed == 0.1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    player.close()


async def test_through_ssh_and_back(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", "nano", folder=tmp_path) as (fleet, _, _):
        config = load(tmp_path / "cohete.yaml")
        plan = FleetPlan(specs_from_config(config, tmp_path), "demo", config.ssh)
        async with FleetSession(plan) as session:
            async with recording(session.store, tmp_path / "x.cohete") as recorder:
                await until(lambda: all(d.samples > 3 and d.facts for d in session.store))
                await next(iter(fleet.hosts.values())).stop()
                await until(lambda: session.store.devices[0].state is State.LOST)
                await until(lambda: recorder.bytes_written > 0)
            names = {d.id: d.module_name for d in session.store}
    with contextlib.closing(Player(open_source(tmp_path / "x.cohete"))) as player:
        await player.seek(player.source.end_ms)
        assert {d.id: d.module_name for d in player.store} == names
        assert player.store.devices[0].state is State.LOST
        assert player.store.devices[1].state is State.LIVE
        assert {event.kind for event in player.store.events} >= {"live", "lost"}


async def test_lost_in_the_millisecond_of_its_last_line(tmp_path: Path) -> None:
    store = store_of(["a", "b"])
    clock = store.clock
    assert isinstance(clock, ManualClock)
    async with recording(store, tmp_path / "x.cohete"):
        for _ in range(3):
            printed(store, "a", lines.NANO)
            await clock.advance(1)
            await until(lambda: clock.sleeping > 0)
        printed(store, "a", lines.NANO)
        store.set_state(store["a"], State.LOST, "the connection was lost")
    with contextlib.closing(Player(open_source(tmp_path / "x.cohete"))) as player:
        await player.seek(player.source.end_ms)
        assert player.store["a"].state is State.LOST
        await player.seek(player.source.begin_ms)
        await player.advance(player.source.end_ms)
        assert player.store["a"].state is State.LOST


RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from([LINE, STATE, EVENT]),
        st.integers(0, 1),
        st.integers(1_001, 9_000),
        st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30),
    ),
    max_size=30,
)


@given(records=RECORDS, one_ms=st.integers(1_000, 9_500), other_ms=st.integers(1_000, 9_500))
@settings(max_examples=60)
def test_the_index_finds_what_was_written(
    records: list[Record], one_ms: int, other_ms: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("index") / "x"
    ordered = sorted(records, key=lambda record: record.time_ms)
    writer = RecordingWriter(path, HEADER)
    for nth in range(0, len(ordered), 7):
        part = ordered[nth : nth + 7]
        writer.data(part[0].time_ms, part[-1].time_ms, part)
        writer.keyframe(part[-1].time_ms, ())
    writer.close()
    after_ms, to_ms = sorted((one_ms, other_ms))

    def key(record: Record) -> tuple[object, ...]:
        return (record.time_ms, record.kind, record.device, record.data)

    whole = path.read_bytes()
    for cut in (len(whole), len(whole) - 8):
        path.write_bytes(whole[:cut])
        reader = RecordingFile(path)
        assert reader.header == HEADER
        found = list(reader.between(after_ms, to_ms))
        expected = [r for r in ordered if after_ms < r.time_ms <= to_ms]
        assert sorted(found, key=key) == sorted(expected, key=key)
        events = [r.time_ms for r in ordered if r.kind == EVENT and r.time_ms > after_ms]
        assert reader.event_after(after_ms) == (min(events) if events else None)
        reader.close()


@given(noise=st.binary(max_size=300), at=st.integers(0, 400))
@settings(max_examples=150)
def test_any_file_is_a_recording_or_is_refused(
    noise: bytes, at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("noise") / "x"
    writer = RecordingWriter(path, HEADER)
    for nth in range(4):
        record = Record(LINE, 0, 2_000 + nth, lines.NANO)
        writer.data(2_000 + nth, 2_000 + nth, [record, Record(STATE, 1, 2_000 + nth, "{}")])
    writer.close()
    whole = bytearray(path.read_bytes())
    whole[at : at + len(noise)] = noise
    path.write_bytes(bytes(whole))
    try:
        source = open_source(path)
    except RecordingError:
        return
    assert len(list(source.between(0, 10**15))) <= 8
    source.close()


async def test_a_stranger_s_recording_is_safe_to_show(tmp_path: Path) -> None:
    path = tmp_path / "x"
    evil = "\x1b]52;c;aGk=\x07"
    writer = RecordingWriter(path, Header(evil, 0, (DeviceEntry(evil, evil, (evil,), evil),)))
    state = {"state": "lost", "error": evil, "hint": 7, "refusal": ["x"], "next_try_ms": "soon"}
    facts = {"model": evil, "power_mode": {"name": evil, "id": 3}, "uptime_s": "x", "l4t": evil}
    writer.data(0, 9, [
        Record(STATE, 0, 1, json.dumps(state)),
        Record("F", 0, 2, json.dumps(facts)),
        Record(EVENT, 0, 3, json.dumps({"kind": evil, "text": evil})),
        Record(EVENT, -1, 4, "[1, 2]"),
        Record("G", 0, 5, "9" * 50),
        Record("?", 0, 6, ""),
    ])  # fmt: skip
    writer.close()
    player = Player(open_source(path))
    await player.seek(9)
    device = player.store.devices[0]
    shown = [device.id, device.error, device.mode_name, device.module_name, player.store.name]
    shown += [event.text + event.kind for event in player.store.events]
    assert all(text.isprintable() for text in shown)
    assert device.state is State.LOST
    player.close()


def test_a_plain_log_plays_as_one_device(tmp_path: Path) -> None:
    path = tmp_path / "line-1.log"
    path.write_text(f"{lines.NANO}\nnoise\n{lines.NANO}\n")
    source = LogSource(path)
    assert [entry.id for entry in source.header.devices] == ["line-1"]
    assert source.end_ms - source.begin_ms == 1000
    assert len(list(source.between(0, source.end_ms))) == 2
    assert len(source.known_at(source.begin_ms)) == 1
    path.write_text("nothing of the kind\n")
    with pytest.raises(RecordingError, match="no tegrastats line"):
        open_source(path)
    with pytest.raises(RecordingError, match="no such file"):
        open_source(tmp_path / "nothing")


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x"
    RecordingWriter(path, HEADER).close()
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(MAGIC)
    with pytest.raises(RecordingError, match="a file of this name already"):
        RecordingWriter(path, HEADER)
    with pytest.raises(RecordingError, match="no beginning"):
        RecordingFile(path)
    with pytest.raises(RecordingError, match="cannot write the recording"):
        RecordingWriter(tmp_path / "nowhere" / "x", HEADER)


async def test_a_full_disk_ends_the_recording_with_an_event(tmp_path: Path) -> None:
    store = store_of(["a"])
    clock = store.clock
    assert isinstance(clock, ManualClock)
    recorder = Recorder(store, tmp_path / "x")
    await recorder.open()
    assert recorder._writer is not None
    recorder._writer._file.close()
    recorder._writer._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    await recorder.run()
    assert "no space left on device" in str(recorder.problem)
    assert [event.kind for event in store.events] == ["recording"]


def test_kill_9_while_recording_loses_the_last_seconds_only(tmp_path: Path) -> None:
    path = tmp_path / "x"
    code = (
        "import sys; from tests.fleet.test_recording import *\n"
        "writer = RecordingWriter(Path(sys.argv[1]), HEADER)\n"
        "for nth in range(100_000):\n"
        "    at = 1_000 + nth * 2_000\n"
        "    records = [Record(LINE, 0, at + n, lines.NANO) for n in range(99)]\n"
        "    writer.data(at, at + 1_999, records)\n"
        "    print(nth, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = 0
    while last < 40:
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    reader = RecordingFile(path)
    found = list(reader.between(0, 10**9))
    assert len(found) >= 99 * (last + 1)
    assert len(found) % 99 == 0
    reader.close()
