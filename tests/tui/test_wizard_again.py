"""The quantization wizard after something went wrong: said, tried again, put somewhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.quantize.manifest import verify
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.quantizing import JobState, QuantizeJob
from cohete_tui.screens.wizard import WizardScreen
from cohete_tui.wizard import Choice, Step
from tests.boards import until
from tests.quantize.models import Small, pairs_of, write
from tests.quantize.vocabulary import vocabulary_pairs
from tests.tui.support import StillSession, mixed_store, settle, text_of
from tests.tui.test_wizard import at, model, never_done, opened, words_of


async def to_the_last_question(pilot: Pilot[None], screen: WizardScreen) -> None:
    await at(screen, Step.BOARD, pilot)
    await pilot.press("G", "enter")
    await at(screen, Step.LEVEL, pilot)
    await pilot.press("G", "enter")
    await at(screen, Step.MAKE, pilot)


async def named(pilot: Pilot[None], text: str) -> None:
    await pilot.press("slash")
    await settle(pilot)
    await pilot.press(*text, "enter")


async def test_what_failed_is_tried_again_and_put_elsewhere(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, (80, 24), typed=str(source)) as (pilot, app, screen):
        await to_the_last_question(pilot, screen)
        away = source.rename(tmp_path / "away")
        await pilot.press("enter")
        await until(lambda: "enter tries again" in words_of(app), 20)
        assert "it cannot be read: No such file" in words_of(app)
        away.rename(source)
        # Where somebody else's file is, and then in a folder that is not there yet.
        foreign = tmp_path / "foreign.gguf"
        foreign.write_bytes(b"x")
        await named(pilot, str(foreign))
        await until(lambda: "was not made by" in words_of(app), 20)
        assert screen.step is Step.RUN
        other = tmp_path / "other"
        other.mkdir()
        await named(pilot, str(other))
        await at(screen, Step.MAKE, pilot)
        # What a person named stays, whatever else is chosen then.
        await pilot.press("x")
        await settle(pilot)
        assert "--quality" in words_of(app)
        assert screen.choice.output == other / "tied-q4_0.gguf"
        await pilot.press("x", "enter")
        await until(lambda: "blake3" in text_of(app), 20)
        assert verify(other / "tied-q4_0.gguf").source == source.name
        assert foreign.read_bytes() == b"x"


async def test_a_model_known_by_name_becomes_a_file_and_no_place(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed="llama-3.2-1b") as (pilot, app, screen):
        await to_the_last_question(pilot, screen)
        assert "is a name, not a file" in words_of(app)
        await pilot.press("enter")
        assert app.quantizing is None
        await named(pilot, str(source))
        await at(screen, Step.BOARD, pilot)
        assert screen.choice.path == source
        assert screen.choice.output is None


async def test_what_is_typed_is_for_what_was_asked(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed=str(source)) as (pilot, app, screen):
        await to_the_last_question(pilot, screen)
        await pilot.press("slash")
        await settle(pilot)
        assert "where it will be: a file, or a folder" in text_of(app)
        await pilot.press("escape", "escape", "slash")
        await settle(pilot)
        assert screen.step is Step.LEVEL
        assert "path of a GGUF file, or the name of a model" in text_of(app)


async def test_enter_makes_what_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed=str(source)) as (pilot, app, screen):
        await to_the_last_question(pilot, screen)
        with monkeypatch.context() as patch:
            never_done(tmp_path, patch)
            await pilot.press("enter")
            await until(lambda: app.quantizing is not None and app.quantizing._process is not None)
            await pilot.press("X")
            await until(lambda: "enter tries again" in words_of(app), 20)
        await pilot.press("enter")
        await until(lambda: "blake3" in text_of(app), 20)


async def test_a_browser_does_not_learn_which_files_are_there(tmp_path: Path) -> None:
    source = model(tmp_path)
    (tmp_path / "secret").write_bytes(b"x")
    async with opened(tmp_path, typed=str(source), served=True) as (pilot, app, screen):
        await to_the_last_question(pilot, screen)
        await named(pilot, str(tmp_path / "secret"))
        await until(lambda: "it is too short to be a GGUF file" in words_of(app))
        assert "was not made by" not in words_of(app)
        assert screen.choice.output == tmp_path / "tied-q4_0.gguf"


async def test_the_quality_of_a_level_is_told_with_its_source_on_the_smallest_screen(
    tmp_path: Path,
) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, (80, 24), typed=str(source)) as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        await until(lambda: bool(screen._seconds), 20)
        await pilot.press("G")
        await settle(pilot)
        text = text_of(app)
        row = next(line for line in text.splitlines() if " q4_0" in line)
        assert row.rstrip(" │").endswith("+7.5 %")
        assert "+7.5 % perplexity, published for Llama-3 8B (llama.cpp" in words_of(app)


async def test_the_name_of_a_file_cannot_draw_on_the_screen(tmp_path: Path) -> None:
    small = Small("esc\x1b[31m", tied=True)
    write(small, tmp_path / f"{small.name}.gguf",
          pairs_of(small) | vocabulary_pairs(small.vocabulary))  # fmt: skip
    async with opened(tmp_path, (80, 24)) as (pilot, app, screen):
        await until(lambda: "esc\u241b[31m.gguf" in text_of(app))
        await pilot.press("enter")
        await at(screen, Step.BOARD, pilot)
        assert "esc\u241b[31m.gguf" in text_of(app)
        await pilot.press("G", "enter")
        await at(screen, Step.LEVEL, pilot)
        await pilot.press("G", "enter")
        await at(screen, Step.MAKE, pilot)
        assert "\x1b" not in text_of(app)
        await pilot.press("enter")
        await until(lambda: "blake3" in text_of(app), 20)
        assert "\x1b" not in text_of(app)


async def test_quitting_asks_while_something_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_done(tmp_path, monkeypatch)
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settle(pilot)
        job = app.quantizing = QuantizeJob(Choice(), tmp_path / "x.gguf")
        job.start()
        await until(lambda: job._process is not None)
        await pilot.press("q")
        await until(lambda: "x.gguf is being made. q again ends it" in words_of(app))
        assert job.state is JobState.RUNNING
        assert app.return_code is None
        await pilot.press("q")
        await until(lambda: app.return_code == 0)
    assert job.made_nothing
