"""Boards that do not exist behave as if they did, and the same way each time."""

from __future__ import annotations

import asyncio

import pytest

from cohete import tegra
from cohete.clock import ManualClock
from cohete.device.activity import between, counters_from
from cohete.device.identity import facts_from, parse_power_mode
from cohete.links.commands import activity, probe, quote, split_sections
from cohete.simulator.board import SimBoard, TegraStatsRun
from cohete.simulator.faults import Fault
from cohete.simulator.modules import SIM_MODULES, SimModule
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.scenario import SCENARIOS, build
from cohete.simulator.shell import Context, Pipe, empty_pipe, run_line
from cohete.simulator.workload import Workload


def board(module: str | SimModule = "orin-nx-16gb", **changes: object) -> SimBoard:
    return SimBoard("b", module, ManualClock(), **changes)  # type: ignore[arg-type]


async def run(
    machine: SimBoard, line: str, *, root: bool = False, stdin: bytes | None = None,
    sudo: bool = False,
) -> tuple[int, str, str]:  # fmt: skip
    out, err = bytearray(), bytearray()
    pipe = empty_pipe()
    if stdin is not None:
        pipe = Pipe()
        pipe.write(stdin)
        pipe.end()
    context = Context(
        machine, root, out.extend, err.extend, pipe, {"SIM_SUDO": "1"} if sudo else {}
    )
    status = await run_line(line, context, PROGRAMS)
    return status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


@pytest.mark.parametrize("module", SIM_MODULES, ids=lambda module: module.key)
@pytest.mark.parametrize("root", [True, False])
def test_each_generation_prints_what_the_parser_reads(module: SimModule, root: bool) -> None:
    machine = board(module)
    machine.settle(60)
    stats = tegra.parse(TegraStatsRun(machine, root=root).line())
    assert stats is not None
    assert stats.unknown_tokens == 0
    assert stats.ram_total_mb == module.memory_mb
    assert len(stats.cores) == module.cores
    if module.rails:
        assert stats.power_mw == pytest.approx(1000 * machine.power_w, rel=0.35)


@pytest.mark.parametrize("module", SIM_MODULES, ids=lambda module: module.key)
async def test_each_board_is_identified_as_what_it_is(module: SimModule) -> None:
    machine = board(module)
    status, out, _ = await run(machine, quote(probe()))
    assert status == 0
    facts = facts_from(split_sections(out.encode()))
    assert facts.module is not None
    assert facts.l4t == module.l4t
    assert facts.module.soc == module.compatible[-1].removeprefix("nvidia,")
    assert facts.has_neon is True
    expected = module.key.replace("-", " ").split()[0]
    assert expected in facts.module.name.lower()
    if module.modes:
        assert facts.power_mode is not None
        assert facts.power_mode.id == module.default_mode


def test_the_same_seed_gives_the_same_lines() -> None:
    def lines(seed: int) -> list[str]:
        clock = ManualClock()
        machine = SimBoard("b", "nano", clock, seed=seed)
        process = TegraStatsRun(machine, root=True)
        result = []
        for _ in range(20):
            clock.step(1)
            result.append(process.line())
        return result

    assert lines(1) == lines(1)
    assert lines(1) != lines(2)


def test_heat_follows_load_fan_and_ambient() -> None:
    idle, busy = board(workload=Workload.IDLE), board(workload=Workload.TRAINING)
    for machine in (idle, busy):
        machine.settle(900)
    assert busy.thermal.die_c > idle.thermal.die_c + 8
    warm = board(workload=Workload.IDLE, ambient_c=40.0)
    warm.settle(900)
    assert warm.thermal.die_c == pytest.approx(idle.thermal.die_c + 16, abs=4)
    hot = board(workload=Workload.TRAINING)
    hot.faults.add(Fault.OVERHEAT)
    hot.settle(1800)
    assert hot.thermal.die_c > busy.thermal.die_c + 20
    assert hot.thermal.die_c < 110


