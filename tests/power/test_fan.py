"""The fan: held, read back, given back by the board itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.control import attempt
from cohete.control.outcome import Outcome
from cohete.errors import ChangeRefused
from cohete.power.fan import (
    FAN,
    FAN_CONF,
    FAN_SERVICE,
    FAN_STATUS,
    AutomaticFan,
    HoldFan,
    SetFanProfile,
    parse_fan,
)
from cohete.power.fan_curve import FanCurve, parse_curves
from cohete.simulator.faults import Fault
from tests.control.support import bench


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)


@pytest.mark.claim("TM-07")
@pytest.mark.parametrize("module", ["orin-nano-8gb", "nano", "thor"])
async def test_held_read_back_and_given_back(tmp_path: Path, module: str) -> None:
    async with bench(module, tmp_path) as test:
        result = await test.apply(HoldFan(200))
        assert result.outcome is Outcome.DONE, result
        assert result.found == "held at 200 of 255"
        assert result.words == "PWM 200, 4800 rpm"
        assert test.board.fan_pwm == 200
        # The guard is there before anything else is touched.
        assert "systemd-run" in test.changed_by()[0]
        assert (await test.apply(HoldFan(90, 3600))).outcome is Outcome.DONE
        assert test.board.fan_pwm == 90
        result = await test.apply(AutomaticFan())
        assert result.outcome is Outcome.DONE
        assert test.board.fan_service_active
        assert test.board.timers == {}
        assert (await test.apply(AutomaticFan())).outcome is Outcome.ALREADY


async def test_the_board_takes_it_back_though_we_are_gone(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        await test.apply(HoldFan(40))
        (back_at,) = test.board.timers.values()
        assert 590 < back_at - test.board.clock.monotonic() <= 600
    board = test.board
    board.timers = dict.fromkeys(board.timers, board.clock.monotonic())
    board.advance()
    assert board.fan_service_active
    assert board.fan_pwm is None


async def test_a_fan_that_stands_still_is_said(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        await test.fault(Fault.OVERHEAT)
        result = await test.apply(HoldFan(255))
        assert result.words == "PWM 255, yet the fan stands still (0 rpm)"


async def test_what_fails_half_way_gives_the_fan_back(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        await test.fault(Fault.DISK_FULL)
        result = await test.apply(HoldFan(200))
        assert result.outcome is Outcome.UNDONE, result
        assert "No space left" in result.words
        assert test.board.fan_service_active
        assert test.board.timers == {}


async def test_a_profile_is_kept_over_restarts(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        result = await test.apply(SetFanProfile("cool"))
        assert result.outcome is Outcome.DONE, result
        assert result.found == "automatic, profile cool"
        assert (test.board.fan_default_profile, test.board.fan_profile) == ("cool", "cool")
        assert (await test.apply(SetFanProfile("cool"))).outcome is Outcome.ALREADY
        with pytest.raises(ChangeRefused, match="no fan profile silent") as error:
            await test.look(SetFanProfile("silent"))
        assert error.value.hint == "It has: cool, quiet."


def test_values_that_cannot_be() -> None:
    with pytest.raises(ChangeRefused, match="0 to 255"):
        HoldFan(256)
    with pytest.raises(ChangeRefused, match="held for one of"):
        HoldFan(100, 5)


def test_captures(corpus: Path) -> None:
    folder = corpus / "nvfancontrol"
    board = {
        FAN.name: b"/sys/class/hwmon/hwmon2/name:pwmfan\n/sys/class/hwmon/hwmon2/pwm1:69\n"
        b"/sys/class/hwmon/hwmon3/name:pwm_tach\n/sys/class/hwmon/hwmon3/rpm:1700\n",
        FAN_SERVICE.name: b"active\n",
        FAN_STATUS.name: (folder / "query_output.txt").read_bytes(),
        FAN_CONF.name: (folder / "conf_agx_orin_jtop.conf").read_bytes(),
    }
    fan = parse_fan(board)
    assert (fan.pwm_path, fan.pwm, fan.rpm) == ("/sys/class/hwmon/hwmon2/pwm1", 69, 1700)
    assert (fan.profile, fan.profiles) == ("cool", ("cool", "quiet"))
    board[FAN_CONF.name] = (folder / "conf_oasis_dawn.conf").read_bytes()
    board[FAN_STATUS.name] = b"cat: /var/lib/nvfancontrol/status: Permission denied\n"
    fan = parse_fan(board)
    assert (fan.profile, fan.profiles) == ("cool", ("quiet", "cool"))
    board[FAN_CONF.name] = (folder / "error_nonroot.txt").read_bytes()
    assert parse_fan(board).profiles == ()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_a_board_says_raises(one: bytes, other: bytes) -> None:
    fan = parse_fan({FAN.name: b"/sys/class/hwmon/hwmon2/name:" + one, FAN_CONF.name: other})
    assert fan.words


async def test_a_timer_that_cannot_be_set_leaves_the_old_one(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        await test.apply(HoldFan(64))
        test.board.refuses.add("systemd-run")
        result = await test.apply(HoldFan(128))
        assert result.outcome is Outcome.UNCHANGED
        assert result.found == "held at 64 of 255"
        assert len(test.board.timers) == 1


async def test_held_without_a_timer_is_not_already_so(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.fan_service_active, test.board.fan_pwm = False, 64
        change = await test.look(HoldFan(64))
        assert change.before == "held at 64 of 255, and no timer gives it back"
        assert (await test.apply(HoldFan(64))).outcome is Outcome.DONE
        assert len(test.board.timers) == 1


MARGINS = """<FAN 1>
    TMARGIN ENABLED
    FAN_PROFILE cool {
            #TEMP   HYST    PWM     RPM
            0       0       255     2900
            45      11      149     1700
            60      14      88      1000
            junk    1       2       3
    }
    THERMAL_GROUP 0 {
            GROUP_MAX_TEMP 100
    }
    FAN_DEFAULT_PROFILE cool
"""


def test_a_margin_is_counted_down_from_the_hottest() -> None:
    (curve,) = parse_curves(MARGINS)
    points = [tuple(point) for point in curve.points]
    assert points == [(40, 88, 1000), (55, 149, 1700), (100, 255, 2900)]
    assert curve.pwm_at(10) == 88
    assert curve.pwm_at(47.5) == pytest.approx((88 + 149) / 2)
    assert curve.pwm_at(120) == 255
    (plain,) = parse_curves(MARGINS.replace("TMARGIN ENABLED", ""))
    assert [point.temperature_c for point in plain.points] == [0, 45, 60]
    assert plain.pwm_at(0) == 255
    assert parse_curves("FAN_PROFILE empty {\n}") == (FanCurve("empty", ()),)
    assert FanCurve("empty", ()).pwm_at(50) is None


@given(st.text(max_size=400) | st.text("FAN_PROFILE x{}0123456789 \n", max_size=400))
def test_no_curve_is_worth_an_exception(text: str) -> None:
    for curve in parse_curves(text):
        assert list(curve.points) == sorted(curve.points)


@pytest.mark.parametrize(
    ("name", "profiles", "at_70"),
    [
        ("conf_agx_orin_jtop.conf", ["cool", "quiet"], 184),
        ("conf_oasis_dawn.conf", ["quiet", "cool"], 168),
    ],
)
def test_curves_of_real_files(corpus: Path, name: str, profiles: list[str], at_70: int) -> None:
    curves = parse_curves((corpus / "nvfancontrol" / name).read_text())
    assert [curve.profile for curve in curves] == profiles
    assert round(curves[0].pwm_at(70) or 0) == at_70
