"""The setup wizard as somebody at the keyboard sees it, to its end and left at every step."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncssh
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cohete.config.loading import load
from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision.record import SetupRecord
from cohete.provision.setup import Wishes
from cohete.simulator.board import SimBoard
from cohete.simulator.server import SimFleet
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.screens.asking import AskDialog
from cohete_tui.screens.change import ChangeDialog
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.running import RunningScreen
from cohete_tui.screens.setup import SetupScreen
from cohete_tui.sessions import PlannedSession
from cohete_tui.widgets.rows import RowList
from tests.boards import simulated, until
from tests.tui.support import settle, text_of

KEY = asyncssh.generate_private_key("ssh-ed25519", comment="me@desk")
LINE = KEY.export_public_key().decode().strip()
CONSENT = "nvme0n1 64 GB"
ON_BOARD = ("key", "sudo", "packages", "disk", "zram", "swap", "swappiness", "address")
ALL = ("key", "ssh", *ON_BOARD[1:], "config")


@dataclasses.dataclass
class Desk:
    """Somebody in front of the wizard."""

    pilot: Pilot[None]
    app: CoheteApp
    board: SimBoard
    wishes: Wishes

    @property
    def screen(self) -> SetupScreen:
        found = [each for each in self.app.screen_stack if isinstance(each, SetupScreen)]
        return found[-1]

    def state(self, name: str) -> str:
        return self.screen._state(name).state

    async def wait_for(self, kind: type[object]) -> None:
        await until(lambda: isinstance(self.app.screen, kind))
        await self.pilot.pause()

    async def looked(self) -> None:
        """Until every step was looked at."""
        await until(lambda: bool(self.screen._steps) and not any(
            self.state(step.name) == "looking" for step in self.screen._steps
        ))  # fmt: skip
        await settle(self.pilot)

    async def choose(self, name: str) -> None:
        self.screen.query_one("#rows").select(name)  # type: ignore[attr-defined]
        await self.pilot.press("enter")

    async def type(self, text: str) -> None:
        await self.wait_for(AskDialog)
        self.app.screen.query_one(Input).value = text
        await self.pilot.press("enter")

    async def do(self, name: str) -> None:
        """One step, as a person does it."""
        await self.choose(name)
        if name in ("ssh", "config"):
            await self.type("yes")
        else:
            if name == "disk":
                await self.type(CONSENT)
            await self.wait_for(ChangeDialog)
            await self.pilot.press("tab", "enter")
            await self.wait_for(RunningScreen)
            await until(lambda: "over, all well" in text_of(self.app))
            await self.pilot.press("escape")
        await self.wait_for(SetupScreen)
        await until(lambda: self.state(name) == "done")


@contextlib.asynccontextmanager
async def fresh(folder: Path, *, sudo: bool = True) -> AsyncIterator[tuple[SimFleet, FleetPlan]]:
    async with simulated("orin-nano-8gb", folder=folder, sudo=sudo) as (fleet, config, specs):
        board = next(iter(fleet.hosts.values())).board
        board.disk.has_system = False
        board.gpu_used_since_boot = False
        config = config.model_copy(deep=True)
        yield fleet, FleetPlan(specs, "lab", ssh=config.ssh)


@contextlib.asynccontextmanager
async def desk(
    fleet: SimFleet,
    plan: FleetPlan,
    folder: Path,
    size: tuple[int, int] = (100, 30),
    *,
    served: bool = False,
) -> AsyncIterator[Desk]:
    wishes = Wishes(
        key_line=LINE, ssh_config=folder / "ssh" / "config",
        config_path=folder / "own" / "cohete.yaml", alias="bench",
    )  # fmt: skip
    known = Path(plan.ssh.known_hosts or "")
    session = FleetSession(
        plan, state_folder=folder / "state",
        connector=SshConnector(plan.ssh, SshFiles(known.parent / "none", known, ())),
    )  # fmt: skip
    app = CoheteApp(Launch(plan, served=served), session=PlannedSession(session))
    async with app.run_test(size=size, notifications=True) as pilot:
        session.start()
        await until(lambda: isinstance(app.screen, FleetScreen))
        app.push_screen(SetupScreen(plan.specs[0].id, wishes))
        await until(lambda: isinstance(app.screen, SetupScreen))
        found = Desk(pilot, app, next(iter(fleet.hosts.values())).board, wishes)
        await found.looked()
        yield found


@pytest.mark.claim("PS-01", "PS-02")
async def test_from_fresh_to_watched(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        assert test.state("login") == test.state("release") == "done"
        assert {name: test.state(name) for name in ALL} == {
            **dict.fromkeys(ALL, "to do"), "swap": "cannot",
        }  # fmt: skip
        assert "Have nvme0n1 there first" in test.screen._state("swap").words
        for name in ALL:
            await test.do(name)
        board = test.board
        assert board.written[".ssh/authorized_keys"].decode() == f"{LINE}\n"
        assert board.disk.mount == "/mnt/nvme"
        assert board.disk.modes["/mnt/nvme/models"] == ("755", 0)
        assert "/mnt/nvme/swapfile" in board.written["/proc/swaps"].decode()
        assert board.written["/proc/sys/vm/swappiness"] == b"10\n"
        assert board.packages["nvtop"]
        assert b"NOPASSWD" in board.written["/etc/sudoers.d/cohete"]
        assert "Host bench\n" in test.wishes.ssh_config.read_text()
        config = load(test.wishes.config_path)
        (device,) = config.fleet.devices
        assert (device.host, device.thermal_policy) == ("127.0.0.1", "conservative")
        assert (device.memory_budget_mb, device.power_profile) == (5559, "balanced")
        assert test.wishes.config_path.read_text().startswith("# Boards and how they are watched.")
        # And a second look finds nothing to do.
        await test.pilot.press("r")
        await test.looked()
        assert {test.state(name) for name in ALL} == {"done"}


@pytest.mark.claim("PS-01")
@pytest.mark.parametrize("left_after", range(len(ALL)))
async def test_left_anywhere_it_goes_on(tmp_path: Path, left_after: int) -> None:
    async with fresh(tmp_path) as (fleet, plan):
        async with desk(fleet, plan, tmp_path) as test:
            for name in ALL[:left_after]:
                await test.do(name)
            # Killed with the question on the screen: nothing of that step was done.
            name = ALL[left_after]
            await test.choose(name)
            await until(lambda: isinstance(test.app.screen, AskDialog | ChangeDialog))
        async with desk(fleet, plan, tmp_path) as again:
            for done in ALL[:left_after]:
                assert again.state(done) == "done"
            assert again.state(name) == "to do"
            await again.do(name)


async def test_at_80x24_by_keyboard_alone_skipped_with_a_reason(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan):
        async with desk(fleet, plan, tmp_path, (80, 24)) as test:
            assert "to do: not among 0 keys" in text_of(test.app)
            await test.pilot.press("s")
            await test.type("done by hand")
            await until(lambda: test.state("key") == "skipped")
            # The cursor went on to what is to do.
            await until(lambda: "A Host in your own ssh configuration" in text_of(test.app))
            assert "– Login by key" in text_of(test.app)
            assert "done by hand" in text_of(test.app)
        async with desk(fleet, plan, tmp_path, (80, 24)) as again:
            assert again.state("key") == "skipped"
            again.screen.query_one("#rows").select("key")  # type: ignore[attr-defined]
            await again.pilot.press("s")
            await until(lambda: again.state("key") == "to do")


@pytest.mark.claim("PS-05")
@pytest.mark.parametrize("typed", ["", "yes", "nvme0n1", "nvme0n1 640 GB"])
async def test_a_disk_is_named_with_its_size_or_left(tmp_path: Path, typed: str) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        await test.choose("disk")
        await test.type(typed)
        if typed:
            await until(lambda: "Nothing was done: what you typed" in text_of(test.app))
        await test.wait_for(SetupScreen)
        assert not test.board.disk.is_partitioned


async def test_without_rights_each_step_says_what_is_missing(tmp_path: Path) -> None:
    async with fresh(tmp_path, sudo=False) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        assert test.state("sudo") == "cannot"
        words = test.screen._state("sudo").words
        assert "sudo wants a password there, and Cohete never sends one" in words
        assert "sudo visudo -f /etc/sudoers.d/cohete" in words
        await test.choose("sudo")
        await test.wait_for(ChangeDialog)
        assert "nothing to do" in text_of(test.app)


async def test_read_only_looks_and_changes_nothing(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan):
        control = plan.control.model_copy(update={"read_only": True})
        plan = dataclasses.replace(plan, control=control)
        async with desk(fleet, plan, tmp_path) as test:
            for name in ("key", "ssh", "config"):
                await test.choose(name)
                await settle(test.pilot)
                assert isinstance(test.app.screen, SetupScreen)
            assert not test.wishes.ssh_config.exists()
            assert not test.wishes.config_path.exists()
            assert ".ssh/authorized_keys" not in test.board.written


async def test_its_configuration_opens_the_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    async with fresh(tmp_path / "lab") as (fleet, plan):
        app = CoheteApp(Launch(plan, setup=True))
        async with app.run_test(size=(100, 30)) as pilot:
            test = Desk(pilot, app, next(iter(fleet.hosts.values())).board, Wishes())
            await test.wait_for(SetupScreen)
            await test.looked()
            await test.do("config")
            await pilot.press("escape")
            await test.wait_for(FleetScreen)
            await until(lambda: app.store_now.name == "jetsons")


async def test_a_fleet_that_is_watched_stays_where_one_of_its_boards_is_set_up(
    tmp_path: Path,
) -> None:
    own = tmp_path / "fleet.yaml"
    own.write_text("fleet: {devices: [{id: other, ip: 10.255.0.1, enabled: false}]}\n")
    async with fresh(tmp_path) as (fleet, plan):
        elsewhere = DeviceSpec("other", Target("10.255.0.1"), enabled=False)
        plan = dataclasses.replace(plan, specs=[*plan.specs, elsewhere], path=own)
        async with desk(fleet, plan, tmp_path) as test:
            await test.pilot.press("escape")
            await test.wait_for(FleetScreen)
            await test.pilot.press("I")
            await test.wait_for(SetupScreen)
            await test.looked()
            assert test.state("config") == "to do"
            assert f"{own} has 1 boards, and not this one" in test.screen._state("config").words
            # Its only list is in one line: nobody's hand is in it.
            await test.choose("config")
            await test.type("yes")
            await until(lambda: "cannot be added to it" in text_of(test.app))
            own.write_text("# mine\nfleet:\n  devices:\n    - id: other\n      ip: 10.255.0.1\n")
            await test.do("config")
            await test.pilot.press("escape")
            await test.wait_for(FleetScreen)
            assert [device.id for device in test.app.store_now] == [plan.specs[0].id, "other"]
            assert [device.id for device in load(own).fleet.devices] == ["other", plan.specs[0].id]


async def test_a_board_of_the_configuration_is_in_it(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan):
        plan = dataclasses.replace(plan, path=tmp_path / "cohete.yaml")
        async with desk(fleet, plan, tmp_path) as test:
            await test.pilot.press("escape")
            await test.pilot.press("I")
            await test.looked()
            assert test.state("config") == "done"


async def test_a_step_is_taken_back(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        before = test.board.written.get("/proc/sys/vm/swappiness")
        await test.do("swappiness")
        await test.looked()
        test.screen.query_one("#rows").select("swappiness")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await test.wait_for(ChangeDialog)
        assert "take back: set swappiness to 10" in text_of(test.app).casefold()
        await test.pilot.press("tab", "enter")
        await test.wait_for(RunningScreen)
        await until(lambda: "over, all well" in text_of(test.app))
        await test.pilot.press("escape")
        await until(lambda: test.state("swappiness") == "to do")
        assert test.board.written["/proc/sys/vm/swappiness"] == b"60\n"
        assert before is None
        await test.do("ssh")
        test.screen.query_one("#rows").select("ssh")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await test.type("yes")
        await until(lambda: test.state("ssh") == "to do")
        assert "bench" not in test.wishes.ssh_config.read_text()
        test.screen.query_one("#rows").select("packages")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await until(lambda: "Not taken back: Which of them" in text_of(test.app))
        test.screen.query_one("#rows").select("power")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await until(lambda: "Not taken back: It is the mode" in text_of(test.app))


async def test_the_cursor_is_seen_whatever_grows_below_it(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        rows = test.screen.query_one(RowList)
        for key in ("home", "end", "up", "up", "home", "end"):
            await test.pilot.press(key)
            await settle(test.pilot)
            top = int(rows.scroll_y)
            assert top <= rows.cursor < top + rows.size.height, (key, rows.size)
        await test.pilot.press("up")
        await settle(test.pilot)
        assert "Fixed address" in text_of(test.app)


async def test_what_was_not_meant_is_said(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        assert "of 16 done or skipped" in text_of(test.app)
        await test.choose("ssh")
        await test.type("")
        await until(lambda: "Nothing was changed: that" in text_of(test.app))
        assert not test.wishes.ssh_config.exists()
        await test.choose("disk")
        await test.type("nvme0n1 65 GB")
        await until(lambda: "Nothing was done: what you typed" in text_of(test.app))
        assert test.board.disk.mount == ""
        test.screen.query_one("#rows").select("config")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await until(lambda: "Not taken back:" in text_of(test.app))
        assert isinstance(test.app.screen, SetupScreen)


async def test_an_address_of_its_own_is_taken_back(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        await test.do("address")
        await test.looked()
        assert [each.is_kept for each in test.board.profiles.values()] == [True]
        test.screen.query_one("#rows").select("address")  # type: ignore[attr-defined]
        await test.pilot.press("z")
        await test.wait_for(ChangeDialog)
        # At 80x24 the last of it lies below.
        await test.pilot.press("pagedown", "pagedown", "pagedown")
        await until(lambda: "A server has to lend it that address again." in text_of(test.app))
        await test.pilot.press("tab", "enter")
        await test.wait_for(RunningScreen)
        await until(lambda: "over, all well" in text_of(test.app))
        await test.pilot.press("escape")
        await until(lambda: test.state("address") == "to do")
        assert test.board.profiles == {}


async def test_only_the_rights_that_are_wanted(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        await test.do("sudo")
        assert b"apt-get" in test.board.written["/etc/sudoers.d/cohete"]
        await test.looked()
        test.screen.query_one("#rows").select("sudo")  # type: ignore[attr-defined]
        await test.pilot.press("o")
        await test.wait_for(AskDialog)
        assert test.app.screen.query_one(Input).value == "power clocks fan memory storage setup"
        await test.type("power fan")
        await until(lambda: "are not wanted" in test.screen._state("sudo").words)
        await test.do("sudo")
        rules = test.board.written["/etc/sudoers.d/cohete"]
        assert (b"apt-get" in rules, b"jetson_clocks" in rules, b"nvpmodel" in rules) == (
            False, False, True,
        )  # fmt: skip
        # The next time it is as it was chosen.
        record = SetupRecord(tmp_path / "state", test.screen.device.spec, test.screen.device.facts)
        assert record.chosen() == {"sudo": "power fan"}
        await test.pilot.press("escape", "I")
        await test.looked()
        assert test.state("sudo") == "done"
        test.screen.query_one("#rows").select("sudo")  # type: ignore[attr-defined]
        await test.pilot.press("o")
        await test.wait_for(AskDialog)
        assert test.app.screen.query_one(Input).value == "power fan"


async def test_a_key_that_is_there_and_lets_nobody_in(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        await test.do("key")
        assert "tried: no password is asked for" in test.screen._state("key").words

        async def refused(device: object) -> str:
            return "the board asks for a password"

        session = test.app._session
        assert session is not None
        assert session.changes is not None
        session.changes = dataclasses.replace(session.changes, why_no_key=refused)
        await test.pilot.press("r")
        await until(lambda: test.state("key") == "cannot")
        assert "a login fails: the board asks for a password" in test.screen._state("key").words


async def test_another_choice_for_a_step(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path, (80, 24)) as test:
        for name, text, shown in (
            ("packages", "htop", "htop is missing"), ("swap", "4", "cannot"),
            ("ssh", "cam", "Host cam"),
        ):  # fmt: skip
            test.screen.query_one("#rows").select(name)  # type: ignore[attr-defined]
            await test.pilot.press("o")
            await test.type(text)
            await until(
                partial(lambda name, shown: shown in str(test.screen._state(name)), name, shown)
            )
        await test.do("packages")
        assert "htop" in test.board.packages
        assert "nvtop" not in test.board.packages
        for name, text, why in (
            ("packages", "-y", "is no name of a package"), ("swap", "many", "no whole number"),
            ("disk", "sda", "is no NVMe disk"), ("ssh", "a b", "not one word"),
        ):  # fmt: skip
            test.screen.query_one("#rows").select(name)  # type: ignore[attr-defined]
            await test.pilot.press("o")
            await test.type(text)
            await until(partial(lambda why: why in text_of(test.app), why))
        test.screen.query_one("#rows").select("key")  # type: ignore[attr-defined]
        await test.pilot.press("o")
        await until(lambda: "nothing to choose" in text_of(test.app))


@pytest.mark.parametrize("how", ["served", "read-only"])
async def test_who_only_looks_skips_nothing(tmp_path: Path, how: str) -> None:
    async with fresh(tmp_path) as (fleet, plan):
        control = plan.control.model_copy(update={"read_only": True})
        plan = dataclasses.replace(plan, control=control)
        async with desk(fleet, plan, tmp_path, served=how == "served") as test:
            test.screen.query_one("#rows").select("key")  # type: ignore[attr-defined]
            await test.pilot.press("s")
            await settle(test.pilot)
            assert isinstance(test.app.screen, SetupScreen)
            assert "Nothing is changed" in text_of(test.app)
            test.screen.query_one("#rows").select("disk")  # type: ignore[attr-defined]
            await test.pilot.press("o")
            await settle(test.pilot)
            assert isinstance(test.app.screen, SetupScreen)
        assert not (tmp_path / "state" / "setup").exists()


async def test_who_asks_and_leaves_it_has_not_taken_the_skip_back(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        await test.pilot.press("s")
        await test.type("by hand")
        await until(lambda: test.state("key") == "skipped")
        await test.choose("key")
        await test.wait_for(ChangeDialog)
        await test.pilot.press("escape")
        await test.wait_for(SetupScreen)
        await test.looked()
        assert test.state("key") == "skipped"
        await test.do("key")


async def test_a_login_that_is_over_takes_its_question_away(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        test.app._is_setup_shown.set()
        for nth in range(3):
            asking = asyncio.create_task(test.app.ask_secret("Password of nvidia@10.0.0.7"))
            await test.wait_for(AskDialog)
            if nth == 1:
                # Somebody looks something up meanwhile.
                await test.app.push_screen(SetupScreen(plan.specs[0].id))
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            await test.wait_for(SetupScreen)
            if nth == 1:
                await test.pilot.press("escape")
                await until(lambda: test.app.screen is test.screen)
        assert not any(isinstance(screen, AskDialog) for screen in test.app.screen_stack)


async def test_a_secret_is_asked_for_and_shown_to_nobody(tmp_path: Path) -> None:
    async with fresh(tmp_path) as (fleet, plan), desk(fleet, plan, tmp_path) as test:
        test.app._is_setup_shown.set()
        asking = asyncio.create_task(test.app.ask_secret("Password of nvidia@10.0.0.7"))
        await test.wait_for(AskDialog)
        await test.pilot.press(*"hunter2")
        assert "hunter2" not in text_of(test.app)
        await test.pilot.press("enter")
        assert await asking == "hunter2"
        asking = asyncio.create_task(test.app.ask_secret("Password of nvidia@10.0.0.7"))
        await test.wait_for(AskDialog)
        await test.pilot.press("escape")
        assert await asking == ""


async def test_a_board_that_takes_no_key_yet_is_logged_into_by_its_password(
    tmp_path: Path,
) -> None:
    said: list[str] = []

    class Fresh(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            said.append(password)
            return password == "nvidia"

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Fresh, server_host_keys=[host_key]
    ) as server:
        port = server.get_port()
        known = tmp_path / "known"
        public = host_key.export_public_key().decode().strip()
        known.write_text(f"[127.0.0.1]:{port} {public}\n")
        spec = DeviceSpec("new", Target("127.0.0.1", "nvidia", port))
        plan = FleetPlan([spec], ssh=Ssh(known_hosts=str(known), config_file="none"))
        app = CoheteApp(Launch(plan, setup=True, read_only=True))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(lambda: isinstance(app.screen, AskDialog))
            await until(lambda: f"Password of nvidia@127.0.0.1:{port}" in text_of(app))
            await settle(pilot)
            await pilot.press(*"nvidia", "enter")
            # It serves nothing: the board is tried again, and asks again.
            await until(lambda: said[:1] == ["nvidia"])
            assert any(isinstance(screen, SetupScreen) for screen in app.screen_stack)
