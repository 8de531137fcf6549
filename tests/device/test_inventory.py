"""What a board is set up with: read from what its commands print, compared with an earlier look."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.device.inventory import (
    ABSENT,
    UNREADABLE,
    Inventory,
    compare,
    inventory_from,
    take_inventory,
)
from cohete.links.commands import split_sections

DIGEST = "a" * 64
OTHER = "b" * 64
FILES = ("/etc/one", "/etc/two", "/etc/three")
NAMES = st.sampled_from(["a", "b", "c", "d"])
INVENTORIES = st.builds(
    Inventory,
    st.none() | st.sampled_from(["15W", "MAXN"]),
    st.none() | st.dictionaries(NAMES, st.sampled_from(["1", "2"])),
    st.dictionaries(NAMES, st.sampled_from([DIGEST, OTHER, ABSENT, UNREADABLE])),
)


def read(**sections: str) -> Inventory:
    return inventory_from({name: text.encode() for name, text in sections.items()}, FILES)


def test_what_the_commands_print() -> None:
    found = read(
        mode="NV Power Mode: 15W\n0\n",
        packages="libc6:arm64 2.35-0ubuntu3.8 installed\n"
        "nvidia-l4t-core 36.4.3-20250107174145 installed\n"
        "oldthing 1.0 config-files\n",
        files=f"{DIGEST}  /etc/one\n"
        "sha256sum: /etc/two: Permission denied\n"
        "sha256sum: /etc/three: No such file or directory\n",
    )
    assert found.mode == "15W"
    assert found.packages == {
        "libc6:arm64": "2.35-0ubuntu3.8",
        "nvidia-l4t-core": "36.4.3-20250107174145",
    }
    assert found.files == {"/etc/one": DIGEST, "/etc/two": UNREADABLE, "/etc/three": ABSENT}


def test_what_is_not_told_is_unknown() -> None:
    found = read(mode="sh: 1: nvpmodel: not found", packages="sh: 1: dpkg-query: not found")
    assert found == Inventory(None, None, {})


def test_a_list_cut_off_in_the_middle_is_no_list() -> None:
    assert read(packages="a 1 installed\n" * 40_000).packages is None


def test_a_shorter_list_of_files_differs_in_nothing() -> None:
    before = Inventory(None, None, {"/etc/one": DIGEST, "/etc/two": DIGEST})
    assert compare(before, Inventory(None, None, {"/etc/one": DIGEST})) == []


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (Inventory("15W", None, {}), Inventory("MAXN", None, {}), "power mode is MAXN, was 15W"),
        (
            Inventory(None, {"cuda": "1"}, {}),
            Inventory(None, {"cuda": "2"}, {}),
            "package cuda is 2, was 1",
        ),
        (
            Inventory(None, {"cuda": "1"}, {}),
            Inventory(None, {}, {}),
            "package cuda is gone, was 1",
        ),
        (Inventory(None, {}, {}), Inventory(None, {"cuda": "1"}, {}), "package cuda is 1, is new"),
        (
            Inventory(None, None, {"/f": DIGEST}),
            Inventory(None, None, {"/f": OTHER}),
            "file /f has changed",
        ),
        (
            Inventory(None, None, {"/f": DIGEST}),
            Inventory(None, None, {"/f": ABSENT}),
            "file /f is gone",
        ),
        (
            Inventory(None, None, {"/f": ABSENT}),
            Inventory(None, None, {"/f": OTHER}),
            "file /f is new",
        ),
        (
            Inventory(None, None, {"/f": DIGEST}),
            Inventory(None, None, {"/f": UNREADABLE}),
            "file /f can no longer be read",
        ),
    ],
)
def test_each_difference_in_words(before: Inventory, now: Inventory, words: str) -> None:
    assert [str(each) for each in compare(before, now)] == [words]


@given(INVENTORIES, INVENTORIES)
def test_nothing_differs_from_itself_and_differences_are_mutual(
    one: Inventory, two: Inventory
) -> None:
    assert compare(one, one) == []
    there = {(each.kind, each.name, each.before, each.now) for each in compare(one, two)}
    back = {(each.kind, each.name, each.now, each.before) for each in compare(two, one)}
    assert there == back


@given(st.binary(max_size=400))
def test_a_hostile_board_never_raises(data: bytes) -> None:
    found = inventory_from({"mode": data, "packages": data, "files": data}, FILES)
    assert set(found.files) <= set(FILES)


def test_the_real_commands(tmp_path: Path) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this machine has no dpkg")
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.write_bytes(b"data\n")
    files = (str(here), str(gone), str(tmp_path))
    done = subprocess.run(take_inventory(files), capture_output=True, check=False)
    found = inventory_from(split_sections(done.stdout), files)
    assert found.files == {
        str(here): hashlib.sha256(b"data\n").hexdigest(),
        str(gone): ABSENT,
        str(tmp_path): UNREADABLE,
    }
    assert found.packages is not None
    assert "dpkg" in found.packages
