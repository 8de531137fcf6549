"""The state machine through every edge, on a clock that only moves when told."""

from __future__ import annotations

import asyncio

import pytest

from cohete.errors import AuthRefused, ConfigError, HostKeyChanged, HostKeyUnknown, LinkError
from cohete.fleet.state import Refusal, State
from cohete.fleet.supervisor import lost_after_s, stale_after_s
from cohete.links.base import StreamEnd
from tests import lines
from tests.fakes import LOST, FakeFleet, spec

pytestmark = pytest.mark.claim("DDC-07")


async def test_from_connecting_to_live_with_facts() -> None:
    async with FakeFleet() as fleet:
        assert fleet.state() is State.CONNECTING
        await fleet.live()
        device = fleet.device
        assert device.state is State.LIVE
        assert device.module_name == "Orin Nano 8GB"
        assert device.mode_name == "15W"
        assert device.fingerprint == "SHA256:fake"
        assert [event.text for event in fleet.store.events] == ["connected"]


async def test_three_missed_samples_are_stale_and_keep_their_value() -> None:
    async with FakeFleet() as fleet:
        await fleet.live()
        await fleet.clock.advance(3.0)
        assert fleet.state() is State.LIVE
        await fleet.clock.advance(0.5)
        assert fleet.state() is State.STALE
        assert fleet.device.stats is not None
        assert fleet.device.age_s(fleet.clock.monotonic()) == 3.5
        await fleet.live()
        assert fleet.state() is State.LIVE
        assert len(fleet.store.events) == 1


async def test_a_stall_of_three_seconds_is_never_a_loss() -> None:
    async with FakeFleet() as fleet:
        for _ in range(5):
            await fleet.clock.advance(3.9)
            await fleet.live()
        assert fleet.board.opened == 1
        assert "lost" not in {event.kind for event in fleet.store.events}


async def test_silence_is_noticed_within_ten_seconds_and_tried_again() -> None:
    async with FakeFleet() as fleet:
        await fleet.run_for(12)
        await fleet.clock.advance(6.3)
        device = fleet.device
        assert fleet.board.opened == 2 or device.state is State.LOST
        assert device.error == "silent for 6 s"
        await fleet.clock.advance(1)
        assert fleet.board.opened == 2
        await fleet.live()
        assert device.state is State.LIVE
        assert [event.kind for event in fleet.store.events] == ["live", "lost", "live"]


@pytest.mark.parametrize("interval_ms", [100, 1000, 5000])
def test_limits_follow_the_interval(interval_ms: int) -> None:
    interval_s = interval_ms / 1000
    assert stale_after_s(interval_s) >= 3 * interval_s
    assert lost_after_s(interval_s) > stale_after_s(interval_s) >= 3
    if interval_ms <= 1000:
        assert lost_after_s(interval_s) <= 8


async def test_a_cut_connection_is_tried_again_within_a_second() -> None:
    async with FakeFleet() as fleet:
        await fleet.run_for(11)
        fleet.board.lose()
        await fleet.clock.advance(0)
        assert fleet.state() is State.LOST
        assert fleet.device.error == "the connection was lost"
        await fleet.clock.advance(1)
        assert fleet.board.opened == 2
        await fleet.live()
        assert fleet.state() is State.LIVE


async def test_no_key_press_is_needed_when_a_board_comes_back() -> None:
    async with FakeFleet() as fleet:
        fleet.board.errors = [LOST] * 6
        fleet.supervisor.retry("a")
        await fleet.run_for(60)
        assert fleet.state() is State.LIVE


async def test_backoff_grows_to_its_cap_and_shows_the_next_try() -> None:
    async with FakeFleet() as fleet:
        fleet.board.errors = [LOST] * 1000
        fleet.board.lose()
        await fleet.clock.advance(300)
        device = fleet.device
        assert device.state is State.LOST
        assert device.error == "no route to host"
        assert device.hint == "Is the board on?"
        assert device.next_try_at is not None
        assert 0 <= device.next_try_at - fleet.clock.monotonic() <= 5
        assert 60 < fleet.board.opened < 300
        lost_events = [event for event in fleet.store.events if event.kind == "lost"]
        assert len(lost_events) <= 3


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (AuthRefused("no", where="a", hint="h"), Refusal.LOGIN),
        (HostKeyChanged("CHANGED", where="a", hint="h", fingerprint="f"), Refusal.KEY_CHANGED),
        (HostKeyUnknown("new", where="a", hint="h", fingerprint="f", line="l"),
         Refusal.KEY_UNKNOWN),
        (ConfigError("bad ssh config", path="x"), Refusal.OTHER),
    ],
)  # fmt: skip
async def test_what_a_person_must_decide_is_never_tried_again_by_itself(
    error: LinkError, refusal: Refusal
) -> None:
    fleet = FakeFleet()
    fleet.board.refuse = error
    async with fleet:
        await fleet.clock.advance(600)
        assert fleet.state() is State.REFUSED
        assert fleet.device.refusal is refusal
        assert fleet.board.opened == 1
        fleet.board.refuse = None
        fleet.supervisor.retry("a")
        await fleet.clock.advance(0)
        assert fleet.board.opened == 2
        await fleet.live()
        assert fleet.state() is State.LIVE


