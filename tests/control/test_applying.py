"""Changes to a board: applied and read back, or the report says exactly how it is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from cohete.control import attempt
from cohete.control.gate import Gate
from cohete.control.looking import Runner
from cohete.control.outcome import Outcome, Result
from cohete.errors import ChangeRefused, CommandError, LinkError
from cohete.links.base import Completed
from cohete.power import modes
from cohete.power.modes import SetMode
from cohete.simulator import server
from cohete.simulator.faults import Fault
from tests.boards import until
from tests.control.support import Bench, bench

NANO = "nano"


@pytest.mark.claim("PM-01")
async def test_a_mode_is_set_by_name_read_back_and_kept(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path) as test:
        change = await test.look(SetMode("5w"))
        assert (change.before, change.after) == ("MAXN (id 0)", "5W (id 1)")
        assert change.lines[0] == "sudo -n -- /usr/sbin/nvpmodel -m 1"
        assert "CPU cores 4 to 2." in change.notes
        assert test.board.mode.name == "MAXN"
        result = await test.apply(SetMode("5w"), shown=change)
        assert result.outcome is Outcome.DONE
        assert result.found == "5W (id 1)"
        assert test.board.mode.name == "5W"
        again = await test.apply(SetMode("5W"))
        assert again.outcome is Outcome.ALREADY
        assert test.changed_by() == ["sudo -n -- /usr/sbin/nvpmodel -m 1"]
        (entry,) = test.audit()
        assert entry.intent == "set the power mode to 5w"
        assert (entry.before, entry.found, entry.outcome) == ("MAXN (id 0)", "5W (id 1)", "done")
        assert entry.commands == ("sudo -n -- /usr/sbin/nvpmodel -m 1",)
        # Stored on the board: it is still so after a restart.
        test.board.reboot()
        await until(lambda: test.board.boots == 1 and not test.host.running)
        assert await _read_mode(test) == "5W (id 1)"


async def _read_mode(test: object) -> str:
    for _ in range(400):
        try:
            return (await test.look(SetMode("5W"))).before  # type: ignore[attr-defined,no-any-return]
        except LinkError:
            await asyncio.sleep(0.02)
    raise AssertionError("the board has not come back")


async def test_the_same_name_has_its_own_id_on_each_board(tmp_path: Path) -> None:
    lines = {}
    for module in ("orin-nano-8gb", "orin-nx-16gb"):
        async with bench(module, tmp_path / module) as test:
            name = next(mode.name for mode in test.board.module.modes if "15W" in mode.name)
            other = next(m.name for m in test.board.module.modes if m.name != test.board.mode.name)
            change = await test.look(SetMode(name if name != test.board.mode.name else other))
            lines[module] = change.lines[0]
            wanted = test.board.module.modes
            number = int(change.lines[0].rsplit(" ", 1)[1])
            assert next(m.name for m in wanted if m.id == number) in change.after
    assert len(lines) == 2


async def test_a_mode_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path) as test:
        with pytest.raises(ChangeRefused, match="no power mode 15W") as error:
            await test.look(SetMode("15W"))
        assert error.value.hint == "Its modes are: MAXN, 5W."
        result = await test.apply(SetMode("15W"))
        assert result.outcome is Outcome.REFUSED
        assert test.changed_by() == []
        assert test.audit()[0].outcome == "refused"


async def test_read_only_refuses_and_leaves_a_line(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path, gate=Gate(read_only=True)) as test:
        result = await test.apply(SetMode("5W"))
        assert str(result) == "nano-0: refused: Cohete runs read-only"
        assert test.host.commands == []
        assert [(e.outcome, e.words) for e in test.audit()] == [
            ("refused", "Cohete runs read-only")
        ]
    async with bench(NANO, tmp_path / "other") as test:
        test.spec = dataclasses.replace(test.spec, read_only=True)
        result = await test.apply(SetMode("5W"))
        assert "read_only for this device" in result.words
        assert test.board.mode.name == "MAXN"


async def test_a_missing_sudo_rule_is_named(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path, sudo=False) as test:
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.UNCHANGED
        assert "its sudoers file lacks: /usr/sbin/nvpmodel -m [0-9]" in result.words
        assert result.found == "MAXN (id 0)"


async def test_nothing_runs_but_what_was_shown(tmp_path: Path) -> None:
    async with bench("agx-orin-64gb", tmp_path) as test:
        names = [mode.name for mode in test.board.module.modes]
        shown = await test.look(SetMode(names[0]))
        other = await test.look(SetMode(names[1]))
        result = await test.apply(SetMode(names[0]), shown=other)
        assert shown.lines != other.lines
        assert result.outcome is Outcome.REFUSED
        assert test.changed_by() == []


@pytest.mark.claim("PM-09")
async def test_a_reboot_is_said_asked_drained_and_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BOOT_S", 0.2)
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    async with bench("agx-orin-64gb", tmp_path) as test:
        board = test.board
        board.services["inference.service"] = True
        board.gpu_used_since_boot = True
        now = board.mode
        target = next(mode for mode in board.module.modes if mode.mask != now.mask)
        action = SetMode(target.name, drain=("inference",))
        change = await test.look(action)
        assert "a reboot of the board" in change.needs
        assert any("asks for a reboot" in note for note in change.notes)
        assert change.lines == (
            f"sudo -n -- /usr/sbin/nvpmodel -m {target.id}",
            "sudo -n -- /bin/systemctl stop inference.service",
            f"sh -c 'echo YES | sudo -n -- /usr/sbin/nvpmodel -m {target.id}'",
            "sudo -n -- /bin/systemctl start inference.service",
        )
        # Without a yes it is not done, and not said to be.
        result = await test.apply(action)
        assert result.outcome is Outcome.REBOOT_NEEDED
        assert (board.boots, board.mode, result.found) == (0, now, change.before)
        assert board.services["inference.service"]
        assert not any("YES" in line for line in test.changed_by())
        result = await test.apply(action, reboot=True)
        assert result.outcome is Outcome.DONE, result
        assert result.found == f"{target.name} (id {target.id})"
        assert board.boots == 1
        assert sum("YES" in line for line in test.changed_by()) == 1
        assert board.stopped_units == ["inference.service"]
        assert board.services["inference.service"]


class Cut:
    """A connection that is lost for a while once a unit was stopped."""

    def __init__(self, runner: Runner, tries: int) -> None:
        self._runner = runner
        self.left, self.is_cut = tries, False
        self.stopped = asyncio.Event()

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        if self.is_cut and self.left:
            self.left -= 1
            raise LinkError("it is not connected")
        done = await self._runner.run(argv, timeout_s=timeout_s)
        if "stop" in argv:
            self.stopped.set()
            if self.left:
                self.is_cut = True
                raise LinkError("the connection was lost")
        return done


async def _drained(test: Bench, runner: Runner) -> Result:
    board = test.board
    board.services["llm.service"], board.gpu_used_since_boot = True, True
    target = next(mode for mode in board.module.modes if mode.mask != board.mode.mask)
    action = SetMode(target.name, drain=("llm",))
    return await test.control.apply(test.spec, runner, action, reboot=True)


@pytest.mark.claim("PM-09")
async def test_what_was_drained_runs_again_after_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.02)
    async with bench("agx-orin-64gb", tmp_path) as test:
        result = await _drained(test, Cut(test.link, 3))
        assert result.outcome is Outcome.UNCHANGED, result
        assert test.board.services["llm.service"]
        # One that does not come back in time is told as it is, and never as unchanged.
        monkeypatch.setattr(attempt, "BACK_WITHIN_S", 0.1)
        monkeypatch.setattr(attempt, "REBOOT_WITHIN_S", 0.1)
        cut = Cut(test.link, 10_000)
        running = asyncio.create_task(_drained(test, cut))
        await cut.stopped.wait()
        result = await running
        assert result.outcome is Outcome.UNKNOWN
        assert "start llm.service: it is not connected" in result.words


@pytest.mark.claim("PM-09")
async def test_what_was_drained_runs_again_for_who_leaves(tmp_path: Path) -> None:
    async with bench("agx-orin-64gb", tmp_path) as test:
        cut = Cut(test.link, 0)
        running = asyncio.create_task(_drained(test, cut))
        await cut.stopped.wait()
        assert not test.board.services["llm.service"]
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert test.board.services["llm.service"]


async def test_a_command_that_hangs_is_given_up_and_the_board_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "SET_LIMIT_S", 0.3)
    async with bench(NANO, tmp_path) as test:
        await test.fault(Fault.STUCK)
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.UNCHANGED
        assert "did not finish within 0.3 s" in result.words
        assert result.found == "MAXN (id 0)"
        await until(lambda: not test.host.running)


async def test_a_board_that_says_yes_and_does_nothing_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    monkeypatch.setattr(modes, "SETTLE_S", 0.1)
    async with bench(NANO, tmp_path) as test:
        await test.fault(Fault.STUBBORN)
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.UNCHANGED
        assert "still says otherwise" in result.words
        assert [entry.outcome for entry in test.audit()] == ["failed, nothing changed"]


async def test_a_connection_cut_in_the_middle_is_opened_again_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    async with bench(NANO, tmp_path) as test:
        await test.fault(Fault.CUT_MID)
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.DONE
        assert "yet it is in" in result.words
        assert test.board.mode.name == "5W"


async def test_a_board_that_stays_away_is_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    monkeypatch.setattr(attempt, "BACK_WITHIN_S", 0.3)
    async with bench(NANO, tmp_path) as test:
        await test.look(SetMode("5W"))
        board = test.board
        board.on_cut = lambda: asyncio.get_running_loop().create_task(test.fault(Fault.DOWN))
        await test.fault(Fault.CUT_MID)
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.UNKNOWN
        assert "it was: MAXN (id 0)" in result.words
        assert test.audit()[0].outcome == "not known"
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.UNREACHED
        assert "nothing was run" in result.words


async def test_without_its_audit_log_nothing_is_changed(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path) as test:
        (tmp_path / "state").write_text("a file where the folder should be")
        result = await test.apply(SetMode("5W"))
        assert result.outcome is Outcome.REFUSED
        assert "the audit log cannot be written" in result.words
        assert test.changed_by() == []


async def test_interrupted_is_written_down(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path) as test:
        await test.fault(Fault.STUCK)
        task = asyncio.create_task(test.apply(SetMode("5W")))
        await until(lambda: bool(test.changed_by()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (entry,) = test.audit()
        assert entry.outcome == "interrupted"
        assert "may still be running" in entry.words


class _Half:
    """A board that obeys half: the second of two commands fails."""

    def __init__(self) -> None:
        self.state = "a"
        self.lines: list[str] = []
        self.fail = ""

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        if argv[0] == "timeout":
            out = f"\n@@cohete state\n{self.state}\n\n@@cohete boot_id\nx\n"
            return Completed(0, out.encode(), b"")
        self.lines.append(argv[-1])
        if argv[-1] == self.fail:
            return Completed(1, b"", b"no way")
        if argv[-1] == "hang":
            raise CommandError("it hung")
        self.state = argv[-1]
        return Completed(0, b"", b"")


@pytest.mark.parametrize(
    ("fail", "outcome", "end"),
    [
        ("", Outcome.DONE, "c"),
        ("b", Outcome.UNCHANGED, "a"),
        ("c", Outcome.UNDONE, "a"),
    ],
)
async def test_what_failed_half_way_is_put_back(
    tmp_path: Path, fail: str, outcome: Outcome, end: str
) -> None:
    from cohete.clock import SystemClock
    from cohete.config.spec import DeviceSpec
    from cohete.config.target import Target
    from cohete.control.applying import Control
    from cohete.control.audit import AuditLog
    from tests.control.actions import Through

    board = _Half()
    board.fail = fail
    clock = SystemClock()
    control = Control(Gate(), AuditLog(tmp_path, clock), clock)
    spec = DeviceSpec("half", Target("half"))
    result = await control.apply(spec, board, Through(("b", "c"), "c", back="a"))
    assert result.outcome is outcome, result
    assert board.state == end
    assert result.found == end


async def test_what_was_drained_is_started_again_where_the_reboot_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_RETRY_S", 0.05)
    monkeypatch.setattr(attempt, "REBOOT_WITHIN_S", 0.5)
    async with bench("agx-orin-64gb", tmp_path) as test:
        board = test.board
        board.services |= {"llm.service": True, "off.service": False}
        board.gpu_used_since_boot = True
        target = next(mode for mode in board.module.modes if mode.mask != board.mode.mask)
        board.reboot = lambda: None  # type: ignore[method-assign]
        result = await test.apply(SetMode(target.name, drain=("llm", "off")), reboot=True)
        assert not result.outcome.is_well
        assert "has not come back" in result.words
        # And what did not run before is not begun.
        assert board.services == {"llm.service": True, "off.service": False}


async def test_two_changes_of_one_board_wait_for_each_other(tmp_path: Path) -> None:
    async with bench(NANO, tmp_path) as test:
        results = await asyncio.gather(*(test.apply(SetMode("5W")) for _ in range(4)))
        outcomes = sorted(result.outcome for result in results)
        assert outcomes == [Outcome.ALREADY] * 3 + [Outcome.DONE]
        assert len(test.changed_by()) == 1
