"""The layout of a board's disk, and names that try to leave it."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.errors import ChangeRefused
from cohete.storage.layout import FOLDERS, MODES, StorageLayout


@pytest.mark.claim("SM-06")
def test_the_documented_paths() -> None:
    layout = StorageLayout()
    assert [layout.folder(name) for name in FOLDERS] == [
        "/mnt/nvme/models", "/mnt/nvme/data", "/mnt/nvme/cache", "/mnt/nvme/docker",
    ]  # fmt: skip
    assert set(MODES) == set(FOLDERS)
    assert layout.model("llama/7b.gguf") == "/mnt/nvme/models/llama/7b.gguf"
    with pytest.raises(ChangeRefused, match="no folder 'etc'"):
        layout.folder("etc")


@pytest.mark.claim("SM-06")
@pytest.mark.parametrize(
    "name", ["../etc/passwd", "/etc/passwd", "a/../../b", "", ".", "a//b", "-rf", "a b", "a\0b",
             "a/b/c/d/e", ".hidden", "a\\b", "x" * 200],
)  # fmt: skip
def test_no_name_leads_out(name: str) -> None:
    with pytest.raises(ChangeRefused):
        StorageLayout().model(name)


@pytest.mark.claim("SM-06")
@given(st.text(max_size=40))
def test_whatever_is_taken_lies_in_the_folder(name: str) -> None:
    try:
        path = StorageLayout().model(name)
    except ChangeRefused:
        return
    assert PurePosixPath(path).is_relative_to("/mnt/nvme/models")
    assert ".." not in PurePosixPath(path).parts


@pytest.mark.claim("SM-06")
def test_quotas() -> None:
    layout = StorageLayout(quota_mb=(("models", 1_000),))
    assert layout.refusal("models", 400, 600) == ""
    assert "400 of 1000 MB, and 601 more" in layout.refusal("models", 400, 601)
    assert layout.refusal("data", 10**6, 10**6) == ""
    for bad in ((("etc", 5),), (("models", 0),)):
        with pytest.raises(ChangeRefused):
            StorageLayout(quota_mb=bad)


@pytest.mark.parametrize("root", ["/", "mnt", "/mnt/../etc", "/mnt/$(id)", ""])
def test_roots_that_are_none(root: str) -> None:
    with pytest.raises(ChangeRefused):
        StorageLayout(root)