async def test_a_board_that_hangs_delays_no_other() -> None:
    fleet = FakeFleet("hung", "b", "c")
    fleet.boards["hung"].hang_open = True
    async with fleet:
        await fleet.live()
        assert [device.state for device in fleet.store] == [
            State.CONNECTING,
            State.LIVE,
            State.LIVE,
        ]


async def test_a_disabled_board_is_left_alone() -> None:
    async with FakeFleet(specs=[spec("off", enabled=False)]) as fleet:
        await fleet.clock.advance(10)
        assert fleet.state() is State.DISABLED
        assert fleet.board.opened == 0


async def test_noise_before_and_between_samples_is_tolerated() -> None:
    async with FakeFleet() as fleet:
        fleet.board.say("Welcome to Ubuntu", "Last login: today")
        fleet.board.say("[sudo] password for nvidia:")
        await fleet.live()
        assert fleet.state() is State.LIVE
        assert fleet.device.noise_lines == 3


async def test_a_board_that_only_prints_noise_is_not_live() -> None:
    async with FakeFleet() as fleet:
        for _ in range(14):
            await fleet.clock.advance(1)
            fleet.board.say("not a sample")
        await fleet.clock.advance(0.5)
        assert fleet.state() is State.LOST
        assert "only lines that are none" in fleet.device.error


async def test_a_backlog_counts_as_one_sample() -> None:
    async with FakeFleet() as fleet:
        await fleet.live()
        backlog = [lines.ORIN_R36.replace("GR3D_FREQ 63%", f"GR3D_FREQ {n}%") for n in range(30)]
        fleet.board.say(*backlog)
        assert fleet.device.samples == 2
        assert fleet.device.dropped_lines == 29
        assert fleet.device.stats is not None
        assert fleet.device.stats.gpu_percent == 29


async def test_missing_tegrastats_says_so() -> None:
    async with FakeFleet() as fleet:
        fleet.board.stream.finish(StreamEnd(127, "tegrastats: not found"))
        await fleet.clock.advance(0)
        assert fleet.state() is State.LOST
        assert "tegrastats was not found" in fleet.device.error
        assert "Jetson" in fleet.device.hint


async def test_the_time_limit_of_a_stream_is_no_loss() -> None:
    async with FakeFleet() as fleet:
        await fleet.live()
        fleet.board.stream.finish(StreamEnd(124, ""))
        await fleet.clock.advance(0)
        await fleet.live()
        assert fleet.state() is State.LIVE
        assert fleet.board.opened == 1
        assert len(fleet.board.streams) == 2


@pytest.mark.claim("SS-03")
async def test_sudo_only_where_it_is_allowed() -> None:
    async with FakeFleet() as fleet:
        await fleet.run_for(120)
        assert not [argv for argv in fleet.board.commands if "sudo" in " ".join(argv)]


async def test_without_the_sudo_rule_the_plain_stream_is_used_and_the_reason_kept() -> None:
    fleet = FakeFleet(specs=[spec("a", sudo=True)])
    fleet.board.sudo_end = StreamEnd(1, "sudo: a password is required")
    async with fleet:
        await fleet.live(lines.XAVIER_USER)
        device = fleet.device
        assert device.state is State.LIVE
        assert not device.with_root
        assert "rule" in fleet.store.explain(device)["emc"]
        tried = [argv for argv in fleet.board.commands if "tegrastats" in " ".join(argv)]
        assert ["sudo" in argv for argv in tried] == [True, False]
        assert tried[0][2:5] == ("sudo", "-n", "/usr/bin/tegrastats")


