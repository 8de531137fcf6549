"""Work that is held on a board, noted there, and let go: that, and only that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohete.control.outcome import Outcome
from cohete.control.sudoers import Feature, drop_in
from cohete.errors import ChangeRefused
from cohete.fleet.holding import (
    DOCKER,
    NOTE,
    READ_NOTE,
    Hold,
    Kind,
    Release,
    Work,
    parse_note,
    rules_for,
)
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
        assert board.written[NOTE].decode().splitlines() == [
            "group 812 breaker",
            "frozen training.service breaker",
            "container detector breaker",
            "unit inference.service breaker",
        ]
        # The note is there before anything is held, and the quickest comes first.
        run = [line for line in test.host.commands if "@@cohete" not in line]
        assert NOTE in run[0]
        assert run[1] == "/bin/kill -STOP -- -812"
        assert run[-1] == "sudo -n -- /bin/systemctl stop --no-block inference.service"
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
    lines = b"unit a.service b\nunit $(reboot) b\ngroup 0 b\ngroup -1 b\nprocess x b\n"
    for text in (data, lines + data):
        for held in parse_note({READ_NOTE.name: text}):
            assert held.work.kind is not Kind.PROCESS
            assert " " not in held.work.release_step.argv[-1]


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
    assert "/bin/systemctl stop --no-block inference.service" in rules
    assert "/usr/bin/docker unpause detector" in rules
    assert not any("kill" in rule or "llama" in rule for rule in rules)
    assert f"{DOCKER} inspect --format={{{{.State.Status}}}} detector" in rules
    assert drop_in("nvidia", [Feature("breaker", "x", rules)])


HOT, BATCH = Work(Kind.UNIT, "hot"), Work(Kind.UNIT, "batch")


async def test_each_lets_go_only_its_own(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        services = test.board.services
        services |= {"hot.service": True, "batch.service": True}
        await test.apply(Hold((HOT,)))
        await test.apply(Hold((BATCH, HOT), owner="limit:power"))
        assert services == {"hot.service": False, "batch.service": False}
        # Both hold it: it goes on once the second has let go.
        await test.apply(Release("limit:power"))
        assert services == {"hot.service": False, "batch.service": True}
        await test.apply(Release("breaker"))
        assert services == {"hot.service": True, "batch.service": True}
        assert NOTE not in test.board.written


async def test_two_at_once_are_both_noted(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        services = test.board.services
        services |= {"hot.service": True, "batch.service": True}
        await asyncio.gather(test.apply(Hold((HOT,))), test.apply(Hold((BATCH,), owner="limit:x")))
        assert len(test.board.written[NOTE].splitlines()) == 2
        await test.apply(Release())
        assert services == {"hot.service": True, "batch.service": True}


async def test_what_cannot_be_told_is_no_success(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path, sudo=False) as test:
        test.board.containers = {"llm": "running"}
        test.board.groups = {812: ("llama", False)}
        container = Work(Kind.CONTAINER, "llm")
        with pytest.raises(ChangeRefused, match="cannot be told whether container llm runs: sudo"):
            await test.look(Hold((container,)))
        # The other work is held all the same, and it is said what could not be.
        result = await test.apply(Hold((container, Work(Kind.PROCESS, "llama"))))
        assert not result.outcome.is_well
        assert "it cannot be told whether it runs" in result.words
        assert test.board.groups[812] == ("llama", True)


async def test_one_that_cannot_be_held_does_not_let_the_others_go(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.services |= {"hot.service": True}
        test.board.containers = {"llm": "running"}
        test.board.refuses.add("pause")
        result = await test.apply(Hold((Work(Kind.CONTAINER, "llm"), HOT)))
        assert result.outcome is Outcome.FAILED
        assert not test.board.services["hot.service"]
        assert "container llm running" in result.found


async def test_a_release_goes_on_after_what_is_gone(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.services |= {"a.service": True, "gone.service": True, "c.service": True}
        works = tuple(Work(Kind.UNIT, name) for name in ("a", "gone", "c"))
        await test.apply(Hold(works))
        del test.board.services["gone.service"]
        result = await test.apply(Release())
        assert result.outcome is Outcome.DONE, result
        assert test.board.services == {"a.service": True, "c.service": True}


async def test_no_more_is_held_than_is_noted(tmp_path: Path) -> None:
    async with bench("orin-nano-8gb", tmp_path) as test:
        test.board.groups = {1000 + nth: ("worker", False) for nth in range(40)}
        await test.apply(Hold((Work(Kind.PROCESS, "worker"),)))
        assert all(is_stopped for _, is_stopped in test.board.groups.values())
        await test.apply(Release())
        assert not any(is_stopped for _, is_stopped in test.board.groups.values())


@pytest.mark.parametrize(
    ("kind", "said", "runs"),
    [
        (Kind.UNIT, "active", True), (Kind.UNIT, "activating", True), (Kind.UNIT, "failed", False),
        (Kind.UNIT, "Failed to connect to bus", None), (Kind.UNIT, "", None),
        (Kind.CONTAINER, "restarting", True), (Kind.CONTAINER, "exited", False),
        (Kind.CONTAINER, "Error: No such object: llm", False),
        (Kind.CONTAINER, "sudo: a password is required", None),
        (Kind.FROZEN, "ActiveState=active\nFreezerState=frozen", False),
        (Kind.FROZEN, "ActiveState=reloading\n", True), (Kind.FROZEN, "", None),
        (Kind.PROCESS, "", False), (Kind.PROCESS, " 100 Tl\n 100 Z\n", False),
        (Kind.PROCESS, " 100 Sl+\n", True), (Kind.PROCESS, "sh: 1: ps: not found", None),
        (Kind.PROCESS, "9" * 5000 + " S", None),
    ],
)  # fmt: skip
def test_only_known_words_mean_that_it_does_not_run(
    kind: Kind, said: str, runs: bool | None
) -> None:
    assert Work(kind, "x").runs(said) is runs
