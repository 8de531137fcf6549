"""Work that is held on a board, noted there, and let go: that, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.control.applying import Outcome
from cohete.control.sudoers import Feature, drop_in
from cohete.errors import ChangeRefused
from cohete.fleet.holding import NOTE, READ_NOTE, Hold, Kind, Release, Work, parse_note, rules_for
from tests.control.support import bench

WORKS = (
    Work(Kind.UNIT, "inference"),
    Work(Kind.FROZEN, "training.service"),
    Work(Kind.CONTAINER, "detector"),
    Work(Kind.PROCESS, "llama-server"),
)


async def test_held_noted_and_let_go(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        board = test.board
        board.services = {"inference.service": True, "training.service": True, "other": True}
        board.containers = {"detector": "running", "other": "paused"}
        board.groups = {812: ("llama-server", False), 813: ("other", True)}
        result = await test.apply(Hold(WORKS))
        assert result.outcome is Outcome.DONE, result
        assert board.services == {
            "inference.service": False, "training.service": True, "other": True,
        }  # fmt: skip
        assert board.frozen_units == {"training.service"}
        assert board.containers["detector"] == "paused"
        assert board.groups[812] == ("llama-server", True)
        assert board.written[NOTE].decode().strip() == (
            "unit inference.service; frozen training.service; container detector; group 812"
        )
        # The note is there before anything is held.
        assert NOTE in test.host.commands[-6]
        assert (await test.apply(Hold(WORKS))).outcome is Outcome.ALREADY
        result = await test.apply(Release())
        assert result.outcome is Outcome.DONE, result
        assert board.services["inference.service"]
        assert board.frozen_units == set()
        assert board.containers == {"detector": "running", "other": "paused"}
        assert board.groups == {812: ("llama-server", False), 813: ("other", True)}
        assert NOTE not in board.written
        assert (await test.apply(Release())).outcome is Outcome.ALREADY


async def test_what_did_not_run_is_not_started(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.services = {"inference.service": False, "training.service": True}
        works = (Work(Kind.UNIT, "inference"), Work(Kind.UNIT, "training"))
        await test.apply(Hold(works))
        await test.apply(Release())
        assert test.board.services == {"inference.service": False, "training.service": True}


async def test_what_ended_meanwhile_is_well(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.groups = {812: ("llama-server", False)}
        await test.apply(Hold((Work(Kind.PROCESS, "llama-server"),)))
        test.board.groups.clear()
        assert (await test.apply(Release())).outcome is Outcome.DONE


@given(st.binary(max_size=300))
def test_a_note_names_only_what_it_may(data: bytes) -> None:
    for text in (data, b"unit a.service; unit $(reboot); group 0; group -1; process x; " + data):
        for work in parse_note({READ_NOTE.name: text}):
            assert work.kind is not Kind.PROCESS
            assert " " not in work.release_step.argv[-1]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.UNIT, "a b"), (Kind.UNIT, "-x"), (Kind.CONTAINER, "$(x)"), (Kind.PROCESS, ""),
        (Kind.GROUP, "1"), (Kind.GROUP, "x"),
    ],
)  # fmt: skip
def test_names_are_checked(kind: Kind, name: str) -> None:
    with pytest.raises(ChangeRefused):
        Work(kind, name)


def test_rules() -> None:
    rules = rules_for(WORKS)
    assert "/bin/systemctl stop inference.service" in rules
    assert "/usr/bin/docker unpause detector" in rules
    assert not any("kill" in rule or "llama" in rule for rule in rules)
    assert drop_in("nvidia", [Feature("breaker", "x", rules)])
