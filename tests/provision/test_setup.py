"""Setting up by questions on the command line, and what is written in the end."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.config.devices import specs_from_config
from cohete.config.loading import check, load
from cohete.config.schema import Config, Device, Fleet, Nvme, Provision, Zram
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.config.writing import text_of, with_device, write_new
from cohete.control.change import Change
from cohete.device.identity import Facts
from cohete.errors import ChangeRefused, ConfigError
from cohete.provision.here import ConfigFile, SshHost, config_for
from cohete.provision.record import SetupRecord
from cohete.provision.setup import FEATURES, RIGHTS, Wishes, sudo_rules
from cohete.provision.sshconfig import HostEntry, with_entry, without_entry
from cohete.provision.sudo import FILE, READ_RULE, InstallSudoRules
from cohete.provision.undo import undo_of
from cohete.simulator.disk import SimProfile
from tests.boards import simulated
from tests.cli.test_commands import run, run_async

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Configurations with all sorts of what may be set, and left."""
    ids = draw(st.lists(NAMES, max_size=4, unique_by=str.casefold))
    devices = [
        Device.model_validate(
            {"id": name}
            | draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "ip": st.ip_addresses().map(str),
                        "port": st.integers(1, 65535) | st.none(),
                        "sudo": st.booleans(),
                        "memory_budget_mb": st.integers(64, 1_048_576),
                        "interval_ms": st.integers(100, 60_000) | st.none(),
                        "tags": st.lists(NAMES, max_size=3),
                    },
                )
            ),
        )
        for name in ids
    ]
    fields: dict[str, object] = {"version": "1.0"}
    if draw(st.booleans()):
        fields["fleet"] = Fleet(name=draw(TEXT), devices=devices)
    if draw(st.booleans()):
        fields["provision"] = Provision(
            nvme=draw(st.none() | st.builds(Nvme, swap_size_gb=st.integers(0, 512))),
            zram=draw(st.none() | st.builds(Zram, priority=st.integers(-1, 32767))),
            packages=draw(st.lists(st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,12}", fullmatch=True))),
        )
    return Config(**fields)  # type: ignore[arg-type]


@pytest.mark.claim("PS-02")
@given(configs(), TEXT)
def test_what_is_written_is_what_is_read(config: Config, comment: str) -> None:
    text = text_of(config, {"fleet": comment})
    again, errors = check(text, "cohete.yaml")
    assert errors == []
    assert again == config
    # What was set stays set: some of it means more than its default.
    assert again is not None
    assert again.model_dump(exclude_unset=True) == config.model_dump(exclude_unset=True)


@pytest.mark.claim("PS-02")
@pytest.mark.parametrize(
    ("memory_mb", "budget_mb"), [(7_607, 5_559), (62_795, 54_603), (11_000, 8_250), (None, 6_000)]
)
@pytest.mark.parametrize("host", ["10.0.0.7", "fe80::1%eth0", "cam.local"])
def test_the_board_as_it_will_be_watched(host: str, memory_mb: int | None, budget_mb: int) -> None:
    spec = DeviceSpec("x", Target(host, "nvidia"))
    config = config_for(spec, Facts(memory_total_mb=memory_mb))
    again, errors = check(text_of(config), "cohete.yaml")
    assert errors == []
    assert again is not None
    (device,) = again.fleet.devices
    assert (device.host, device.user, device.port) == (host, "nvidia", None)
    assert (device.memory_budget_mb, device.thermal_policy) == (budget_mb, "conservative")


@given(configs())
def test_a_device_is_added_and_every_other_byte_stays(config: Config) -> None:
    text = text_of(config, {"fleet": "mine"}) + "# the end\n"
    taken = {device.id for device in config.fleet.devices}
    device = Device(id=next(f"new{nth}" for nth in range(9) if f"new{nth}" not in taken), ip="::1")
    if not config.fleet.devices:
        with pytest.raises(ConfigError, match="cannot be added to it"):
            with_device(text, "cohete.yaml", device)
        return
    changed = with_device(text, "cohete.yaml", device)
    again, errors = check(changed, "cohete.yaml")
    assert errors == []
    assert again is not None
    assert again.fleet.devices == [*config.fleet.devices, device]
    old, new = text.splitlines(), changed.splitlines()
    at = next(nth for nth, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    assert old[:at] + old[at:] == new[:at] + new[at + len(new) - len(old) :]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fleet:\n  devices:\n  - id: a # it\n  # last\n\nwatch: {interval_ms: 500}\n", 4),
        ("fleet:\n    devices:\n        - id: a\n          tags:\n              - x", 6),
        ("fleet:\n  devices:\n    - id: a\n      host: h\t# mine\n", 5),
        ("fleet:\n  devices:\n    - {id: a,\n       ip: 10.0.0.1}\n  name: x\n", 5),
    ],
)
def test_where_a_device_is_added(text: str, line: int) -> None:
    changed = with_device(text, "x", Device(id="new", host="h")).splitlines()
    margin = " " * (len(changed[2]) - len(changed[2].lstrip()))
    assert changed[line - 1 : line + 1] == [f"{margin}- id: new", f"{margin}  host: h"]