def test_physics_does_not_depend_on_how_often_one_looks() -> None:
    def after(step_s: float) -> float:
        machine = board(workload=Workload.TRAINING)
        assert isinstance(machine.clock, ManualClock)
        for _ in range(int(40 / step_s)):
            machine.clock.step(step_s)
            machine.advance()
        return machine.thermal.die_c

    assert after(0.25) == pytest.approx(after(8.0), abs=1.0)


@pytest.mark.claim("TM-02")
async def test_what_is_shown_is_what_the_sensor_says() -> None:
    machine = board("orin-nano-8gb")
    machine.settle(300)
    stats = tegra.parse(TegraStatsRun(machine, root=False).line())
    assert stats is not None
    by_name = {zone.name: zone.celsius for zone in stats.zones}
    for nth in range(len(machine.module.zones)):
        _, kind, _ = await run(machine, f"cat /sys/class/thermal/thermal_zone{nth}/type")
        status, milli, _ = await run(machine, f"cat /sys/class/thermal/thermal_zone{nth}/temp")
        shown = by_name.get(kind.strip().removesuffix("-thermal"))
        if shown is None:
            assert status != 0
        else:
            assert shown == pytest.approx(int(milli) / 1000, abs=1.0)


async def test_power_mode_prompts_are_the_real_ones() -> None:
    machine = board()
    machine.settle(10)
    status, out, _ = await run(machine, "nvpmodel -q")
    assert parse_power_mode(out) is not None
    status, _, err = await run(machine, "nvpmodel -m 1")
    assert status != 0
    assert "13" in err
    status, out, err = await run(machine, "nvpmodel -m 1 </dev/null", root=True)
    assert status != 0
    assert "Reboot required for changing to this power mode: 1" in out
    assert "NVPM ERROR: bad input!" in err
    assert machine.mode.name == "MAXN"
    status, out, _ = await run(machine, "nvpmodel -m 1", root=True, stdin=b"YES\n")
    assert status == 0
    assert "rebooting" in out
    assert machine.mode.name == "10W"
    status, _, _ = await run(machine, "nvpmodel -m 2", root=True)
    assert status == 0
    _, _, err = await run(machine, "nvpmodel -m 9", root=True)
    assert err == "NVPM ERROR: request for bad power mode 9\n"


async def test_clocks_are_stored_locked_and_restored() -> None:
    machine = board()
    assert (await run(machine, "jetson_clocks --show"))[2] == "Please run as root\n"
    assert (await run(machine, "jetson_clocks --restore /tmp/x", root=True))[0] == 1
    assert (await run(machine, "jetson_clocks --store /tmp/x && jetson_clocks", root=True))[0] == 0
    assert machine.clocks_locked
    _, out, _ = await run(machine, "jetson_clocks --show", root=True)
    assert "FreqOverride=1" in out
    await run(machine, "jetson_clocks --restore /tmp/x", root=True)
    assert not machine.clocks_locked


@pytest.mark.parametrize(
    ("line", "status", "out"),
    [
        ("echo a; echo 'b c' && echo d || echo e", 0, "a\nb c\nd\n"),
        ("cat /none 2>/dev/null || echo no", 0, "no\n"),
        ("cat /none 2>&1 | head -c 4", 0, "cat:"),
        ("nothing-here", 127, ""),
        ("sh -c 'echo in; uname -n'", 0, "in\nb\n"),
        ("echo x | tee /etc/f; cat /etc/f", 0, "x\nx\n"),
        ("echo hello > /f; cat /f", 0, "hello\n"),
        ("timeout 5 true", 0, ""),
        ("grep -m 1 -i '^features' /proc/cpuinfo", 0, None),
        ("sudo -n nvfancontrol -q", 1, ""),
        ("systemctl is-active nvfancontrol", 0, "active\n"),
        ("df /", 0, None),
        ("echo 'unclosed", 2, ""),
    ],
)
async def test_enough_of_a_shell(line: str, status: int, out: str | None) -> None:
    done = await run(board(), line)
    assert done[0] == status
    assert out is None or done[1] == out


