"""A board gets an address of its own and is never lost by it: tried, kept, or given back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.clock import ManualClock, SystemClock
from cohete.config.loading import check
from cohete.config.schema import Ssh
from cohete.config.spec import DeviceSpec
from cohete.config.target import Target
from cohete.control.applying import Control
from cohete.control.audit import AuditLog
from cohete.control.change import Action, Sections
from cohete.control.gate import Gate
from cohete.control.outcome import Outcome, Result
from cohete.errors import ChangeRefused, LinkError
from cohete.links.base import Completed
from cohete.links.commands import MARK, Probe, probe_script, split_sections
from cohete.links.opener import make_opener
from cohete.links.reopening import ReopeningLink
from cohete.links.ssh import SshConnector, SshFiles
from cohete.provision.network import SetAddress
from cohete.provision.turning import ROLLBACK_S
from cohete.provision.undo import undo_of
from cohete.provision.usb import UsbNetwork
from cohete.simulator.board import SimBoard
from cohete.simulator.network import NOTHING, leased
from cohete.simulator.programs import PROGRAMS
from cohete.simulator.shell import Context, empty_pipe, run_argv
from tests.boards import simulated
from tests.cli.test_commands import run_async
from tests.openssh import openssh

SPEC = DeviceSpec("cam", Target("10.42.0.9", "nvidia"))


class Skipping(ManualClock):
    """Whoever sleeps is awake at once, that much later."""

    async def sleep(self, seconds: float) -> None:
        self.step(seconds)
        await asyncio.sleep(0)


class Patient(Skipping):
    """The same time for the board, on which nothing takes too long."""

    def __init__(self, other: Skipping) -> None:
        super().__init__()
        self._other = other

    def monotonic(self) -> float:
        return self._other.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Cable:
    """Commands reach the simulated board only at the address that it has, if that is plugged in."""

    def __init__(self, board: SimBoard, *, blocked: Sequence[str] = ()) -> None:
        self.board = board
        self.host = self.first = leased(board).partition("/")[0]
        self.blocked = blocked
        self.moves: list[str] = []
        self.cut_at: int | None = None
        self.commands = 0

    async def move(self, host: str) -> None:
        self.moves.append(host)
        self.host = host or self.first

    async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        self.board.advance()
        profile = self.board.profiles.get(self.board.active_profile)
        address = profile.address if profile is not None else leased(self.board)
        if self.board.active_profile == NOTHING:
            raise LinkError("no route to host")
        if self.host != address.partition("/")[0] or self.host in self.blocked:
            raise LinkError("no route to host")
        if not any(MARK in word for word in argv):
            self.commands += 1
            if self.commands - 1 == self.cut_at:
                raise LinkError("the connection was lost")
        out, err = bytearray(), bytearray()
        context = Context(self.board, True, out.extend, err.extend, empty_pipe(), {})
        words = [*argv]
        if words[:3] == ["sudo", "-n", "--"]:
            words = words[3:]
        status = await run_argv(words, context, PROGRAMS)
        return Completed(status, bytes(out), bytes(err))


def wired(tmp_path: Path, **kept: Sequence[str]) -> tuple[Control, Cable]:
    clock = Skipping()
    board = SimBoard("cam", "orin-nano-8gb", Patient(clock))
    return Control(Gate(), AuditLog(tmp_path / "state", clock), clock), Cable(board, **kept)


async def apply(control: Control, cable: Cable, action: Action) -> Result:
    return await control.apply(SPEC, cable, action)


@pytest.mark.claim("PS-08")
async def test_the_address_it_has_becomes_its_own(tmp_path: Path) -> None:
    control, cable = wired(tmp_path)
    now = leased(cable.board)
    change = await control.look(SPEC, cable, SetAddress())
    assert (change.before, change.moves_to) == (f"eth0 {now}, leased", "")
    result = await apply(control, cable, SetAddress())
    assert result.outcome is Outcome.DONE, result
    assert [each.is_kept for each in cable.board.profiles.values()] == [True]
    assert cable.board.timers == {}
    assert (await apply(control, cable, SetAddress())).outcome is Outcome.ALREADY
    cable.board.reboot()
    assert (await apply(control, cable, SetAddress())).outcome is Outcome.ALREADY


@pytest.mark.claim("PS-08")
@pytest.mark.parametrize("move", [False, True])
async def test_it_is_taken_back_as_carefully(tmp_path: Path, move: bool) -> None:
    control, cable = wired(tmp_path)
    lent = leased(cable.board).partition("/")[0]
    host = f"{lent.rpartition('.')[0]}.77" if move else lent
    action = SetAddress(address=f"{host}/24") if move else SetAddress()
    undo = undo_of(action)
    assert undo is not None
    assert (await apply(control, cable, undo)).outcome is Outcome.ALREADY
    assert (await apply(control, cable, action)).outcome is Outcome.DONE
    cable.first = host
    change = await control.look(SPEC, cable, undo)
    assert change.moves_to == (lent if move else "")
    assert (f"reached at {lent} only" in str(change.notes)) is move
    if move:
        # Nobody lends it that address any more: it stays reached where it is.
        cable.blocked = (lent,)
        result = await apply(control, cable, undo)
        assert result.outcome is Outcome.UNCHANGED, result
        assert (cable.host, cable.board.profiles[cable.board.active_profile].is_kept) == (
            host, True
        )  # fmt: skip
        cable.blocked = ()
    assert (await apply(control, cable, undo)).outcome is Outcome.DONE
    assert (cable.host, cable.board.profiles, cable.board.active_profile) == (lent, {}, "")
    assert cable.board.timers == {}
    cable.first = lent
    assert (await apply(control, cable, undo)).outcome is Outcome.ALREADY


@pytest.mark.claim("PS-08")
async def test_another_address_is_followed(tmp_path: Path) -> None:
    control, cable = wired(tmp_path)
    wanted = leased(cable.board).rpartition(".")[0] + ".77"
    lent = cable.host
    result = await apply(control, cable, SetAddress(address=f"{wanted}/24"))
    assert result.outcome is Outcome.DONE, result
    assert cable.host == wanted
    assert cable.board.timers == {}
    # And again: the board never lives on what is deleted.
    for last in (78, 79, 78):
        cable.first, host = cable.host, f"{wanted.rpartition('.')[0]}.{last}"
        result = await apply(control, cable, SetAddress(address=f"{host}/24"))
        assert result.outcome is Outcome.DONE, result
        # Its name tells what was lent before, over all moves.
        assert list(cable.board.profiles) == [f"cohete-eth0-{host}-was-{lent}"]
    cable.first, cable.blocked = cable.host, [wanted]
    result = await apply(control, cable, SetAddress(address=f"{wanted}/24"))
    assert result.outcome is Outcome.UNCHANGED, result
    assert cable.host == host
    cable.board.reboot()
    assert cable.board.active_profile == f"cohete-eth0-{host}-was-{lent}"


@pytest.mark.claim("PS-08")
async def test_a_try_that_was_left_is_kept_by_whoever_comes_next(tmp_path: Path) -> None:
    control, cable = wired(tmp_path)
    wanted = leased(cable.board).rpartition(".")[0] + ".77"
    stopped = asyncio.Event()

    class Leaving(Cable):
        async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
            if "modify" in argv:
                stopped.set()
                await asyncio.Event().wait()
            return await super().run(argv, timeout_s=timeout_s)

    leaving = Leaving(cable.board)
    action = SetAddress(address=f"{wanted}/24")
    running = asyncio.create_task(apply(control, leaving, action))
    await stopped.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    cable.host = cable.first = wanted
    change = await control.look(SPEC, cable, action)
    assert (change.is_done, change.before) == (False, f"eth0 {wanted}/24, on trial")
    assert (await apply(control, cable, action)).outcome is Outcome.DONE
    await control.clock.sleep(ROLLBACK_S + 1)
    cable.board.advance()
    assert (await apply(control, cable, action)).outcome is Outcome.ALREADY


@pytest.mark.claim("PS-08")
async def test_one_that_nobody_reaches_goes_back_by_itself(tmp_path: Path) -> None:
    board = wired(tmp_path)[1].board
    wanted = leased(board).rpartition(".")[0] + ".77"
    control, cable = wired(tmp_path, blocked=[wanted])
    begun = control.clock.monotonic()
    result = await apply(control, cable, SetAddress(address=f"{wanted}/24"))
    assert result.outcome is Outcome.UNCHANGED, result
    assert "reach it there: no route to host" in result.words
    assert cable.host == leased(cable.board).partition("/")[0]
    assert cable.board.active_profile == ""
    assert [each.is_kept for each in cable.board.profiles.values()] == [False]
    assert ROLLBACK_S <= control.clock.monotonic() - begun < ROLLBACK_S + 60
    # It is begun anew once whatever was in the way is gone.
    cable.blocked = ()
    assert (await apply(control, cable, SetAddress(address=f"{wanted}/24"))).outcome is Outcome.DONE


@pytest.mark.claim("PS-08")
@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("move", [False, True])
async def test_a_cut_while_it_is_taken_back_leaves_a_board_that_is_reached(
    tmp_path: Path, at: int, move: bool
) -> None:
    control, cable = wired(tmp_path)
    lent = leased(cable.board).partition("/")[0]
    host = f"{lent.rpartition('.')[0]}.77" if move else lent
    action = SetAddress(address=f"{host}/24") if move else SetAddress()
    undo = undo_of(action)
    assert undo is not None
    assert (await apply(control, cable, action)).outcome is Outcome.DONE
    cable.cut_at, cable.first = cable.commands + at, host
    result = await apply(control, cable, undo)
    if not result.outcome.is_well:
        await control.clock.sleep(ROLLBACK_S + 1)
        cable.board.advance()
        # Where it is now is one of the two that are known.
        cable.first = host if cable.board.active_profile else lent
        await cable.move("")
        again = await apply(control, cable, undo)
        assert again.outcome.is_well, (at, result, again)
    assert cable.board.profiles == {}


@pytest.mark.claim("PS-08")
@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("move", [False, True])
async def test_a_cut_at_any_command_leaves_a_board_that_is_reached(
    tmp_path: Path, at: int, move: bool
) -> None:
    control, cable = wired(tmp_path)
    host = leased(cable.board).rpartition(".")[0] + ".77"
    action = SetAddress(address=f"{host}/24") if move else SetAddress()
    cable.cut_at = at
    result = await apply(control, cable, action)
    if not result.outcome.is_well:
        # Whoever comes by later finds it where it was before.
        await control.clock.sleep(ROLLBACK_S + 1)
        await cable.move("")
        again = await apply(control, cable, action)
        assert again.outcome.is_well, (at, result, again)


@pytest.mark.claim("PS-08")
async def test_power_that_goes_in_the_middle_takes_the_try_with_it(tmp_path: Path) -> None:
    control, cable = wired(tmp_path)
    host = leased(cable.board).rpartition(".")[0] + ".77"
    cable.blocked = [host]
    cable.board.on_reboot = lambda: None
    running = asyncio.create_task(apply(control, cable, SetAddress(address=f"{host}/24")))
    while not cable.board.active_profile:
        await asyncio.sleep(0)
    cable.board.reboot()
    result = await running
    assert result.outcome is Outcome.UNCHANGED
    assert cable.board.profiles == {}


async def test_a_connection_that_cannot_follow_is_told_before_anything_runs(tmp_path: Path) -> None:
    control, cable = wired(tmp_path)

    class Fixed:
        async def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
            return await cable.run(argv, timeout_s=timeout_s)

    host = leased(cable.board).rpartition(".")[0] + ".77"
    result = await control.apply(SPEC, Fixed(), SetAddress(address=f"{host}/24"))
    assert result.outcome is Outcome.REFUSED
    assert "`cohete provision` and `cohete setup` can" in result.words
    assert cable.board.timers == {}
    assert (await control.apply(SPEC, Fixed(), SetAddress())).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"address": "10.0.0.7"}, "is no address of a board"),
        ({"address": "10.0.0.0/24"}, "is no address of a board"),
        ({"address": "10.0.0.255/24"}, "is no address of a board"),
        ({"address": "127.0.0.1/8"}, "is no address of a board"),
        ({"address": "10.0.0.7/33"}, "is no address"), ({"address": "fe80::1/64"}, "is no address"),
        ({"interface": "eth0; reboot"}, "is no name of an interface"),
        ({"gateway": "10.0.0"}, "is no IPv4 address"), ({"dns": ("one",)}, "is no IPv4 address"),
    ],
)  # fmt: skip
def test_wishes_that_are_none(wish: dict[str, str], words: str) -> None:
    with pytest.raises(ChangeRefused, match=words):
        SetAddress(**wish)  # type: ignore[arg-type]


ADDRESSES = [
    {"ifname": "eth0", "addr_info": [{"local": "10.0.0.57", "prefixlen": 24, "dynamic": True}]},
    {"ifname": "wlan0", "addr_info": [{"local": "10.1.0.5", "prefixlen": 24, "dynamic": True}]},
    {"ifname": "eth1", "addr_info": []},
]
WIRED = "Wired: 1:11111111-2222-3333-4444-555555555555:eth0:yes"
OWN = "cohete-eth0-10.0.0.57:21111111-2222-3333-4444-555555555555:eth0:yes"
SAID: Sections = {
    "net_here": b"10.0.0.1 50000 10.0.0.57 22",
    "net_addresses": json.dumps(ADDRESSES).encode(),
    "net_details": b"GENERAL.DEVICE:wlan0\nIP4.GATEWAY:10.1.0.1\n\nGENERAL.DEVICE:eth0\n"
    b"IP4.GATEWAY:10.0.0.1\nIP4.DNS[1]:10.0.0.1\nIP4.DNS[2]:9.9.9.9\n",
    "net_devices": b"eth0:ethernet:connected\nwlan0:wifi:connected\neth1:ethernet:unavailable",
    "net_profiles": WIRED.encode(),
}


def test_what_runs_is_what_is_known_of_the_board() -> None:
    lines = SetAddress().plan("cam", SAID).lines
    assert any("ipv4.gateway 10.0.0.1 ipv4.dns 10.0.0.1,9.9.9.9" in line for line in lines)
    # The way back comes before the address, and goes away last.
    words = ("stop cohete-net-back", "--unit=cohete-net-back", "delete", "add save no",
             "--unit=cohete-net-up", "GENERAL.STATE", "modify", "stop cohete-net-back")  # fmt: skip
    assert all(word in line for word, line in zip(words, lines, strict=True))
    assert "--on-active=90 --timer-property=AccuracySec=1s" in lines[1]
    # Another port may have taken that profile up meanwhile.
    assert lines[1].endswith("up uuid 11111111-2222-3333-4444-555555555555 ifname eth0")


OTHER, OFFICE, LAB = (f"{n}1111111-2222-3333-4444-555555555555" for n in (3, 4, 5))


def way(uuid: str, used: int = 0, interface: str = "", mac: str = "", method: str = "auto") -> str:
    """What NetworkManager says of a profile."""
    return (
        f"connection.uuid:{uuid}\nconnection.id:{uuid[0]}\nconnection.type:802-3-ethernet\n"
        f"connection.interface-name:{interface}\nconnection.timestamp:{used}\n"
        f"802-3-ethernet.mac-address:{mac}\nipv4.method:{method}\n"
        f"ipv4.addresses:{'10.0.0.9/24' if method == 'manual' else ''}\n"
    )


@pytest.mark.parametrize(
    ("profiles", "ways", "back"),
    [
        # The one used last, wherever it is bound.
        ("", way(OTHER, 5) + way(OFFICE, 9) + way(LAB, 0, "eth0"), OFFICE),
        ("", way(OTHER, 5, "eth0") + way(OFFICE, 9, "eth1"), OTHER),
        ("", way(OTHER, 5) + way(OFFICE, 9, mac=r"48\:B0\:2D\:00\:00\:01"), OFFICE),
        ("", way(OTHER, 5) + way(OFFICE, 9, mac=r"48\:B0\:2D\:00\:00\:02"), OTHER),
        # One that is in use elsewhere, does not start, lends addresses itself or has none.
        (f"o:{OFFICE}:eth1:yes", way(OTHER, 5) + way(OFFICE, 9), OTHER),
        (f"o:{OFFICE}::no", way(OTHER, 5) + way(OFFICE, 9), OTHER),
        ("", way(OTHER, 5) + way(OFFICE, 9, method="shared"), OTHER),
        ("", way(OTHER, 5) + way(OFFICE, 9, method="disabled"), OTHER),
        ("", way(OTHER, 5) + way(OFFICE, 9, method="manual"), OFFICE),
        # None at all: one is made.
        ("", "", ""), (f"o:{OFFICE}:eth1:yes", way(OFFICE, 9), ""),
    ],
)  # fmt: skip
def test_the_profile_gone_back_to(profiles: str, ways: str, back: str) -> None:
    entry = {"ifname": "eth0", "address": "48:b0:2d:00:00:01",
             "addr_info": [{"local": "10.0.0.57", "prefixlen": 24}]}  # fmt: skip
    known = [OWN, profiles, *(f"x:{uuid}::yes" for uuid in (OTHER, OFFICE, LAB)
                              if uuid not in profiles)]  # fmt: skip
    said = {**SAID, "net_addresses": json.dumps([entry]).encode(),
            "net_profiles": "\n".join(known).encode(), "net_ways": ways.encode()}  # fmt: skip
    undo = undo_of(SetAddress())
    assert undo is not None
    change = undo.plan("cam", said)
    used = next(line for line in change.lines if "--unit=cohete-net-up" in line)
    wanted = f"uuid {back}" if back else "id eth0-lent"
    assert used.endswith(f"connection up {wanted} ifname eth0")
    assert any("add save no" in line for line in change.lines) is (not back)
    assert change.moves_to == ("10.0.0.9" if "manual" in ways else "")
    # Gone only once the board lives on the other, on this very interface.
    assert f"GENERAL.STATE,GENERAL.DEVICES connection show {wanted}" in change.lines[-2]
    done = change.steps[-2].verdict
    assert done(Completed(0, b"activated\neth0\n", b"")).ok
    assert not done(Completed(0, b"activated\neth1\n", b"")).ok
    assert not done(Completed(0, b"activating\neth0\n", b"")).ok


def test_profiles_of_a_person_and_of_another_interface_stay() -> None:
    undo = undo_of(SetAddress())
    assert undo is not None
    # The last one is no name of an interface, and would reach a screen.
    names = ("cohete-eth0-office", "cohete-eth0", "cohete-x-1", "cohete-\x1b]0;x\x07-10.0.0.8")
    theirs = [f"{name}:{LAB}::yes" for name in names]
    said = {**SAID, "net_profiles": "\n".join([WIRED, *theirs]).encode()}
    assert undo.plan("cam", said).is_done
    lines = SetAddress().plan("cam", said).lines
    assert not any(LAB in line for line in lines)
    other = f"cohete-eth1-10.0.0.8-was-10.0.0.7-b:{LAB}:eth1:yes"
    said = {**SAID, "net_profiles": f"{WIRED}\n{other}".encode()}
    with pytest.raises(ChangeRefused, match="is of another interface than eth0"):
        undo.plan("cam", said)


FIXED = [{"ifname": "eth0", "addr_info": [{"local": "10.0.0.57", "prefixlen": 24}]}]


@pytest.mark.parametrize(
    ("profile", "wish", "done"),
    [
        (OWN, {}, True), (WIRED, {}, True), (OWN.replace(":yes", ":no"), {}, False),
        (OWN, {"gateway": "10.0.0.1"}, True), (OWN, {"gateway": "10.0.0.254"}, False),
        (OWN, {"dns": ("10.0.0.1", "9.9.9.9")}, True), (OWN, {"dns": ("9.9.9.9",)}, False),
    ],
)  # fmt: skip
def test_when_it_is_so_already(profile: str, wish: dict[str, str], done: bool) -> None:
    said = {**SAID, "net_addresses": json.dumps(FIXED).encode(), "net_profiles": profile.encode()}
    change = SetAddress(**wish).plan("cam", said)  # type: ignore[arg-type]
    assert change.is_done is done
    # What it lives on is not what is deleted first.
    assert not any("connection delete cohete-eth0-10.0.0.57\n" in f"{line}\n"
                   for line in change.lines)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "wish", "words"),
    [
        ({"net_here": b""}, {}, "the interface of this connection has no IPv4 address"),
        ({}, {"interface": "eth1"}, "eth1 has no IPv4 address"),
        ({}, {"interface": "wlan0"}, "wlan0 is wifi, connected"),
        ({"net_devices": b"sh: 1: nmcli: not found"}, {}, "NetworkManager does not know eth0"),
        ({"net_devices": b"eth0:ethernet:unmanaged"}, {}, "eth0 is ethernet, unmanaged"),
        ({"net_profiles": b""}, {}, "no profile of eth0 is active"),
        ({}, {"address": "10.9.0.7/24"}, "the gateway 10.0.0.1 is not in 10.9.0.0/24"),
    ],
)  # fmt: skip
def test_boards_on_which_it_cannot_be(
    said: dict[str, bytes], wish: dict[str, str], words: str
) -> None:
    with pytest.raises(ChangeRefused, match=words):
        SetAddress(**wish).plan("cam", {**SAID, **said})  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted({*SAID, "usb_unit"})), st.binary(max_size=80)))
def test_whatever_a_board_says_is_a_change_or_a_refusal(said: dict[str, bytes]) -> None:
    for action in (SetAddress(), SetAddress(address="10.0.0.9/24"), UsbNetwork()):
        try:
            change = action.plan("cam", {**SAID, **said})
        except ChangeRefused:
            continue
        assert change.is_done or change.steps


@pytest.mark.claim("PS-08")
@pytest.mark.parametrize(
    ("unit", "runs", "titles"),
    [
        (b"enabled", b"active", []), (b"disabled", b"active", ["at each start"]),
        (b"disabled", b"inactive", ["at each start", "now"]), (b"enabled", b"inactive", ["now"]),
        (b"Failed to get unit file state", b"inactive", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cable", [True, False])
def test_the_network_on_usb(
    unit: bytes, runs: bytes, titles: list[str] | None, cable: bool
) -> None:
    infos = [{"local": "192.168.55.1", "prefixlen": 24}] if cable else []
    entry = {"ifname": "l4tbr0", "addr_info": infos}
    said = {"net_addresses": json.dumps([entry]).encode(), "usb_unit": unit, "usb_runs": runs}
    if titles is None:
        with pytest.raises(ChangeRefused, match="has no nv-l4t-usb-device-mode"):
            UsbNetwork().plan("cam", said)
        return
    change = UsbNetwork().plan("cam", said)
    assert [step.title for step in change.steps] == titles
    assert ("no cable" in change.readings) is not cable


@pytest.mark.claim("PS-08", "AI-01")
async def test_from_yaml(tmp_path: Path) -> None:
    modules = ("orin-nano-8gb", "orin-nano-8gb")
    async with simulated(*modules, folder=tmp_path, sudo=True) as (fleet, _, specs):
        path = tmp_path / "cohete.yaml"
        text = path.read_text()
        network = f"provision: {{network: {{usb: true, addresses: {{{specs[0].id}: keep}}}}}}\n"
        path.write_text(network + text)
        status, out, err = await run_async("provision", specs[0].id, "--config", str(path), "--yes")
        assert status == 0, (out, err)
        board = next(iter(fleet.hosts.values())).board
        assert [each.is_kept for each in board.profiles.values()] == [True]
        status, out, _ = await run_async("provision", specs[0].id, "--config", str(path), "--yes")
        assert (status, out.count("already so")) == (0, 4)
        # The name for ssh is of where the board is from then on.
        own, host = tmp_path / "ssh_config", leased(board)
        path.write_text(
            "provision: {ssh: {copy_id: false, config_host: cam}, "
            f"network: {{addresses: {{{specs[0].id}: {host}}}}}}}\n" + text
        )
        more = ("--config", str(path), "--yes", "--ssh-config", str(own))
        status, out, err = await run_async("provision", specs[0].id, *more)
        assert status == 0, (out, err)
        assert f"    HostName {host.partition('/')[0]}\n" in own.read_text()
        # A board without an address of its own is left alone, and that is no fault.
        status, out, err = await run_async("provision", specs[1].id, "--config", str(path), "--yes")
        assert (status, "no board is meant" in err) == (0, False), (out, err)
        assert not list(fleet.hosts.values())[1].board.profiles
    config, errors = check("provision: {network: {addresses: {nobody: keep}}}", "cohete.yaml")
    assert config is None
    assert "no device is called 'nobody'" in str(errors[0])


async def test_a_link_that_follows_knows_the_board_by_the_key_it_had(tmp_path: Path) -> None:
    with openssh(tmp_path / "board", extra="ListenAddress 127.0.0.2") as server:
        known = tmp_path / "known"
        known.write_text(server.known_hosts)
        connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
        opener = make_opener(connector, SystemClock())
        async with ReopeningLink(opener, server.spec()) as link:
            for host in ("", "127.0.0.2", ""):
                await link.move(host)
                done = await link.run(("printenv", "SSH_CONNECTION"), timeout_s=20)
                assert done.stdout.decode().split()[2] == (host or "127.0.0.1")
        known.write_text(server.known_hosts.replace("AAAAC3", "AAAAC4"))
        async with ReopeningLink(opener, server.spec()) as link:
            await link.move("127.0.0.2")
            with pytest.raises(LinkError):
                await link.run(("true",), timeout_s=20)
        await connector.close()


def test_a_board_of_any_language_is_read_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    argv = ("sh", "-c", probe_script((Probe("language", ("printenv", "LC_ALL")),)))
    done = subprocess.run(argv, capture_output=True, check=True)
    assert split_sections(done.stdout) == {"language": b"C"}