CONFIGS = st.lists(
    st.sampled_from(["Host a", "  User x", "# mine", "", "Match all", "Include more", "\tPort 2"])
).map("\n".join)


@given(CONFIGS, st.sampled_from(["\n", ""]))
def test_a_host_that_was_added_is_taken_back(text: str, end: str) -> None:
    old = (text + end).encode()
    entry = HostEntry("jetson", "10.0.0.7", "nvidia", 2222, "/my key")
    again = without_entry(with_entry(old, entry), entry)
    assert again in (old, old + b"\n")
    with pytest.raises(ConfigError, match="has no host jetson as it was written"):
        without_entry(old, entry)


def test_a_board_that_ssh_knows_by_a_name_of_its_own(tmp_path: Path) -> None:
    ssh = tmp_path / "config"
    ssh.write_text("Host bench\n  HostName 10.0.0.7\n  Port 2222\n  User jane\n")
    spec = DeviceSpec("bench", Target("bench"))
    assert SshHost(ssh, spec, "jetson").state() == (True, "ssh knows it as bench already")
    assert SshHost(ssh, DeviceSpec("x", Target("10.0.0.8")), "jetson").state()[0] is False
    # Neither its port nor its user is written over what ssh says.
    (device,) = config_for(spec, None).fleet.devices
    assert (device.host, device.port, device.user) == ("bench", None, None)


def test_it_is_reached_as_it_was(tmp_path: Path) -> None:
    spec = DeviceSpec(
        "cam", Target("10.0.0.7", "me", 2022), identity_file="/keys/cam",
        jumps=(Target("bastion", "me"), Target("inner", None, 2200)),
    )  # fmt: skip
    path = tmp_path / "cohete.yaml"
    path.write_text("fleet:\n  devices:\n  - id: cam\n    ip: 10.0.0.9\n")
    own = ConfigFile(path, spec, None)
    assert own.state()[0] is False
    assert "- id: cam-2" in "\n".join(own.shown)
    own.apply()
    assert own.state() == (True, f"{path} has it as cam-2")
    kept = specs_from_config(load(path), tmp_path)[1]
    assert (kept.target, kept.identity_file, kept.jumps) == (
        spec.target, spec.identity_file, spec.jumps,
    )  # fmt: skip


def rules(there: str, user: str = "nvidia", sudo: str = "") -> Change:
    said = {"rules": there.encode(), "user": user.encode(), "sudo": sudo.encode()}
    return of_features().plan("board", said)


