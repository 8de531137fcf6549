"""The quantization wizard: by keyboard alone, through every step, on, back, out and in again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cohete.config.schema import Ssh
from cohete.fleet.session import FleetPlan, FleetSession
from cohete.fleet.state import State
from cohete.links.ssh import SshConnector, SshFiles
from cohete.quantize.fitting import candidate_of_model
from cohete.quantize.gguf import read_model
from cohete.quantize.manifest import verify
from cohete.quantize.types import Encoder, Level, TensorType
from cohete_tui import model_files, wizard
from cohete_tui.app import CoheteApp
from cohete_tui.launch import Launch
from cohete_tui.quantizing import JobState, QuantizeJob
from cohete_tui.screens.change import ChangeDialog
from cohete_tui.screens.fleet import FleetScreen
from cohete_tui.screens.wizard import WizardScreen
from cohete_tui.sessions import PlannedSession
from cohete_tui.wizard import Choice, Step, report_lines
from tests.boards import until
from tests.openssh import openssh
from tests.quantize.models import MODELS, Small, pairs_of, write
from tests.quantize.vocabulary import vocabulary_pairs
from tests.tui.support import StillSession, mixed_store, settle, text_of


def model(folder: Path, name: str = "tied-f16", small: Small | None = None) -> Path:
    small = small or MODELS[name]
    pairs = pairs_of(small) | vocabulary_pairs(small.vocabulary)
    return write(small, folder / f"{small.name}.gguf", pairs)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    size: tuple[int, int] = (100, 30),
    typed: str = "",
    boards: tuple[str, ...] = (),
    *,
    served: bool = False,
) -> AsyncIterator[tuple[Pilot[None], CoheteApp, WizardScreen]]:
    app = CoheteApp(Launch(served=served), session=StillSession(mixed_store()), timer=False)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        screen = WizardScreen(boards, model=typed, folders=[folder])
        app.push_screen(screen)
        await pilot.pause()
        await settle(pilot)
        yield pilot, app, screen


def never_done(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """What is made from now on takes for ever."""
    slow = folder / "slow.py"
    slow.write_text("import time; time.sleep(60)\n")
    patch.setattr(Choice, "argv", property(lambda _: ()))
    patch.setattr("cohete_tui.quantizing.RUN", (str(slow),))


def words_of(app: CoheteApp) -> str:
    """What stands on the screen, whatever its lines are cut at."""
    return " ".join(text_of(app).replace("│", " ").split())


async def at(screen: WizardScreen, step: Step, pilot: Pilot[None]) -> None:
    await until(lambda: screen.step is step)
    if step is Step.LEVEL:
        await until(lambda: screen._fit is not None)
    await settle(pilot)


async def test_from_a_model_to_a_checked_file(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, (80, 24), boards=("cam-01",)) as (pilot, app, screen):
        await until(lambda: "tied-f16.gguf" in text_of(app))
        assert "1 of 5  Which model?" in text_of(app)
        await pilot.press("enter")
        await at(screen, Step.BOARD, pilot)
        text = text_of(app)
        assert "✓ cam-01" in text
        assert "MiB can be had of" in text
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        assert "tied-f16.gguf → cam-01" in text_of(app)
        assert "best" in text_of(app)
        assert screen.rows.current == "f16"
        await pilot.press("G", "enter")
        await at(screen, Step.MAKE, pilot)
        text = " ".join(text_of(app).replace("│", " ").split())
        assert "as llama-quantize's, to the byte" in text
        assert "$ cohete quantize" in text
        assert "--replace" not in text
        await pilot.press("enter")
        # The panel grows with what it says.
        await until(lambda: "blake3" in text_of(app), 20)
        text = words_of(app)
        assert "not measured" in text
        assert "times smaller" in text
        output = tmp_path / "tied-q4_0.gguf"
        assert verify(output).source == source.name
        await pilot.press("y")
        assert "quantization: q4_0" in app.clipboard
        assert "devices: [cam-01]" in app.clipboard
        await pilot.press("n")
        assert screen.step is Step.MODEL
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_scales_are_searched_for_where_somebody_wants_it(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, (80, 24), typed=str(source), boards=("cam-01",)) as (
        pilot, app, screen,
    ):  # fmt: skip
        await at(screen, Step.BOARD, pilot)
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        await pilot.press("x")
        assert "tied-f16.gguf → cam-01 → searched" in text_of(app)
        await pilot.press("x", "G", "enter")
        await at(screen, Step.MAKE, pilot)
        assert screen.choice.level == "q4_0"
        await pilot.press("x")
        await until(lambda: "searched.gguf" in words_of(app))
        text = words_of(app)
        assert "Scales: searched for, by what goes through each column" in text
        assert "seconds to minutes more" in text
        assert text.count("--quality --yes --json") == 1
        await pilot.press("enter")
        await until(lambda: "blake3" in text_of(app), 60)
        assert "tokens that the model wrote by itself" in words_of(app)
        assert (tmp_path / "tied-q4_0-searched.gguf").exists()
        await pilot.press("y")
        assert "quality: true" in app.clipboard


async def test_nothing_is_made_under_the_name_of_other_scales(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed=str(source), boards=("cam-01",)) as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        await pilot.press("G", "enter")
        await at(screen, Step.MAKE, pilot)
        go_on = threading.Event()
        name = wizard.output_for

        def slow(choice: Choice) -> Path | None:
            go_on.wait(10)
            return name(choice)

        monkeypatch.setattr(wizard, "output_for", slow)
        await pilot.press("x", "enter")
        assert app.quantizing is None
        go_on.set()
        await until(lambda: screen.choice.output is not None)
        assert screen.choice.output == tmp_path / "tied-q4_0-searched.gguf"
        assert screen.step is Step.MAKE


def test_the_time_of_a_level_is_that_of_its_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[TensorType, Encoder]] = []
    monkeypatch.setattr(
        "cohete.quantize.slabs.encoded", lambda _, __, kind, encoder: tried.append((kind, encoder))
    )
    candidate = candidate_of_model(read_model(model(tmp_path)))
    assert set(wizard.seconds_of(candidate)) == {level.value for level in Level}
    assert {encoder for _, encoder in tried} == {Encoder.REFERENCE}
    tried.clear()
    wizard.seconds_of(candidate, by_search=True)
    assert (TensorType.Q4_0, Encoder.SEARCH) in tried
    assert (TensorType.Q8_0, Encoder.REFERENCE) in tried


async def test_the_need_follows_context_slots_and_cache(tmp_path: Path) -> None:
    async with opened(tmp_path, typed="llama-2-7b", boards=("cam-01",)) as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        assert "context 2048, 1 at a time, cache f16" in text_of(app)
        assert "cache 1024" in text_of(app)
        for keys, words in (
            (["plus"], "cache 2048"), (["minus", "minus"], "cache 512"), (["v"], "cache q8_0"),
            (["s"], "2 at a time"),
        ):  # fmt: skip
            await pilot.press(*keys)
            await until(lambda: words in text_of(app))  # noqa: B023 - waited for within the turn
        assert "What would help" in text_of(app)
        # A model that is only a name can be looked at, not made.
        await pilot.press("enter")
        await at(screen, Step.MAKE, pilot)
        assert "is a name, not a file" in text_of(app)
        await pilot.press("enter")
        assert app.quantizing is None
        await pilot.press("escape")
        assert screen.step is Step.LEVEL


async def test_boards_are_marked_and_the_least_of_them_counts(tmp_path: Path) -> None:
    async with opened(tmp_path, typed="qwen3-0.6b") as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("space", "space")
        chosen = dict(screen.choice.boards)
        assert len(chosen) == 2
        known = [each for each in chosen.values() if each is not None]
        if len(known) == 2:
            assert screen.choice.available_mib == min(known)
        await pilot.press("g", "space")
        assert len(screen.choice.boards) == 1
        # The last row is for no board: then only needs are shown.
        await pilot.press("G", "enter")
        await at(screen, Step.LEVEL, pilot)
        assert "→ no board" in text_of(app)
        assert "best" not in text_of(app)


async def test_what_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"\0" * 4000)
    async with opened(tmp_path) as (pilot, app, screen):
        await until(lambda: "bad.gguf" in text_of(app))
        await pilot.press("enter")
        await until(lambda: "it was never finished" in words_of(app))
        assert screen.step is Step.MODEL
        await pilot.press("slash")
        await pilot.press(*"nothing", "enter")
        await until(lambda: "it is no file, no model of the table" in words_of(app))
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_with_no_model_it_says_what_to_do(tmp_path: Path) -> None:
    async with opened(tmp_path, (80, 24)) as (_, app, _):
        assert "No GGUF file here. Go to another folder, or press /" in text_of(app)


async def test_it_goes_on_while_it_is_left_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path)
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import json, sys, time\n"
        "say = dict(step='quantizing', done_bytes=43, total_bytes=100, mb_s=9.0, eta_s=3.0,"
        " bound='disk')\n"
        "print(json.dumps(say), file=sys.stderr, flush=True)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(Choice, "argv", property(lambda _: ()))
    monkeypatch.setattr("cohete_tui.quantizing.RUN", (str(slow),))
    async with opened(tmp_path) as (pilot, app, screen):
        for step in (Step.BOARD, Step.LEVEL, Step.MAKE):
            await until(lambda: "tied" in text_of(app))
            await pilot.press("enter")
            await at(screen, step, pilot)
        await pilot.press("enter")
        await until(lambda: app.quantizing is not None and app.quantizing.made.done_bytes == 43)
        await until(lambda: "43 %  9 MB/s, 3.0s left" in text_of(app))
        text = text_of(app)
        assert "It waits for the disk" in text
        await pilot.press("escape")
        await settle(pilot)
        assert "quantizing 43 %" in text_of(app)
        await pilot.press("Q")
        await pilot.pause()
        again = app.screen
        assert isinstance(again, WizardScreen)
        assert again.step is Step.RUN
        await pilot.press("X")
        await until(lambda: "Nothing of it was kept" in text_of(app))
        await pilot.press("escape")
        await settle(pilot)
        assert "quantizing" not in text_of(app)


async def test_what_fails_explains_itself_and_can_be_begun_anew(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed=str(source)) as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("G", "enter")
        await at(screen, Step.LEVEL, pilot)
        await pilot.press("G", "enter")
        await at(screen, Step.MAKE, pilot)
        source.unlink()
        await pilot.press("enter")
        job = app.quantizing
        assert job is not None
        await until(lambda: job.state is JobState.FAILED, 20)
        await until(lambda: "it cannot be read: No such file" in words_of(app), 20)
        await until(lambda: "n begins anew" in text_of(app))
        await pilot.press("n")
        assert screen.step is Step.MODEL
        assert app.quantizing is None


async def test_a_quantized_model_is_looked_at_but_not_made_again(tmp_path: Path) -> None:
    from cohete.quantize.gguf import read_model
    from cohete.quantize.mixture import Recipe
    from cohete.quantize.plan import plan_model
    from cohete.quantize.run import Quantizer
    from cohete.quantize.types import Level

    source = model(tmp_path)
    target = tmp_path / "small.gguf"
    Quantizer(plan_model(read_model(source), Recipe(Level.Q5_0)), target).run()
    async with opened(tmp_path, typed=str(target), boards=("cam-01",)) as (pilot, app, screen):
        await at(screen, Step.BOARD, pilot)
        await pilot.press("enter")
        await at(screen, Step.LEVEL, pilot)
        assert "as it is" in text_of(app)
        await pilot.press("enter")
        assert "It is quantized already" in text_of(app)
        assert screen.step is Step.LEVEL


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    source = model(tmp_path)
    choice = Choice("", source, level="q4_0")
    assert wizard.output_for(choice) == tmp_path / "tied-q4_0.gguf"
    (tmp_path / "tied-q4_0.gguf").write_bytes(b"precious")
    assert wizard.output_for(choice) == tmp_path / "tied-q4_0-2.gguf"
    choice.by_search = True
    assert wizard.output_for(choice) == tmp_path / "tied-q4_0-searched.gguf"
    assert wizard.output_for(Choice("llama-2-7b", level="q4_0")) is None
    # There is nothing to search for.
    choice.level = "q8_0"
    assert wizard.output_for(choice) == tmp_path / "tied-q8_0.gguf"
    assert "none to search for" in choice.scales
    assert "--quality" not in choice.argv


async def test_from_a_browser_nothing_is_written(tmp_path: Path) -> None:
    source = model(tmp_path)
    async with opened(tmp_path, typed=str(source)) as (pilot, app, screen):
        app.served = True
        await at(screen, Step.BOARD, pilot)
        await pilot.press("G", "enter")
        await at(screen, Step.LEVEL, pilot)
        await pilot.press("enter")
        await at(screen, Step.MAKE, pilot)
        await pilot.press("enter")
        assert "Nothing is written from a browser" in text_of(app)
        assert app.quantizing is None


async def test_without_a_fleet_it_stands_alone(tmp_path: Path) -> None:
    source = model(tmp_path)
    app = CoheteApp(Launch(model=str(source)), timer=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, WizardScreen)
        await at(screen, Step.LEVEL, pilot)
        assert "3 of 5" in text_of(app)
        await pilot.press("escape", "escape")
        await pilot.pause()
    assert app.return_code == 0


async def test_leaving_the_dashboard_ends_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_done(tmp_path, monkeypatch)
    app = CoheteApp(Launch(), session=StillSession(mixed_store()), timer=False)
    async with app.run_test() as pilot:
        await settle(pilot)
        job = app.quantizing = QuantizeJob(Choice(), tmp_path / "x.gguf")
        job.start()
        await until(lambda: job._process is not None)
        process = job._process
    assert process is not None
    assert process.returncode is not None
    assert job.state is JobState.CANCELLED


def test_models_that_are_found(tmp_path: Path) -> None:
    for name, size in (("a.gguf", 10), ("b-00001-of-00002.gguf", 30), ("b-00002-of-00002.gguf", 40),
                       ("c.txt", 99)):  # fmt: skip
        (tmp_path / name).write_bytes(b"x" * size)
    found = model_files.find_models([tmp_path, tmp_path, tmp_path / "none"])
    assert [each.path.name for each in found] == ["b-00001-of-00002.gguf", "a.gguf"]


async def test_folders_are_gone_to_by_keyboard(tmp_path: Path) -> None:
    (tmp_path / "models" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    model(tmp_path / "models" / "deep")
    async with opened(tmp_path, (80, 24)) as (pilot, app, screen):
        await until(lambda: "models/" in text_of(app))
        assert "No GGUF file here" in text_of(app)
        assert "../" in text_of(app)
        assert "hidden" not in text_of(app)
        await pilot.press("j", "enter")
        await until(lambda: "deep/" in text_of(app))
        assert screen.rows.current == str(tmp_path)
        await pilot.press("j", "enter")
        await until(lambda: "tied-f16.gguf" in text_of(app))
        assert "In " in text_of(app)
        assert screen.rows.current == str(tmp_path / "models" / "deep" / "tied-f16.gguf")
        await pilot.press("G", "enter")
        await until(lambda: "deep/" in text_of(app))
        await pilot.press("slash", *str(tmp_path / "models" / "deep"), "enter")
        await until(lambda: "tied-f16.gguf" in text_of(app))
        await pilot.press("enter")
        await at(screen, Step.BOARD, pilot)


async def test_folders_are_not_shown_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    model(tmp_path)
    async with opened(tmp_path, served=True) as (pilot, app, screen):
        await until(lambda: "tied-f16.gguf" in text_of(app))
        assert "secret" not in text_of(app)
        await pilot.press("slash", *str(tmp_path / "secret"), "enter")
        await until(lambda: bool(screen._problem))


@pytest.mark.parametrize("place", ["/", "/nowhere-at-all"])
def test_folders_that_are_found(tmp_path: Path, place: str) -> None:
    for name in ("b", "a", ".c"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    assert model_files.find_folders(tmp_path) == [tmp_path.parent, tmp_path / "a", tmp_path / "b"]
    assert all(each.is_dir() for each in model_files.find_folders(Path(place)))


async def test_what_was_made_is_copied_to_its_board(tmp_path: Path) -> None:
    source = model(tmp_path)
    with openssh(tmp_path / "board") as server:
        known = tmp_path / "known"
        known.write_text(server.known_hosts)
        connector = SshConnector(Ssh(), SshFiles(tmp_path / "none", known, ()))
        folder = tmp_path / "home" / "models"
        session = FleetSession(
            FleetPlan([server.spec("cam-01")], "lab"), connector=connector,
            state_folder=tmp_path / "state",
        )  # fmt: skip
        app = CoheteApp(Launch(), session=PlannedSession(session))
        async with app.run_test(size=(110, 32), notifications=True) as pilot:
            session.start()
            await until(lambda: session.store["cam-01"].state is State.LIVE)
            screen = WizardScreen(["cam-01"], model=str(source), folders=[tmp_path])
            app.push_screen(screen)
            await pilot.pause()
            await at(screen, Step.BOARD, pilot)
            await pilot.press("enter")
            await at(screen, Step.LEVEL, pilot)
            await pilot.press("G", "enter")
            await at(screen, Step.MAKE, pilot)
            await pilot.press("enter")
            await until(lambda: "blake3" in text_of(app), 20)
            screen.folder = str(folder)
            await pilot.press("d")
            await until(lambda: isinstance(app.screen, ChangeDialog))
            await settle(pilot)
            assert "Copy tied-q4_0.gguf" in text_of(app)
            assert "$ sftp put" in text_of(app)
            await pilot.press("tab", "enter")
            await until(lambda: "over, all well" in text_of(app), 20)
        there, here = folder / "tied-q4_0.gguf", tmp_path / "tied-q4_0.gguf"
        assert there.read_bytes() == here.read_bytes()


def test_models_that_were_looked_at_come_first(tmp_path: Path) -> None:
    file = tmp_path / "state" / "models"
    assert model_files.recent_models(file) == []
    paths = [tmp_path / f"{nth}.gguf" for nth in range(14)]
    for path in paths:
        path.write_bytes(b"x")
        model_files.note_recent(file, path)
    model_files.note_recent(file, paths[7])
    paths[12].unlink()
    found = [each.path.name for each in model_files.recent_models(file)]
    assert found[:3] == ["7.gguf", "13.gguf", "11.gguf"]
    assert len(found) < model_files.MAX_RECENT
    file.write_bytes(b"\xff\xfe")
    assert model_files.recent_models(file) == []


async def test_cancelled_is_what_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Choice, "argv", property(lambda _: ()))
    slow, done = tmp_path / "slow.py", tmp_path / "done.py"
    slow.write_text("import time; time.sleep(60)\n")
    done.write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
        'print(\'{"file": "x"}\', flush=True)\n'
    )
    # Before there is a process, it is ended as soon as there is one.
    monkeypatch.setattr("cohete_tui.quantizing.RUN", (str(slow),))
    job = QuantizeJob(Choice(), tmp_path / "x.gguf")
    job.start()
    job.cancel()
    await until(lambda: job.state is JobState.CANCELLED, 20)
    # What was ready all the same was made.
    monkeypatch.setattr("cohete_tui.quantizing.RUN", (str(done),))
    job = QuantizeJob(Choice(), tmp_path / "x.gguf")
    job.start()
    await until(lambda: bool(job.report), 20)
    job.cancel()
    assert job.state is JobState.DONE


def test_any_name_gives_yaml_that_loads() -> None:
    import yaml

    choice = Choice(path=Path("/m/a: b #1.gguf"), level="q4_0")
    (found,) = yaml.safe_load(wizard.yaml_of(choice))["models"]
    assert found["name"] == "a-b-1"
    assert found["source"] == "/m/a: b #1.gguf"
    assert found["devices"] == "all"


@pytest.mark.parametrize("change", [{"bytes": 0}, {"bytes": 10**400}, {"seconds": "soon"}])
def test_a_report_that_cannot_be_read_is_said(change: dict[str, object]) -> None:
    report: dict[str, object] = {
        "file": "o.gguf", "source": "m.gguf", "level": "q8_0", "encoder": "reference", "bytes": 10,
        "source_bytes": 20, "ratio": 2.0, "bits_per_weight": 8.5, "blake3": "0" * 64,
        "seconds": 1.0, "mb_s": 20.0, "reused_bytes": 5, "resumed_bytes": 0, "tensors": 1,
        "worst": [], "perplexity": {"how": "not measured"}, "warnings": [],
    }  # fmt: skip
    assert "2.00 times smaller" in str(report_lines(report, 80))
    assert "cannot be read" in str(report_lines(report | change, 80))
