"""Network interfaces as iproute2 prints them, and whatever else a board may print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.interfaces import NetworkInterface, interfaces_from
from cohete_tui.panels import identity
from tests.boards import simulated, until, watched

GADGET = [
    {"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "operstate": "UNKNOWN",
     "link_type": "loopback", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
    {"ifname": "eth0", "flags": ["NO-CARRIER", "BROADCAST", "UP"], "operstate": "DOWN",
     "link_type": "ether", "address": "48:b0:2d:11:22:33", "addr_info": []},
    {"ifname": "l4tbr0", "flags": ["BROADCAST", "UP", "LOWER_UP"], "operstate": "UP",
     "link_type": "ether", "address": "f6:ab:70:1a:3d:02", "addr_info": [
        {"family": "inet", "local": "192.168.55.1", "prefixlen": 24, "scope": "global"},
        {"family": "inet6", "local": "fe80::1", "prefixlen": 128, "scope": "link"}]},
    {"ifname": "usb0", "flags": ["BROADCAST", "UP", "LOWER_UP"], "operstate": "UNKNOWN",
     "link_type": "ether", "master": "l4tbr0", "addr_info": []},
    {"ifname": "wlan0", "flags": ["BROADCAST", "UP"], "operstate": "DORMANT",
     "link_type": "ether", "addr_info": []},
]  # fmt: skip


@pytest.mark.claim("DDC-06")
def test_every_interface_with_address_and_state() -> None:
    found = interfaces_from(json.dumps(GADGET).encode())
    assert found == (
        NetworkInterface("eth0", "down", "48:b0:2d:11:22:33"),
        NetworkInterface("l4tbr0", "up", "f6:ab:70:1a:3d:02", ("192.168.55.1/24", "fe80::1/128")),
        NetworkInterface("usb0", "up"),
        NetworkInterface("wlan0", "dormant"),
    )


@pytest.mark.parametrize(
    "output",
    [b"", b"null", b"{}", b"[1]", b'[{"ifname": 3}]', b'Option "-j" is unknown', b"[" * 90_000,
     b'[{"ifname": "a", "addr_info": [{"local": "no"}, 4], "flags": 7}]'],
)  # fmt: skip
def test_nonsense_is_nothing(output: bytes) -> None:
    assert all(not each.addresses for each in interfaces_from(output))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["ifname", "flags", "operstate", "addr_info", "local", "address"]), inner
    ),
))  # fmt: skip
def test_nothing_raises(document: object) -> None:
    for each in interfaces_from(json.dumps([document]).encode()):
        assert each.name.isprintable()


@pytest.mark.claim("DDC-06")
async def test_shown_on_the_device_screen(tmp_path: Path) -> None:
    async with (
        simulated("orin-nano-8gb", folder=tmp_path) as (_, config, specs),
        watched(config, specs) as session,
    ):
        (device,) = session.store
        await until(lambda: device.facts is not None)
        assert device.facts is not None
        names = [each.name for each in device.facts.interfaces]
        assert names == ["l4tbr0", "usb0", "rndis0", "eth0", "wlan0"]
        by_name = {each.name: each for each in device.facts.interfaces}
        assert by_name["l4tbr0"].addresses[0] == "192.168.55.1/24"
        assert not by_name["wlan0"].is_up
        lines = ["".join(text for text, _ in line) for line in identity(device, 0.0, 60, {})]
        assert any(line.split() == ["network", "l4tbr0", "192.168.55.1/24", "fe80::1/128"]
                   for line in lines)  # fmt: skip
        assert any(line.split() == ["wlan0", "down"] for line in lines)