def test_visudo_accepts_what_setting_up_needs(tmp_path: Path) -> None:
    visudo = shutil.which("visudo") or shutil.which("visudo", path="/usr/sbin:/sbin")
    if visudo is None:
        pytest.skip("no visudo on this machine (scripts/system-packages installs it)")
    file = tmp_path / "rules"
    wishes = Wishes(packages=("htop", "g++"), swap_gb=4, mount="/mnt/models")
    file.write_text(sudo_rules("jane", wishes))
    file.chmod(0o440)
    done = subprocess.run([visudo, "-cf", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rules_of_others_stay() -> None:
    whole = sudo_rules("nvidia", Wishes())
    assert rules(whole).is_done
    mine = "nvidia ALL=(root) NOPASSWD: /bin/systemctl stop inference.service"
    assert rules(f"# mine\n{mine}\n{whole}").is_done
    change = rules(f"# mine\n{mine}\n")
    assert change.before.endswith("rules are missing")
    assert mine in change.lines[0]
    assert rules(f"cat: {FILE}: No such file or directory").before == "not there"
    # Whoever is logged in, not whoever the address names.
    assert "jane ALL=" in rules("", "jane").lines[0]
    with pytest.raises(ChangeRefused, match="is no login name"):
        rules("", "me@corp")
    action = of_features()
    undo = undo_of(action)
    assert undo is not None
    said = {"user": b"nvidia", "sudo": b""}
    assert (
        "rm -f /etc/sudoers.d/cohete"
        in undo.plan("board", {**said, "rules": whole.encode()}).lines[0]
    )
    left = undo.plan("board", {**said, "rules": f"# mine\n{mine}\n{whole}".encode()})
    assert mine in left.lines[0]
    assert "nvpmodel" not in left.lines[0]
    assert undo.plan("board", {**said, "rules": mine.encode()}).is_done
    # Nobody may read the file any more: that is how it should be.
    gone = {**said, "rules": b"sudo: a password is required", "sudo": b"sudo: a password"}
    assert undo.plan("board", gone).is_done
    for odd in ("x\x1b]0;y", "long " * 20_000):
        with pytest.raises(ChangeRefused, match="too long to be written, or no text"):
            rules(odd)
    with pytest.raises(ChangeRefused, match="sudo wants a password there"):
        rules("sudo: a password is required", sudo="sudo: a password is required")


def of_features(*names: str, disk: str = "nvme0n1") -> InstallSudoRules:
    wishes = Wishes(disk=disk).with_choice("sudo", " ".join(names or FEATURES))
    return InstallSudoRules(lambda login: sudo_rules(login, wishes), (RIGHTS, *FEATURES))


def written(change: Change) -> str:
    """The drop-in that a change writes."""
    argv = shlex.split(change.lines[0])
    return "\n".join(argv)


def test_rules_are_those_of_the_features_wanted() -> None:
    text = sudo_rules("nvidia", Wishes().with_choice("sudo", "fan power"))
    assert [line for line in text.splitlines() if line.startswith("# ")][2:] == [
        "# rights: look at these lines", "# power: set the power mode",
        "# fan: hold the fan at a speed, give it back, set its profile",
        "# The end of Cohete's rules.",
    ]  # fmt: skip
    assert "apt-get" not in text
    assert READ_RULE in text
    assert Wishes().chosen("sudo") == "power clocks fan memory storage setup"
    for odd in ("", "power everything", "Power"):
        with pytest.raises(ChangeRefused, match=r"no feature") as caught:
            Wishes().with_choice("sudo", odd)
        assert "There are: power, clocks, fan, memory, storage, setup." in caught.value.hint


def test_rules_that_are_not_wanted_any_more_are_taken_out() -> None:
    mine = "nvidia ALL=(root) NOPASSWD: /bin/systemctl stop inference.service"
    whole = sudo_rules("nvidia", Wishes())
    said = {"rules": f"{whole}\n{mine}".encode(), "user": b"nvidia", "sudo": b""}
    assert of_features().plan("board", said).is_done
    narrow = of_features("power", "storage")
    change = narrow.plan("board", said)
    assert change.before.endswith(" are not wanted")
    text = written(change)
    assert (mine in text, "apt-get" in text, "jetson_clocks" in text) == (True, False, False)
    assert ("nvpmodel" in text, "nvme smart-log" in text) == (True, True)
    # Some are missing, and some are not wanted: both in one go.
    fan = sudo_rules("nvidia", Wishes().with_choice("sudo", "fan"))
    change = narrow.plan("board", said | {"rules": fan.encode()})
    assert "are missing" in change.before
    assert "are not wanted" in change.before
    assert "pwm1" not in written(change)
    assert "nvpmodel" in written(change)
    # A disk that is not meant any more.
    change = of_features(disk="nvme1n1").plan("board", said)
    assert "are not wanted" in change.before
    assert "nvme0n1" not in written(change).replace("nvme smart-log /dev/nvme0n1", "").replace(
        "smartctl -j -a /dev/nvme0n1", ""
    )
    # What `cohete sudoers services` put there is not of this setup, though it reads the same.
    stop = "nvidia ALL=(root) NOPASSWD: /bin/systemctl stop docker.service"
    drain = f"# services: hold and let go what is named\n{stop}\n"
    change = narrow.plan("board", said | {"rules": f"{whole}\n{drain}".encode()})
    assert stop in written(change)
    # Appended by hand, and another login's.
    jane = "jane ALL=(root) NOPASSWD: /usr/bin/nvme smart-log /dev/nvme0n1"
    both = whole.replace("# fan:", f"{jane}\n# fan:") + mine
    text = written(narrow.plan("board", said | {"rules": both.encode()}))
    assert (mine in text, jane in text, "pwm1" in text) == (True, True, False)
    # Taken back is all of it, whatever is wanted now.
    undo = undo_of(narrow)
    assert undo is not None
    left = written(undo.plan("board", said))
    assert mine in left
    assert "apt-get" not in left


SPEC = DeviceSpec("x", Target("192.168.55.1", "nvidia"))


def test_what_was_chosen_is_chosen_the_next_time(tmp_path: Path) -> None:
    record = SetupRecord(tmp_path, SPEC, Facts(serial="1"))
    record.skip("swap", "no")
    record.choose("sudo", "power")
    record.choose("disk", "nvme1n1")
    packages = " ".join(f"lib{nth}" for nth in range(90))
    record.choose("packages", packages)
    assert record.skipped() == {"swap": "no"}
    wishes = Wishes().with_choices(SetupRecord(tmp_path, SPEC, Facts(serial="1")).chosen())
    assert (wishes.features, wishes.disk) == (("power",), "nvme1n1")
    assert wishes.chosen("packages") == packages
    with pytest.raises(ConfigError, match="too many to be remembered"):
        record.choose("packages", packages * 9)
    # The next board has the same address on USB.
    other = SetupRecord(tmp_path, SPEC, Facts(serial="2"))
    assert (other.chosen(), other.skipped()) == ({}, {})
    # Of another time, or of somebody's hand.
    for step, text in (("disk", "sda; reboot"), ("sudo", "everything"), ("zram", "77")):
        other.choose(step, text)
    assert Wishes().with_choices(other.chosen()) == Wishes()


@pytest.mark.claim("PS-02", "PS-10")
def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cohete.yaml"
    text = text_of(Config(version="1.0"))
    write_new(path, text)
    assert load(path) == Config(version="1.0")
    path.write_text("# mine\n")
    with pytest.raises(ConfigError, match="there is one already"):
        write_new(path, text)
    assert path.read_text() == "# mine\n"
    assert [each.name for each in path.parent.iterdir()] == ["cohete.yaml"]
    with pytest.raises(ConfigError):
        write_new(tmp_path / "bad.yaml", "fleet: {devices: [{}]}\n")
    assert not (tmp_path / "bad.yaml").exists()


@given(st.dictionaries(TEXT, TEXT, max_size=4))
def test_reasons_are_kept(reasons: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        record = SetupRecord(Path(folder), SPEC, None)
        kept = {name[:32]: why for name, why in reasons.items()}
        for name, why in kept.items():
            record.skip(name, why)
        assert record.skipped() == kept
        assert SetupRecord(Path(folder), SPEC, Facts(serial="8")).skipped() == {}
        for name in kept:
            record.skip(name, None)
        assert record.skipped() == {}


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}', '{"version": 1, "skipped": 3}', "\0"])
def test_a_record_that_is_none(tmp_path: Path, text: str) -> None:
    record = SetupRecord(tmp_path, SPEC, None)
    record.skip("x", "y")
    (file,) = (tmp_path / "setup").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(text)
    assert record.skipped() == {}


@pytest.mark.claim("PS-01", "PS-02")
async def test_by_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, specs):
        board = next(iter(fleet.hosts.values())).board
        board.disk.has_system = False
        board.gpu_used_since_boot = False
        output = tmp_path / "own" / "cohete.yaml"
        argv = ("setup", specs[0].id, "--config", str(tmp_path / "cohete.yaml"), "--interactive",
                "--output", str(output))  # fmt: skip
        # ssh; rights, packages; the disk; zram, swap; swappiness; address; cohete.yaml.
        answers = ["y", "y", "y", "nvme0n1 64 GB", "y", "y", "y", "y", "y", "y"]
        typed = "".join(f"{each}\n" for each in answers).encode()
        status, out, err = await asyncio.to_thread(run, *argv, stdin=typed)
        assert "There is no public key here" in out
        assert "already so: 25W" in out
        assert board.disk.mount == "/mnt/nvme", (out, err)
        assert board.packages["htop"]
        assert load(output).fleet.devices[0].host == "127.0.0.1"
        # No key, and no CUDA: told, and counted.
        assert status == 1
        status, out, _ = await run_async(*argv, "--read-only")
        assert out.count("already so") == 11
    off = tmp_path / "off.yaml"
    off.write_text("fleet: {devices: [{id: a, ip: 10.0.0.1, enabled: false}]}")
    status, _, err = await run_async("setup", "a", "--config", str(off), "--interactive")
    assert (status, "a has enabled: false" in err) == (2, True)
    with_nothing = await run_async("setup", "10.0.0.1")
    assert with_nothing[0] == 2
    assert "Say --interactive" in with_nothing[2]


async def test_what_is_chosen_on_the_command_line_stays_chosen(tmp_path: Path) -> None:
    async with simulated("orin-nano-8gb", folder=tmp_path, sudo=True) as (fleet, _, specs):
        board = next(iter(fleet.hosts.values())).board
        argv = ("setup", specs[0].id, "--config", str(tmp_path / "cohete.yaml"), "--interactive")
        # Who only looks leaves nothing behind.
        status, out, _ = await run_async(*argv, "--read-only", "--feature", "clocks")
        assert "jetson_clocks" in out
        status, out, err = await run_async(*argv, "--read-only")
        assert "nvpmodel" in out
        more = ("--feature", "power", "--feature", "fan", "--swappiness", "5")
        status, out, err = await asyncio.to_thread(run, *argv, *more, stdin=b"n\n" * 20)
        assert "jetson_clocks" not in out, err
        status, out, _ = await run_async(*argv, "--read-only")
        assert ("nvpmodel" in out, "jetson_clocks" in out) == (True, False)
        assert "set swappiness to 5" in out
        status, _, err = await run_async(*argv, "--feature", "all")
        assert (status, "there is no feature 'all'" in err) == (2, True)
        assert "/etc/sudoers.d/cohete" not in board.written
        # And one step back.
        assert "Which of them were there" in (await run_async(*argv, "--undo", "packages"))[2]
        status, _, err = await run_async(*argv, "--undo", "nothing")
        assert (status, "docker" in err, "address" in err) == (2, True, True)
        board.profiles["cohete-eth0-10.42.0.7"] = SimProfile("10.42.0.7/24", is_kept=True)
        status, out, err = await asyncio.to_thread(run, *argv, "--undo", "address", stdin=b"y\n")
        assert (status, "remove" in out or "delete" in out) == (0, True), (out, err)
        assert board.profiles == {}
        # The words that a change shows are a command that works.
        status, _, err = await run_async(*argv[:-1], "--undo", "config")
        assert (status, "is yours by now" in err) == (2, True)
        status, out, _ = await run_async(*argv[:-1], "--undo", "address")
        assert (status, "by no profile of Cohete" in out) == (0, True)
