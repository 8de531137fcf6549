"""Power profiles: the same meaning on every board, from YAML, applied once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohete.config.control import Control, Power, PowerProfile
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.config.thermal import ThermalPolicy
from cohete.control import attempt
from cohete.control.outcome import Outcome
from cohete.errors import ChangeRefused, ConfigError
from cohete.fleet.desired import hot_c, profile_named
from cohete.power.modes import DEFAULT, LEAST, MOST, by_meaning
from cohete.power.nvpmodel import parse_conf
from cohete.power.profiles import BUILT_IN, Profile
from cohete.simulator.workload import Workload
from tests.boards import simulated
from tests.cli.test_commands import run_async
from tests.control.support import bench


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("conf", "most", "default", "least"),
    [
        ("p3767-0003_super_concord.conf", "MAXN_SUPER", "25W", "15W"),
        ("p3767-0000_super_concord.conf", "MAXN_SUPER", "40W", "10W"),
        ("p3701-0000_concord.conf", "MAXN", "MODE_30W", "MODE_15W"),
        ("p3448_nano_rageer.conf", "MAXN", "MAXN", "5W"),
        ("p2888_t194_galen.conf", "MAXN", "MODE_15W_DESKTOP", "MODE_10W"),
    ],
)
def test_meaning_on_real_boards(
    corpus: Path, conf: str, most: str, default: str, least: str
) -> None:
    parsed = parse_conf((corpus / "nvpmodel_conf" / conf).read_text())
    found = [by_meaning(parsed, meaning) for meaning in (MOST, DEFAULT, LEAST)]
    assert [mode.name if mode else None for mode in found] == [most, default, least]


def test_every_real_board_has_a_default_and_something_to_go_to(corpus: Path) -> None:
    for path in (corpus / "nvpmodel_conf").iterdir():
        parsed = parse_conf(path.read_text())
        assert by_meaning(parsed, DEFAULT) is not None, path.name
        assert by_meaning(parsed, MOST) is not None, path.name


@pytest.mark.claim("PM-08")
async def test_all_parts_at_once_and_only_once(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        board = test.board
        board.workload = Workload.IDLE
        board.gpu_used_since_boot = False
        profile = Profile("night", "15W", clocks=True, fan=200, limit_c=95)
        change = await test.look(profile)
        assert change.before.startswith("25W (id 1); not locked; automatic")
        result = await test.apply(profile, shown=change)
        assert result.outcome is Outcome.DONE, result
        assert [board.mode.name, board.clocks_locked, board.fan_pwm] == ["15W", True, 200]
        assert (await test.apply(profile)).outcome is Outcome.ALREADY
        # Back to what the board starts with.
        result = await test.apply(BUILT_IN["balanced"])
        assert result.outcome is Outcome.DONE, result
        assert [board.mode.name, board.clocks_locked, board.fan_pwm] == ["25W", False, None]


async def test_clocks_that_a_mode_change_lets_go_are_locked_again(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        board = test.board
        board.workload = Workload.IDLE
        board.clocks_locked = True
        result = await test.apply(Profile("x", "15W", clocks=True, limit_c=95))
        assert result.outcome is Outcome.DONE, result
        assert (board.mode.name, board.clocks_locked) == ("15W", True)


async def test_clocks_are_let_go_before_the_mode_they_were_stored_in_changes(
    tmp_path: Path,
) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        board = test.board
        board.workload = Workload.IDLE
        assert (await test.apply(Profile("x", clocks=True, limit_c=95))).outcome is Outcome.DONE
        change = await test.look(Profile("y", "15W", clocks=False))
        assert "--restore" in change.steps[0].line
        assert "nvpmodel" in change.steps[1].line
        assert (await test.apply(Profile("y", "15W", clocks=False))).outcome is Outcome.DONE
        assert (board.mode.name, board.clocks_locked) == ("15W", False)


async def test_what_fails_half_way_is_put_back(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        board = test.board
        board.workload = Workload.IDLE
        board.written["/etc/nvfancontrol.conf"] = b"nothing\n"
        with pytest.raises(ChangeRefused, match="no fan profile cool"):
            await test.look(Profile("x", "15W", fan="cool"))
        assert board.mode.name == "25W"


@pytest.mark.claim("PM-08")
def test_profiles_from_yaml() -> None:
    power = Power(profiles={"night": PowerProfile(mode="7W", clocks="free", fan="quiet")})
    night = profile_named("night", power, Control(drain=["a"]))
    assert (night.mode, night.clocks, night.fan, night.drain) == ("7W", False, "quiet", ("a",))
    assert profile_named("balanced", power, Control()).mode == DEFAULT
    with pytest.raises(ConfigError, match="no power profile 'day'"):
        profile_named("day", power, Control())


@pytest.mark.claim("PM-08")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("power: {profiles: {x: {fan: 999}}}", "fan"),
        ("power: {profiles: {x: {watts: -5}}}", "unknown key 'watts'"),
        ("power: {profiles: {x: {mode: '1 2'}}}", "mode"),
        ("power: {profiles: {x: {clocks: fast}}}", "clocks"),
    ],
)
async def test_bad_profiles_are_refused_with_their_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text(f"fleet: {{devices: [{{id: a}}]}}\n{text}\n")
    status, _, err = await run_async("apply", "--config", str(path), "--dry-run")
    assert status == 2
    assert words in err
    assert f"{path}:2:" in err


async def test_a_profile_that_does_not_exist_is_a_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cohete.yaml"
    path.write_text("fleet: {devices: [{id: a, power_profile: balancd}]}\n")
    status, _, err = await run_async("apply", "--config", str(path), "--dry-run")
    assert status == 2
    assert "no power profile is called 'balancd'. Did you mean 'balanced'?" in err


@pytest.mark.claim("FO-07", "AI-01")
async def test_apply_makes_it_so_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    async with simulated("nano", "orin-nano-8gb", "tx2", folder=tmp_path, sudo=True) as (
        fleet, _, __,
    ):  # fmt: skip
        path = tmp_path / "cohete.yaml"
        text = path.read_text()
        for name, profile in (("nano-0", "power_saver"), ("orin-nano-8gb-1", "eco")):
            text = text.replace(f"id: {name}\n", f"id: {name}\n      power_profile: {profile}\n")
        path.write_text(text + "power:\n  profiles:\n    eco: {mode: 15W, fan: cool}\n")
        boards = {name: host.board for name, host in fleet.hosts.items()}
        for board in boards.values():
            board.gpu_used_since_boot = False
            board.workload = Workload.IDLE
        more = ("--config", str(path))
        status, out, _ = await run_async("apply", *more, "--dry-run")
        assert status == 0
        assert "nano-0: set the power profile power_saver; now MAXN (id 0)" in out
        assert "tx2" not in out
        assert boards["nano-0"].mode.name == "MAXN"
        status, out, err = await run_async("apply", *more, "--yes")
        assert status == 0, (out, err)
        assert boards["nano-0"].mode.name == "5W"
        assert boards["orin-nano-8gb-1"].mode.name == "15W"
        assert boards["orin-nano-8gb-1"].fan_profile == "cool"
        status, out, _ = await run_async("apply", "-f", str(path), "--yes")
        assert status == 0
        assert out.count("already so") == 4
        # Somebody changes it behind our back: it is shown, and made so again.
        boards["nano-0"].set_mode(boards["nano-0"].module.modes[0])
        status, out, _ = await run_async("apply", *more, "--dry-run")
        assert "nano-0: set the power profile power_saver; now MAXN" in out
        assert (await run_async("apply", *more, "--yes"))[0] == 0
        assert boards["nano-0"].mode.name == "5W"


@pytest.mark.claim("PM-02")
def test_clocks_are_not_locked_from_the_lowest_warning_on() -> None:
    def spec(threshold_c: float | None) -> DeviceSpec:
        policy = None
        if threshold_c is not None:
            policy = ThermalPolicy(
                threshold_c=threshold_c,
                cooldown_c=40,
                warning_margin_c=5,
                check_interval_ms=500,
            )
        return DeviceSpec("a", Target("10.0.0.1"), thermal=policy)

    assert hot_c([]) == hot_c([spec(None)]) == 65
    assert hot_c([spec(60), spec(None)]) == hot_c([spec(None), spec(60)]) == 55
    assert hot_c([spec(80)]) == 75
    assert hot_c([spec(80), spec(None)]) == 65
    assert hot_c([spec(80), spec(None)], 90) == 75
    profile = profile_named("max_performance", Power(), Control(), [spec(80), spec(60)])
    assert profile.limit_c == 55
