"""The network of a simulated board: addresses, NetworkManager, and the way back to the lease."""

from __future__ import annotations

import itertools
import json
import zlib
from uuid import NAMESPACE_DNS, uuid5

from cohete.simulator.board import SimBoard
from cohete.simulator.disk import SimProfile
from cohete.simulator.shell import Context, Program

LEASED = "11111111-2222-3333-4444-555555555555"
"""The profile that takes whatever address it is lent."""


NOTHING = "-"
"""In use where the profile that was has been deleted: the board is nowhere."""


def uuid_of(profile: str) -> str:
    """The same for the same name."""
    return str(uuid5(NAMESPACE_DNS, profile))


def profile_of(board: SimBoard, word: str) -> str:
    """The name of a profile that is named by its name or its uuid; empty is the lease."""
    by_uuid = {LEASED: ""} | {uuid_of(each): each for each in board.profiles}
    return by_uuid.get(word, word)


def leased(board: SimBoard) -> str:
    """The address it was lent, with its prefix."""
    number = zlib.crc32(board.name.encode())
    return f"10.42.{number >> 8 & 255}.{number & 254 | 1}/24"


def _active(board: SimBoard) -> SimProfile | None:
    return board.profiles.get(board.active_profile)


async def ip(context: Context, argv: list[str]) -> int:
    """`ip -j address`: the USB bridge, its ports, a cable, a radio that is off; and routes."""
    if argv[1] != "-j" or argv[2] not in ("address", "route"):
        context.complain("ip: only -j address and -j route are here")
        return 1
    if argv[2] == "route":
        gateway = leased(context.board).rpartition(".")[0] + ".254"
        context.say(json.dumps([{"dst": "default", "gateway": gateway, "dev": "eth0"}]))
        return 0
    number = zlib.crc32(context.board.name.encode())
    now = _active(context.board)
    host, _, prefix = (now.address if now is not None else leased(context.board)).partition("/")
    found: list[dict[str, object]] = []
    for name, state, addresses in (
        ("lo", "UNKNOWN", [("127.0.0.1", 8)]),
        ("l4tbr0", "UP", [("192.168.55.1", 24), ("fe80::1", 128)]),
        ("usb0", "UP", []),
        ("rndis0", "UP", []),
        ("eth0", "UP", [] if context.board.active_profile == NOTHING else [(host, int(prefix))]),
        ("wlan0", "DOWN", []),
    ):
        up = ["LOWER_UP"] if state == "UP" else []
        found.append(
            {
                "ifname": name,
                "flags": ["BROADCAST", "MULTICAST", *up],
                "operstate": state,
                "link_type": "loopback" if name == "lo" else "ether",
                "address": f"48:b0:2d:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:01",
                "addr_info": [
                    {"family": "inet6" if ":" in local else "inet", "local": local,
                     "prefixlen": bits, "dynamic": name == "eth0" and now is None}
                    for local, bits in addresses
                ],
            }
        )  # fmt: skip
    context.say(json.dumps(found))
    return 0


async def nmcli(context: Context, argv: list[str]) -> int:
    """Devices, profiles and which is in use; one more is added, used, kept, deleted."""
    board, words = context.board, argv[1:]
    if words[-2] == "ifname":
        words = words[:-2]
    name = words[-1]
    if words[-2:] == ["device", "status"]:
        context.say("eth0:ethernet:connected\nl4tbr0:bridge:unmanaged\nwlan0:wifi:disconnected")
    elif words[-2:] == ["device", "show"]:
        gateway = leased(board).rpartition(".")[0] + ".254"
        context.say(f"GENERAL.DEVICE:eth0\nIP4.GATEWAY:{gateway}\nIP4.DNS[1]:{gateway}")
        context.say("\nGENERAL.DEVICE:wlan0\nIP4.GATEWAY:")
    elif words[-2:] == ["connection", "show"]:
        used = _active(board) is not None
        context.say(f"Wired connection 1:{LEASED}:{'' if used else 'eth0'}:yes")
        for each, profile in board.profiles.items():
            where = "eth0" if each == board.active_profile else ""
            context.say(f"{each}:{uuid_of(each)}:{where}:{'yes' if profile.is_kept else 'no'}")
    elif words == ["-g", "UUID", "connection", "show"]:
        context.say("\n".join([LEASED, *(uuid_of(each) for each in board.profiles)]))
    elif words[-3:-1] == ["show", "uuid"] and words[0] == "-t":
        _tell(context, profile_of(board, name))
    elif words[0] == "-g":
        name = profile_of(board, name)
        if name == "":
            context.say("activated\neth0" if board.active_profile == "" else "")
            return 0
        if name not in board.profiles:
            context.complain(f"Error: {name} - no such connection profile.")
            return 10
        context.say("activated\neth0" if board.active_profile == name else "")
    elif not context.root:
        context.complain("Error: Insufficient privileges.")
        return 1
    elif words[1] == "add":
        given = dict(itertools.pairwise(words))
        board.profiles[given["con-name"]] = SimProfile(given["ipv4.addresses"])
    elif words[1] == "up":
        board.active_profile = profile_of(board, name)
    elif words[1] == "modify" and words[3] in board.profiles:
        board.profiles[words[3]].is_kept = True
    else:
        gone = profile_of(board, name)
        if board.profiles.pop(gone, None) is None:
            context.complain(f"Error: unknown connection '{name}'.")
            return 10
        if board.active_profile == gone:
            # Its address goes with it, and nobody takes up another one.
            board.active_profile = NOTHING
    return 0


def _tell(context: Context, name: str) -> None:
    """What a profile asks for."""
    profile = context.board.profiles.get(name)
    uuid = LEASED if profile is None else uuid_of(name)
    method, address = ("auto", "") if profile is None else ("manual", profile.address)
    context.say(
        f"connection.uuid:{uuid}\nconnection.id:{name or 'Wired connection 1'}\n"
        "connection.type:802-3-ethernet\n802-3-ethernet.mac-address:\n"
        "connection.interface-name:\nconnection.timestamp:1700000000\n"
        f"ipv4.method:{method}\nipv4.addresses:{address}"
    )


async def xargs(context: Context, argv: list[str]) -> int:
    """`xargs -r -n 1 nmcli ...`: once for each word that comes in."""
    if argv[1:5] != ["-r", "-n", "1", "nmcli"]:
        context.complain("xargs: only -r -n 1 nmcli is here")
        return 1
    status = 0
    for word in (await context.stdin.read_all()).split():
        status = await nmcli(context, [*argv[4:], word.decode()]) or status
    return status


async def printenv(context: Context, argv: list[str]) -> int:
    """Only where the connection comes from."""
    now = _active(context.board)
    host = (now.address if now is not None else leased(context.board)).partition("/")[0]
    context.say(f"10.42.0.1 50000 {host} 22")
    return 0


NETWORK: dict[str, Program] = {"ip": ip, "nmcli": nmcli, "printenv": printenv, "xargs": xargs}