async def test_streams_end_when_the_reader_has_enough() -> None:
    machine = board()
    clock = machine.clock
    assert isinstance(clock, ManualClock)
    task = asyncio.create_task(run(machine, "tegrastats --interval 1000 | head -n 2"))
    for _ in range(4):
        await clock.advance(1)
    status, out, _ = await asyncio.wait_for(task, 5)
    assert status == 0
    assert len([line for line in out.splitlines() if tegra.parse(line)]) == 2


async def test_timeout_ends_a_stream_with_124() -> None:
    machine = board()
    assert isinstance(machine.clock, ManualClock)
    task = asyncio.create_task(run(machine, "timeout 5 tegrastats --interval 1000"))
    for _ in range(7):
        await machine.clock.advance(1)
    assert (await asyncio.wait_for(task, 5))[0] == 124


async def test_sudo_and_the_fan() -> None:
    machine = board()
    assert (await run(machine, "sudo -n nvpmodel -m 3"))[2] == "sudo: a password is required\n"
    assert (await run(machine, "sudo -n nvpmodel -m 3", sudo=True))[0] == 0
    pwm = "/sys/class/hwmon/hwmon0/pwm1"
    await run(machine, f"echo 200 | sudo -n tee {pwm}", sudo=True)
    # Who controls the fan writes over it.
    assert (await run(machine, f"cat {pwm}"))[1] != "200\n"
    await run(machine, "sudo -n systemctl stop nvfancontrol", sudo=True)
    await run(machine, f"echo 200 | sudo -n tee {pwm}", sudo=True)
    assert (await run(machine, f"cat {pwm}"))[1] == "200\n"
    assert int((await run(machine, "cat /sys/class/hwmon/hwmon1/rpm"))[1]) > 4000
    machine.faults.add(Fault.DISK_FULL)
    assert "No space left" in (await run(machine, "echo x | tee /f"))[2]


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_its_boards(name: str) -> None:
    scenario = build(name, ManualClock(), 14, seed=3)
    names = [machine.name for machine in scenario.boards]
    assert len(set(names)) == 14
    assert {turn.board for turn in scenario.turns} <= set(names)


def test_the_demo_has_one_hot_one_thor_one_old_nano_and_one_that_goes() -> None:
    scenario = build("demo", ManualClock(), 12)
    kinds = {machine.module.key for machine in scenario.boards}
    assert {"thor", "nano"} <= kinds
    assert any(machine.thermal.die_c > 78 for machine in scenario.boards)
    assert any(turn.fault is Fault.DOWN for turn in scenario.turns)


@pytest.mark.parametrize("module", ["orin-nano-8gb", "thor"])
@pytest.mark.parametrize("root", [False, True])
async def test_what_a_board_does_can_be_read(module: str, root: bool) -> None:
    machine = board(module)
    thor = module.startswith("thor")
    argv = activity(sudo=True, thor=thor)
    readings = []
    for _ in range(2):
        _, out, _ = await run(machine, quote(argv[4:]), sudo=root)
        readings.append(counters_from(split_sections(out.encode())))
        assert isinstance(machine.clock, ManualClock)
        machine.clock.step(3)
    found = between(*readings)
    assert found.span_s == pytest.approx(3, abs=0.1)
    busiest = max(found.processes, key=lambda process: process.cpu_percent or 0)
    assert busiest.pid == 2380
    assert busiest.cpu_percent == pytest.approx(62, abs=2)
    assert found.gpu_known is (root or thor)
    assert (busiest.gpu_mb or 0) > 0 if root or thor else busiest.gpu_mb is None
    assert found.interfaces[0].rx_bytes_s == pytest.approx(61_000, rel=0.01)
    assert found.disks[0].write_bytes_s is not None


async def test_a_journal_goes_on_and_what_is_forbidden_says_so() -> None:
    machine = board()
    status, out, _ = await run(machine, "journalctl --lines 500")
    assert status == 0
    assert out.count("\n") > 20
    status, _, err = await run(machine, "journalctl --dmesg --follow")
    assert status == 1
    assert "permissions" in err
    status, _, err = await run(machine, "dmesg --follow")
    assert "not permitted" in err
