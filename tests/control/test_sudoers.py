"""Rights: every command that needs root has its rule, and the rules allow nothing else."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cohete.control.change import Action
from cohete.control.sudoers import chosen, drop_in
from cohete.errors import ConfigError
from cohete.power.clocks import SetClocks
from cohete.power.fan import AutomaticFan, HoldFan, SetFanProfile
from cohete.power.modes import SetMode
from cohete.power.rights import features
from tests.control.support import bench

VISUDO = shutil.which("visudo") or shutil.which("visudo", path="/usr/sbin:/sbin")


@pytest.mark.parametrize("module", ["orin-nano-8gb", "nano"])
async def test_every_command_is_allowed_by_a_rule(tmp_path: Path, module: str) -> None:
    rules = [rule for feature in features(["inference"]).values() for rule in feature.rules]
    async with bench(module, tmp_path) as test:
        names = [mode.name for mode in test.board.module.modes]
        actions: list[Action] = [
            *(SetMode(name, drain=("inference",)) for name in names),
            SetClocks(locked=True, limit_c=100),
            HoldFan(100),
            HoldFan(100, 3600),
        ]
        if test.board.has_fan_service:
            actions.append(SetFanProfile("cool"))
        lines: list[str] = []
        for action in actions:
            lines += (await test.look(action)).lines
        test.board.clocks_locked = True
        test.board.written["/run/cohete_l4t_dfs.conf"] = b""
        lines += (await test.look(SetClocks(locked=False))).lines
        test.board.fan_service_active, test.board.fan_pwm = False, 10
        test.board.timers["cohete-fan-b.timer"] = test.board.clock.monotonic() + 100
        lines += (await test.look(AutomaticFan())).lines
        assert len(lines) > 8
        for line in lines:
            assert any(_allows(rule, line) for rule in rules), line


def _allows(rule: str, line: str) -> bool:
    """As sudo compares: the command's words joined, `[0-9]` one digit."""
    words = shlex.split(line)
    if words[:2] == ["sh", "-c"]:
        words = shlex.split(words[2].partition(" | ")[2])
    assert words[:3] == ["sudo", "-n", "--"]
    pattern = re.escape(rule.removesuffix(' ""')).replace(re.escape("[0-9]"), "[0-9]")
    return re.fullmatch(pattern, " ".join(words[3:])) is not None


def test_no_rule_allows_more_than_its_command() -> None:
    for feature in features(["a.service"]).values():
        for rule in feature.rules:
            assert rule.startswith("/")
            assert "*" not in rule
            # A command alone would be allowed with every argument.
            assert " " in rule
            assert not re.search(r"\b(sh|bash|ALL)\b", rule)


def test_visudo_accepts_it() -> None:
    if VISUDO is None:
        pytest.skip("no visudo on this machine (scripts/system-packages installs it)")
    text = drop_in("jetson-user", chosen(features(["a@b.service"]), []))
    done = subprocess.run([VISUDO, "-c", "-f", "-"], input=text.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr


def test_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="no login name"):
        drop_in("nvidia ALL=(ALL) ALL\n", [])
    with pytest.raises(ConfigError, match="no feature 'fnord'") as error:
        chosen(features(), ["fnord"])
    assert error.value.hint == "There are: power, clocks, fan, memory."
