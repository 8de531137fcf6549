"""The disks of a board on its screen: healthy, worn, silent, and read by nobody."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cohete.fleet.session import FleetPlan, FleetSession
from cohete.links.ssh import SshConnector, SshFiles
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.shell import Context, Program
from cohete.storage.disks import Disk, Kind
from cohete.storage.health import Health
from cohete.storage.reading import DiskState
from cohete_tui.app import CoheteApp
from cohete_tui.disk_lines import disk_lines
from cohete_tui.launch import Launch
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.sessions import PlannedSession
from tests.boards import simulated, until
from tests.tui.support import text_of

DISK = Disk("nvme0n1", Kind.NVME, 500_107_862_016, "Sample SSD")


async def worn(context: Context, argv: list[str]) -> int:
    context.say('{"critical_warning": 1, "percent_used": 93, "avail_spare": 4, "spare_thresh": 10}')
    return 0


@pytest.mark.claim("SM-04")
@pytest.mark.parametrize(
    ("sudo", "program", "words"),
    [
        (True, None, "3 % worn, spare 100 %, 4.7 TB written"),
        (True, worn, "! 93 % of its life is used"),
        (False, None, "its health needs root to be read"),
    ],
)
async def test_on_the_screen_of_its_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: bool, program: Program | None, words: str
) -> None:
    if program is not None:
        monkeypatch.setitem(PROGRAMS, "nvme", program)
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=sudo) as (_, config, specs):
        known = Path(config.ssh.known_hosts or "")
        specs = [dataclasses.replace(spec, sudo=sudo) for spec in specs]
        session = FleetSession(
            FleetPlan(specs, "lab", ssh=config.ssh), state_folder=tmp_path / "state",
            connector=SshConnector(config.ssh, SshFiles(known.parent / "none", known, ())),
        )  # fmt: skip
        app = CoheteApp(Launch(), session=PlannedSession(session))
        async with app.run_test(size=(200, 80)) as pilot:
            session.start()
            await until(lambda: isinstance(app.screen, FleetScreen))
            await until(lambda: session.store.devices[0].facts is not None)
            await pilot.press("enter")
            await until(lambda: words in text_of(app))
            assert "nvme0n1 NVMe 64 GB (59.6 GiB)" in text_of(app)


@pytest.mark.parametrize("cells", [12, 40, 100])
def test_no_line_is_too_long(cells: int) -> None:
    found = [
        DiskState(DISK, Health(wear_percent=3, spare_percent=100), trend="0.1 % a month " * 4),
        DiskState(DISK, Health(critical_warning=255, media_errors=7)),
        DiskState(DISK, Health(), "its health needs root to be read"),
    ]
    lines = disk_lines(found, "the connection was lost", cells)
    assert all(sum(len(text) for text, _ in line) <= cells for line in lines)
    text = " ".join(text for line in lines for text, _ in line)
    assert cells < 40 or "7 times data could not be read" in " ".join(text.split())
    assert disk_lines([], "", 80) == [[("No disk here tells its health (NVMe, SATA, USB).", "dim")]]