async def test_thor_takes_its_gpu_load_from_nvidia_smi() -> None:
    fleet = FakeFleet()
    fleet.board.facts = (
        b"\n@@cohete model\nNVIDIA Jetson AGX Thor Developer Kit\n"
        b"\n@@cohete compatible\nnvidia,p3834-0008\0\n"
        b"\n@@cohete meminfo\nMemTotal: 128790528 kB\n"
    )
    async with fleet:
        await fleet.live(lines.THOR_R38)
        await fleet.clock.advance(0)
        now = fleet.clock.monotonic()
        assert fleet.device.gpu_percent(now) is None
        assert "Thor" in fleet.store.explain(fleet.device)["gpu"]
        assert any("nvidia-smi" in argv for argv in fleet.board.commands)
        fleet.store.apply_gpu(fleet.device, 83)
        assert fleet.device.gpu_percent(now) == 83
        assert "gpu" not in fleet.store.explain(fleet.device)
        assert fleet.device.gpu_percent(now + 11) is None


@pytest.mark.claim("DDC-15")
async def test_facts_cost_one_command_a_ttl() -> None:
    async with FakeFleet() as fleet:
        await fleet.run_for(300)
        probes = [argv for argv in fleet.board.commands if "sh" in argv]
        assert 4 <= len(probes) <= 6
        assert fleet.device.facts_age_s(fleet.clock.monotonic()) is not None


async def test_flapping_is_quiet() -> None:
    async with FakeFleet() as fleet:
        for _ in range(20):
            await fleet.live()
            fleet.board.lose()
            await fleet.clock.advance(6)
        assert fleet.device.is_flapping(fleet.clock.monotonic())
        assert len(fleet.store.events) < 20


async def test_cancelled_at_any_moment_nothing_is_left() -> None:
    before = len(asyncio.all_tasks())
    for moment in range(40):
        fleet = FakeFleet("a", "b", "c")
        fleet.boards["b"].errors = [LOST]
        fleet.boards["c"].hang_open = moment % 2 == 0
        async with fleet:
            for _ in range(moment):
                await asyncio.sleep(0)
            if moment > 20:
                await fleet.live()
        assert len(asyncio.all_tasks()) == before
        for board in fleet.boards.values():
            assert board.closed == board.opened


async def test_a_surprise_with_one_board_is_that_board_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = FakeFleet("bad", "good")
    fleet.boards["bad"].refuse = RuntimeError("surprise")  # type: ignore[assignment]
    async with fleet:
        await fleet.clock.advance(20)
        await fleet.live()
        assert fleet.state() is State.LOST
        assert fleet.device.error == "unexpected RuntimeError"
        assert fleet.store["good"].state is State.LIVE


async def test_a_key_pressed_while_a_login_is_under_way_asks_for_nothing_more() -> None:
    fleet = FakeFleet()
    fleet.board.refuse = AuthRefused("no", where="a", hint="h")
    async with fleet:
        fleet.supervisor.retry("a")
        await fleet.clock.advance(5)
        assert fleet.board.opened <= 2
        opened = fleet.board.opened
        await fleet.clock.advance(60)
        assert fleet.board.opened == opened


async def test_a_stall_of_ours_is_not_their_loss() -> None:
    async with FakeFleet() as fleet:
        await fleet.live()
        fleet.clock.step(120)
        await fleet.clock.advance(0.5)
        assert fleet.board.opened == 1
        await fleet.live()
        assert fleet.state() is State.LIVE


async def test_a_stale_moment_does_not_cost_the_good_name() -> None:
    async with FakeFleet() as fleet:
        await fleet.run_for(30)
        await fleet.clock.advance(4)
        assert fleet.state() is State.STALE
        await fleet.live()
        since = fleet.device.live_since
        assert since is not None
        assert fleet.clock.monotonic() - since > 30


async def test_mute_hosts_do_not_use_up_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    from cohete.links import places

    monkeypatch.setattr(places, "BUSY_S", 0.01)
    names = [f"mute{n}" for n in range(200)]
    fleet = FakeFleet(*names, "good")
    for name in names:
        fleet.boards[name].hang_open = True
    async with fleet:
        async with asyncio.timeout(5):
            while not fleet.boards["good"].streams:
                await asyncio.sleep(0.01)
        fleet.boards["good"].say(lines.ORIN_R36)
        assert fleet.store["good"].state is State.LIVE
