"""Alerts: told once, after a while, over after a while; silenced, flapping, delivered."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohete.clock import ManualClock
from cohete.config.alerts import AlertRule, Alerts
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.device.identity import facts_from
from cohete.errors import ConfigError, LinkError
from cohete.fleet.alerting import AlertKeeper, rules_of
from cohete.fleet.alerts import FLAP_CHANGES, STEADY_S, TOLD_S, AlertBook, Notice, Rule, Silence
from cohete.fleet.notify import Notifier
from cohete.fleet.query import parse_query
from cohete.fleet.silences import read_silences, write_silences
from cohete.fleet.state import State
from cohete.fleet.store import FleetStore
from cohete.tegra import parse
from tests.boards import simulated
from tests.cli.test_commands import run_async

HOT = Rule("hot", parse_query("temp>70"), for_s=10, clear_s=20)


def store_of(*names: str) -> tuple[FleetStore, ManualClock]:
    clock = ManualClock()
    return FleetStore([DeviceSpec(name, Target("h")) for name in names], clock), clock


def heat(store: FleetStore, name: str, celsius: float) -> None:
    stats = parse(f"RAM 2000/8000MB (lfb 100x4MB) CPU [1%@100] cpu@{celsius}C")
    assert stats is not None
    store.apply(store[name], stats)


def test_told_once_and_once_when_it_is_over() -> None:
    store, clock = store_of("a", "b")
    book = AlertBook([HOT])
    told: list[tuple[str, bool]] = []
    begun = clock.monotonic()
    for second in range(120):
        heat(store, "a", 80 if 5 <= second < 40 else 50)
        heat(store, "b", 50)
        for notice in book.look(store, clock.monotonic(), clock.time()):
            told.append((notice.alert.device, notice.over))
            at = clock.monotonic() - begun
            assert at == (59 if notice.over else 15)
        clock.step(1)
    assert told == [("a", False), ("a", True)]
    assert book.alerts == {}


def test_a_short_one_is_none() -> None:
    store, clock = store_of("a")
    book = AlertBook([HOT])
    for second in range(60):
        heat(store, "a", 80 if second % 10 < 8 else 50)
        assert book.look(store, clock.monotonic(), clock.time()) == []
        clock.step(1)


def test_one_that_comes_and_goes_is_told_no_more() -> None:
    store, clock = store_of("a")
    book = AlertBook([Rule("hot", parse_query("temp>70"), for_s=1, clear_s=1)])
    notices = 0
    for second in range(200):
        heat(store, "a", 80 if second % 10 < 5 else 50)
        notices += len(book.look(store, clock.monotonic(), clock.time()))
        clock.step(1)
    assert notices <= FLAP_CHANGES
    assert any(alert.is_flapping for alert in book.firing) or second % 10 >= 5


def test_silences() -> None:
    store, clock = store_of("a", "b")
    for name in ("a", "b"):
        heat(store, name, 80)
    book = AlertBook([Rule("hot", HOT.query, for_s=0)])
    book.silences = [Silence("hot", "a", clock.time() + 100)]
    found = {n.alert.device: n.silenced for n in book.look(store, clock.monotonic(), clock.time())}
    assert found == {"a": True, "b": False}
    assert len(book.firing) == 2
    clock.step(200)
    book.look(store, clock.monotonic(), clock.time())
    assert book.silences == []
    assert Silence("", "a", 10).covers("any", "a", 5)
    assert not Silence("", "a", 10).covers("any", "b", 5)
    assert not Silence("", "a", 10).covers("any", "a", 10)


def test_urgent_ones_come_first() -> None:
    store, clock = store_of("a", "b")
    for name in ("a", "b"):
        heat(store, name, 99)
    book = AlertBook(
        [Rule("warm", HOT.query, "warning", 0), Rule("fire", HOT.query, "critical", 0)]
    )
    book.look(store, clock.monotonic(), clock.time())
    assert [alert.rule.name for alert in book.firing] == ["fire", "fire", "warm", "warm"]


def test_rules_from_the_configuration() -> None:
    settings = Alerts(rules=[AlertRule(name="too-hot", when="temp>60", level="critical", for_s=3)])
    rules = {rule.name: rule for rule in rules_of(settings)}
    assert rules["too-hot"].query.text == "temp>60"
    assert "board-lost" in rules
    assert rules_of(Alerts(built_in=False)) == []
    with pytest.raises(ConfigError, match="the alert rule x: there is no field 'tmp'"):
        rules_of(Alerts(rules=[AlertRule(name="x", when="tmp>60")]))


EARLY = {
    "warm": "heat-warning",
    "forecast": "heat-ahead",
    "memory": "memory-pressure",
    "leak": "leak",
    "throttled": "throttled",
    "limit not held": "limit-not-held",
    "held": "still-held",
    "change failed": "change-failed",
}


@pytest.mark.claim("TM-12")
@pytest.mark.parametrize("kind", EARLY)
async def test_what_is_told_ahead_is_an_alert_for_a_minute(tmp_path: Path, kind: str) -> None:
    store, clock = store_of("a", "b")
    notices: list[Notice] = []
    keeper = AlertKeeper(store, Alerts(), clock, tmp_path, on_notice=notices.append)
    keeper.look()
    before = len(notices)
    store.event(store["b"], kind, "CPU at 61 C, the breaker opens above 65 C")
    keeper.look()
    keeper.look()
    (notice,) = notices[before:]
    assert (notice.alert.rule.name, notice.alert.device) == (EARLY[kind], "b")
    assert store.events[-1].text == f"warning: {EARLY[kind]}"
    await clock.advance(TOLD_S + 1)
    keeper.look()
    keeper.look()
    # Nothing says that it is over: only that it was told.
    assert notices[before:] == [notice]
    assert not keeper.book.firing


@pytest.mark.claim("SM-07")
@pytest.mark.parametrize(("free", "alerts"), [(9, ["disk-low"]), (10, []), (50, [])])
def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, free: int, alerts: list[str]) -> None:
    store, clock = store_of("a")
    heat(store, "a", 40)
    text = f"/dev/nvme0n1p1 1000000 {10_000 * (100 - free)} {10_000 * free} 5% /\n"
    store.apply_facts(store["a"], facts_from({"df": b"Filesystem ...\n" + text.encode()}))
    keeper = AlertKeeper(store, Alerts(), clock, tmp_path)
    assert [notice.alert.rule.name for notice in keeper.look()] == alerts


@pytest.mark.claim("TM-12")
def test_what_was_silenced_and_still_holds_is_told_when_the_silence_ends() -> None:
    store, clock = store_of("a")
    heat(store, "a", 90)
    book = AlertBook([Rule("hot", parse_query("temp>80"), "critical", 0.0, 10.0)])
    book.silences = [Silence("hot", "", clock.time() + 100)]
    told: list[tuple[float, bool, bool]] = []
    for second in range(400):
        notices = book.look(store, clock.monotonic(), clock.time())
        told += [(second, notice.over, notice.silenced) for notice in notices]
        if second == 300:
            heat(store, "a", 40)
        clock.step(1)
    assert [(over, silenced) for _, over, silenced in told] == [
        (False, True), (False, False), (True, False),
    ]  # fmt: skip
    assert told[1][0] == 100


@pytest.mark.claim("TM-12")
def test_what_flapped_and_stays_is_told_after_all() -> None:
    store, clock = store_of("a")
    book = AlertBook([Rule("hot", parse_query("temp>80"), "critical", 0.0, 0.0)])
    told: list[bool] = []

    def look(celsius: float, seconds: int) -> None:
        heat(store, "a", celsius)
        for _ in range(seconds):
            told.extend(notice.over for notice in book.look(store, clock.monotonic(), clock.time()))
            clock.step(1)

    for _ in range(6):
        look(90, 10)
        look(40, 10)
    before = len(told)
    look(90, int(STEADY_S) + 5)
    look(40, 5)
    # The last word about a board is never that it is well while it is not.
    assert (told[before - 1], told[before:]) == (True, [False, True])


@pytest.mark.claim("TM-12")
async def test_events_and_a_command_of_the_users(tmp_path: Path) -> None:
    store, clock = store_of("a")
    out = tmp_path / "out"
    program = tmp_path / "tell"
    program.write_text(f"#!/bin/sh\ncat > {out}\n")
    program.chmod(0o755)
    settings = Alerts(
        command=[str(program)], rules=[AlertRule(name="hot", when="temp>70", for_s=0)]
    )
    keeper = AlertKeeper(store, settings, clock, tmp_path)
    heat(store, "a", 80)
    keeper.look()
    (event,) = [event for event in store.events if event.kind.startswith("alert")]
    assert (event.device, event.kind, event.text) == ("a", "alert", "warning: hot: temp>70")
    task = asyncio.create_task(keeper.notifier.run())
    async with asyncio.timeout(10):
        while not out.exists() or not out.read_text():
            await asyncio.sleep(0.01)
    task.cancel()
    document = json.loads(out.read_text())
    assert document["device"] == "a"
    assert (document["rule"], document["state"], document["level"]) == ("hot", "firing", "warning")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if self.path == "/bad" else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_webhook(receiver: tuple[str, list[bytes]]) -> None:
    address, got = receiver
    notifier = Notifier(Alerts(webhook=f"{address}/x?token=secret"))
    await notifier.deliver({"device": "a"})
    assert [json.loads(data) for data in got] == [{"device": "a"}]
    assert notifier.problem == ""
    notifier = Notifier(Alerts(webhook=f"{address}/bad"))
    await notifier.deliver({})
    assert "the webhook failed" in notifier.problem
    notifier = Notifier(Alerts(webhook="http://127.0.0.1:9/?token=secret"))
    await notifier.deliver({})
    assert "secret" not in notifier.problem


async def test_what_goes_wrong_with_a_command_is_told(tmp_path: Path) -> None:
    for argv, words in (
        (["/nowhere/x"], "cannot be run"), (["/bin/false"], "ended with status 1"),
    ):  # fmt: skip
        notifier = Notifier(Alerts(command=argv))
        await notifier.deliver({})
        assert words in notifier.problem
    for _ in range(150):
        notifier.put({})
    assert notifier.dropped == 50


def test_lost_boards_are_an_alert_of_every_fleet(tmp_path: Path) -> None:
    store, clock = store_of("a")
    keeper = AlertKeeper(store, Alerts(), clock, tmp_path)
    store.set_state(store["a"], State.LOST, str(LinkError("no route")))
    keeper.look()
    clock.step(31)
    (notice,) = keeper.look()
    assert notice.alert.rule.name == "board-lost"


def test_silences_are_kept(tmp_path: Path) -> None:
    silences = [Silence("hot", "", 5.0), Silence("", "a", 6.0)]
    write_silences(tmp_path, silences)
    assert read_silences(tmp_path) == silences
    (tmp_path / "silences.json").write_text("[1, {")
    assert read_silences(tmp_path) == []


@pytest.mark.claim("AI-01")
async def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    async with simulated("nano", folder=tmp_path):
        path = tmp_path / "cohete.yaml"
        path.write_text(
            path.read_text() + "alerts: {rules: [{name: warm, when: 'temp>1', for_s: 0}]}\n"
        )
        more = ("--config", str(path))
        status, out, _ = await run_async("alerts", "rules", *more)
        assert "warm: warning: temp>1 for 0 s" in out
        status, out, _ = await run_async("alerts", "list", *more, "--json")
        assert status == 1
        assert [each["rule"] for each in json.loads(out)["alerts"]] == ["warm"]
        status, out, _ = await run_async("alerts", "watch", *more, "--for", "3")
        assert "nano-0: alert: warning: warm: temp>1" in out
        status, out, _ = await run_async("alerts", "silence", "--rule", "warm", "8h")
        assert "every device, warm: until" in out
        status, out, _ = await run_async("alerts", "watch", *more, "--for", "3")
        assert "warm" not in out
        status, out, _ = await run_async("alerts", "silence", "--rule", "warm", "0")
        assert (status, out) == (0, "")
