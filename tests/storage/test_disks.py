"""Disks as lsblk tells them on every release, and whatever else a board may print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.storage.disks import Kind, Part, disks_from, look

ORIN = {
    "blockdevices": [
        {"name": "loop0", "type": "loop", "size": 16777216, "mountpoint": "/snap/x"},
        {"name": "mmcblk0", "type": "disk", "size": 63652757504, "tran": None, "rm": False,
         "children": [{"name": "mmcblk0p1", "type": "part", "size": 63637028864,
                       "fstype": "ext4", "uuid": "aa-1", "mountpoint": "/"}]},
        {"name": "mmcblk0boot0", "type": "disk", "size": 8388608, "ro": True},
        {"name": "mmcblk1", "type": "disk", "size": 31914983424, "rm": False},
        {"name": "nvme0n1", "type": "disk", "size": 500107862016, "tran": "nvme",
         "model": "Samsung SSD 980 500GB ", "serial": "S64E", "children": [
            {"name": "nvme0n1p1", "type": "part", "size": 483183820800, "fstype": "ext4",
             "uuid": "bb-2", "label": "models", "mountpoints": [None, "/mnt/nvme"]},
            {"name": "nvme0n1p2", "type": "part", "size": 16924041216, "fstype": "swap",
             "uuid": "cc-3", "mountpoints": ["[SWAP]"]}]},
        {"name": "nvme0n2", "type": "disk", "size": 1000204886016, "tran": "nvme"},
        {"name": "sda", "type": "disk", "size": 62109253632, "tran": "usb", "rm": True},
        {"name": "zram0", "type": "disk", "size": 996573184, "mountpoint": "[SWAP]"},
        {"name": "zram1", "type": "disk", "size": 0},
    ]
}  # fmt: skip
CARDS = b"/sys/block/mmcblk0/device/type:MMC\n/sys/block/mmcblk1/device/type:SD\n"
DF = b"""Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/mmcblk0p1    61255492 57000000   1255492      93% /
tmpfs              3800000        0   3800000       0% /dev/shm
/dev/nvme0n1p1   470000000 42000000 404000000      10% /mnt/nvme
/dev/loop0           16384    16384         0     100% /snap/x
"""
FSTAB = b"""# /etc/fstab
/dev/root / ext4 defaults 0 1
UUID=bb-2 /mnt/nvme ext4 defaults,nofail 0 2
#/dev/sda1 /mnt/old ext4
broken
"""


def sections(document: object = ORIN, cards: bytes = CARDS) -> dict[str, bytes]:
    return {
        "lsblk": json.dumps(document).encode(), "cards": cards, "df": DF, "fstab": FSTAB,
        "swaps": b"Filename Type Size Used Priority\n/dev/zram0 partition 1 0 5\n",
    }  # fmt: skip


@pytest.mark.claim("SM-01")
def test_each_disk_is_what_it_is_and_as_large_as_it_is() -> None:
    storage = look(sections())
    assert [(disk.name, disk.kind) for disk in storage.disks] == [
        ("mmcblk0", Kind.EMMC), ("mmcblk1", Kind.SD), ("nvme0n1", Kind.NVME),
        ("nvme0n2", Kind.NVME), ("sda", Kind.USB), ("zram0", Kind.ZRAM),
    ]  # fmt: skip
    nvme, second = storage.disks[2:4]
    assert nvme.size == 500107862016
    assert nvme.size_words == "500 GB (465.8 GiB)"
    assert (nvme.model, nvme.serial, nvme.namespace) == ("Samsung SSD 980 500GB", "S64E", 1)
    assert (second.namespace, second.is_blank) == (2, True)
    assert nvme.parts[0] == Part("nvme0n1p1", 483183820800, "ext4", "models", "bb-2", "/mnt/nvme")
    assert storage.swaps == ("/dev/zram0",)
    assert storage.note == ""


@pytest.mark.claim("SM-01")
def test_an_older_lsblk_writes_numbers_as_text_and_says_less() -> None:
    document = {
        "blockdevices": [
            {"name": "mmcblk0", "type": "disk", "size": "15758000128", "rm": "0", "ro": "0",
             "fstype": "ext4", "mountpoint": "/"},
            {"name": "mmcblk0boot0", "type": "disk", "size": "4194304", "ro": "1"},
            {"name": "mmcblk2", "type": "disk", "size": "31914983424", "rm": "0", "ro": "1"},
        ]
    }  # fmt: skip
    emmc, card = look(sections(document, b"")).disks
    assert (emmc.kind, emmc.size, emmc.mounts) == (Kind.EMMC, 15758000128, ("/",))
    assert (card.kind, card.read_only) == (Kind.SD, True)


@pytest.mark.claim("SM-07")
def test_less_than_a_tenth_is_low_and_told_of_the_right_disk() -> None:
    storage = look(sections())
    assert [room.mount for room in storage.low] == ["/"]
    root, nvme = storage.rooms
    assert root.free_share == pytest.approx(0.0205, abs=0.001)
    assert not nvme.is_low
    assert storage.room_for("/mnt/nvme/models/a.gguf") == nvme
    assert storage.room_for("/mnt/nvme2") == root
    disk = storage.disk_of("/mnt/nvme/models")
    assert disk is not None
    assert disk.name == "nvme0n1"
    assert storage.disk_of("relative") is None


@pytest.mark.claim("SM-03")
def test_fstab() -> None:
    lines = look(sections()).fstab
    assert [(line.mount, line.by_uuid) for line in lines] == [("/", False), ("/mnt/nvme", True)]
    assert lines[1].options == ("defaults", "nofail")


def test_a_board_without_lsblk_says_so() -> None:
    storage = look({"lsblk": b"sh: 1: lsblk: not found"})
    assert storage.disks == ()
    assert storage.note == "lsblk tells no disks: sh: 1: lsblk: not found"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["name", "type", "size", "children", "mountpoint", "mountpoints", "tran"]),
        inner | st.just("disk") | st.just("nvme0n1"), max_size=6,
    ), max_leaves=20,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), st.binary(max_size=200))
def test_nothing_raises(devices: list[object], noise: bytes) -> None:
    for disk in disks_from(json.dumps({"blockdevices": devices}).encode(), {}):
        assert disk.size > 0
        assert disk.name.isprintable()
    look({"lsblk": noise, "cards": noise, "df": noise, "fstab": noise, "swaps": noise})
