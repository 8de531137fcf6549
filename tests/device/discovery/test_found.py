"""A board that is seen in several ways is one board, in the same order whatever came first."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.discovery.found import Address, Found, Kind, Sighting, Way, merge

KEYS = st.sampled_from(["", "SHA256:a", "SHA256:b", "SHA256:c"])
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "192.168.55.1", "fd00::1"])
SIGHTINGS = st.lists(
    st.builds(
        Sighting,
        st.sampled_from(Way),
        st.sampled_from([Kind.BOARD, Kind.CANDIDATE]),
        st.sampled_from(["", "cam", "arm"]),
        st.lists(
            st.builds(Address, HOSTS, st.just(22), st.sampled_from([True, None])), max_size=2
        ).map(tuple),
        KEYS,
        st.sampled_from([(), ("serial 1",), ("serial 2",)]),
    ),
    max_size=8,
)


def names(found: list[Found]) -> list[str]:
    return [each.name for each in found]


@pytest.mark.claim("DDC-08")
def test_one_board_by_usb_network_and_announcement() -> None:
    key = "SHA256:x"
    found = merge(
        [
            Sighting(Way.NETWORK, Kind.CANDIDATE, "", (Address("10.0.0.7", 22, True),), key),
            Sighting(Way.MDNS, Kind.CANDIDATE, "cam-01", (Address("10.0.0.7"),)),
            Sighting(Way.USB, Kind.BOARD, "", (Address("192.168.55.1"),), "", ("serial 42",)),
            Sighting(
                Way.USB, Kind.BOARD, "", (Address("192.168.55.1", 22, True),), key, ("serial 42",)
            ),
        ]
    )
    (board,) = found
    assert (board.name, board.kind, board.host_key) == ("cam-01", Kind.BOARD, key)
    assert board.ways == (Way.USB, Way.MDNS, Way.NETWORK)
    assert [str(address) for address in board.addresses] == ["192.168.55.1", "10.0.0.7"]
    assert all(address.is_open for address in board.addresses)
    assert board.identity == f"key {key}"


def test_two_boards_on_usb_share_an_address_and_are_two() -> None:
    usb = (Address("192.168.55.1", 22, True),)
    known = Sighting(Way.KNOWN, Kind.BOARD, "old", (Address("192.168.55.1"),), "SHA256:a")
    now = Sighting(Way.USB, Kind.BOARD, "", usb, "SHA256:b", ("serial 2",))
    before = Sighting(Way.USB, Kind.BOARD, "", (Address("192.168.55.1"),), "", ("serial 2",))
    found = merge([known, now, before])
    assert len(found) == 2
    # The address leads to the other one now.
    assert {each.host_key: each.target for each in found} == {
        "SHA256:a": "", "SHA256:b": "192.168.55.1",
    }  # fmt: skip


def test_an_address_that_another_board_has_now() -> None:
    place = Address("10.0.0.5")
    found = merge(
        [
            Sighting(Way.KNOWN, Kind.BOARD, "moved", (place, Address("10.0.0.9")), "SHA256:a"),
            Sighting(Way.NETWORK, Kind.CANDIDATE, "", (Address("10.0.0.5", 22, True),), "SHA256:b"),
        ]
    )
    assert {each.host_key: each.target for each in found} == {
        "SHA256:a": "10.0.0.9", "SHA256:b": "10.0.0.5",
    }  # fmt: skip


@pytest.mark.claim("DDC-08")
@given(SIGHTINGS, st.randoms(use_true_random=False))
def test_each_once_in_an_order_that_does_not_depend_on_who_came_first(
    sightings: list[Sighting], rng: random.Random
) -> None:
    found = merge(sightings)
    shuffled = list(sightings)
    rng.shuffle(shuffled)
    assert merge(shuffled) == found
    keys = [each.host_key for each in found if each.host_key]
    assert len(keys) == len(set(keys))
    assert {each.host_key for each in sightings if each.host_key} == set(keys)
    # Nothing is lost.
    assert bool(found) is bool(sightings)
    assert names(found) == names(merge(sightings * 2))
