"""The quantization wizard: a model, a board, a level that fits, made beside the dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from cohete.control.files import DEFAULT_FOLDER
from cohete.errors import CoheteError
from cohete.memory.footprint import KvType, Serving
from cohete_tui import wizard
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line, wrap
from cohete_tui.model_files import ModelFinder
from cohete_tui.quantizing import JobState, QuantizeJob
from cohete_tui.screens.base import FilteredScreen
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.prompt import Prompt
from cohete_tui.widgets.rows import RowList
from cohete_tui.wizard import Choice, Step

if TYPE_CHECKING:
    from cohete.fleet.changing import Changes
    from cohete.fleet.state import Device
    from cohete.quantize.fitting import Fit, Row

FLUSH_S = 0.5


class WizardScreen(FilteredScreen[None]):
    """Five steps; esc goes back one. What is made goes on when the screen is left."""

    SCOPE = Scope.WIZARD
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.WIZARD)]
    CSS = """
    WizardScreen { background: $background; }
    WizardScreen #about { height: auto; max-height: 14; }
    WizardScreen.-empty RowList { display: none; }
    WizardScreen.-empty #about { max-height: 100%; }
    """

    def __init__(
        self, boards: Sequence[str] = (), *, model: str = "", folders: Sequence[Path] | None = None
    ) -> None:
        super().__init__()
        self.step = Step.MODEL
        self.choice = Choice()
        self.serving = Serving()
        self._wanted = list(boards)
        self._typed = model
        self._places = folders
        self._fit: Fit | None = None
        self._seconds: dict[str, float] = {}
        self._problem = ""
        self._is_there = self._names_output = False
        self.folder = DEFAULT_FOLDER
        """Where on a board it goes."""

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title(cells)], classes="plain", id="title")
        yield RowList(id="rows")
        yield LinesPanel(self._about, id="about")
        yield Prompt(wizard.NAMES_MODEL, id="filter", classes="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self._models = ModelFinder(
            self._app.recent_models, self._places, may_browse=not self._app.served
        )
        self.rows.focus()
        self.set_interval(FLUSH_S, self.flush)
        if self.job is not None and not self._typed:
            self.step = Step.RUN
            self.choice = self.job.choice
        elif self._typed:
            self._take_model(self._typed)
        self._look()
        self.call_after_refresh(self.flush)

    @property
    def rows(self) -> RowList:
        """The list of what can be chosen."""
        return self.query_one("#rows", RowList)

    @property
    def list_widget(self) -> Widget:
        return self.rows

    @property
    def job(self) -> QuantizeJob | None:
        """What is being made, or was made last."""
        return self._app.quantizing

    def words_changed(self) -> None:
        """Nothing is looked for while a path is typed."""

    def action_filter(self) -> None:
        # What is typed is for what it was opened for.
        is_file = self.step is Step.MAKE and self.choice.path is not None
        # Whether a file is there is no business of a browser.
        self._names_output = (is_file or self._can_retry) and not self._app.served
        prompt = self.query_one("#filter", Prompt)
        prompt.placeholder = wizard.NAMES_OUTPUT if self._names_output else wizard.NAMES_MODEL
        super().action_filter()

    @on(Prompt.Kept, "#filter")
    def _path_typed(self, event: Prompt.Kept) -> None:
        event.prompt.value = ""
        if event.text and self._names_output:
            self._take_output(event.text)
        elif event.text:
            self._take_model(event.text)

    # What is shown.

    def flush(self) -> None:
        """Draw the step as it is now."""
        if not self.is_current:
            return
        rows = self._rows(max(30, self.rows.size.width - 1))
        self.set_class(not rows, "-empty")
        self.rows.show(rows)
        about = self.query_one("#about", LinesPanel)
        about.display = bool(self._about(60))
        for panel in self.query(LinesPanel):
            panel.update()

    def _rows(self, cells: int) -> Sequence[tuple[str, Line]]:
        if self.step is Step.MODEL:
            return self._models.rows(cells)
        if self.step is Step.BOARD:
            now_s = self._app.store_now.clock.monotonic()
            return wizard.board_rows(self._devices, self.choice.boards, now_s, cells)
        if self.step is Step.LEVEL and self._fit is not None:
            available = self.choice.available_mib
            return wizard.level_rows(self._fit, available, self._seconds, cells)
        return []

    @property
    def _devices(self) -> list[Device]:
        if not self._app.has_fleet:
            return []
        wanted = [device for device in self._app.store_now if device.id in self._wanted]
        return wanted + [device for device in self._app.store_now if device not in wanted]

    def _title(self, cells: int) -> Line:
        return wizard.title(self.step, self.choice, cells)

    def _about(self, cells: int) -> list[Line]:
        lines: list[Line] = [[(text, "danger")] for text in wrap(self._problem, cells, 4)]
        if self.step is Step.MODEL and self._models.here is not None:
            lines += [[(text, "dim")] for text in wrap(f"In {self._models.here}", cells, 2)]
        if self.step is Step.MODEL and not self._models.files:
            lines += [[(text, "dim")] for text in wrap(wizard.NO_MODELS, cells, 4)]
        elif self.step is Step.LEVEL:
            available = self.choice.available_mib
            lines += wizard.level_lines(self._fit, self._row, self.serving, available, cells)
        elif self.step is Step.MAKE:
            lines += wizard.make_lines(self.choice, cells, is_there=self._is_there)
        elif self.step is Step.RUN and self.job is not None:
            lines += wizard.job_lines(self.job, cells)
        return lines

    @property
    def _row(self) -> Row | None:
        if self._fit is None:
            return None
        rows = self._fit.rows
        return next((row for row in rows if row.name == self.rows.current), rows[0])

    # What is found out, beside the event loop.

    @work(exclusive=True, group="look", exit_on_error=False)
    async def _look(self) -> None:
        here = self._models.here
        await self._models.look()
        self.flush()
        if here is not None and (rows := self._rows(80)):
            self.rows.select(rows[0][0])

    @work(exclusive=True, group="take", exit_on_error=False)
    async def _take_model(self, text: str) -> None:
        from cohete.cli.fit import candidate_of

        try:
            path = await asyncio.to_thread(Path(text).expanduser)
            if await self._models.go(path):
                self._problem = ""
                self.step = Step.MODEL
                self._look()
                return
            found = await asyncio.to_thread(candidate_of, str(path))
            exists = await asyncio.to_thread(path.exists)
        except (CoheteError, OSError, ValueError) as error:
            self._problem = str(error)
            self.flush()
            return
        self._problem, self._seconds = "", {}
        if exists:
            await self._models.note(path)
        self.choice = Choice(text, path if exists else None, found)
        self.choice.boards = self._free(self._wanted)
        self._go(Step.BOARD if self._devices else Step.LEVEL)

    @work(exclusive=True, group="name", exit_on_error=False)
    async def _take_output(self, text: str) -> None:
        step = self.step
        if self._can_retry and self.job is not None:
            self.choice = replace(self.job.choice)
        choice = self.choice
        name = choice.output.name if choice.output is not None else ""
        try:
            output, is_there = await asyncio.to_thread(wizard.named_output, text, name)
        except (CoheteError, OSError, ValueError, RuntimeError) as error:
            self._problem = str(error)
            self.flush()
            return
        if self.choice is choice and self.step is step:
            self._problem, self._is_there = "", is_there
            self.choice = replace(choice, output=output, is_named=True)
            self._go(Step.MAKE)

    def _free(self, names: Sequence[str]) -> dict[str, float | None]:
        known = {device.id: device for device in self._devices}
        return {name: wizard.free_mib(known[name]) for name in names if name in known}

    @work(exclusive=True, group="fit", exit_on_error=False)
    async def _fit_levels(self) -> None:
        from cohete.control.audit import default_folder
        from cohete.quantize.fitting import fit

        candidate, available = self.choice.candidate, self.choice.available_mib
        assert candidate is not None
        limit = float("inf") if available is None else available
        begins = self._fit is None
        boards = [each for each in self._devices if each.id in self.choice.boards]
        changes = self._app.changes
        folder = changes.folder if changes is not None else default_folder()
        overhead = await asyncio.to_thread(wizard.overhead_on, boards, folder)
        self._fit = await asyncio.to_thread(fit, candidate, self.serving, limit, overhead)
        self.flush()
        if begins and available is not None and self._fit.best is not None:
            self.rows.select(self._fit.best.name)
            self.flush()
        if not self._seconds and self.choice.path is not None:
            by_search = self.choice.by_search
            found = await asyncio.to_thread(wizard.seconds_of, candidate, by_search=by_search)
            if by_search is self.choice.by_search:
                self._seconds = found
            self.flush()

    @work(exclusive=True, group="name", exit_on_error=False)
    async def _name_output(self) -> None:
        step, choice = self.step, replace(self.choice, output=None)
        # What was named for other scales is not made meanwhile.
        self.choice = choice
        output = await asyncio.to_thread(wizard.output_for, replace(choice))
        is_there = output is not None and await asyncio.to_thread(output.exists)
        if self.choice is choice and self.step is step:
            choice.output, self._is_there = output, is_there
            self._go(Step.MAKE)

    def _go(self, step: Step) -> None:
        self.step = step
        if step is Step.LEVEL:
            self._fit = None
            self._fit_levels()
        self.set_focus(self.rows)
        self.flush()

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self._problem = ""
        if self.step in (Step.MODEL, Step.RUN):
            self.dismiss()
        elif self.step is Step.LEVEL and not self._devices:
            self._go(Step.MODEL)
        else:
            self._go(Step(self.step - 1))

    def action_choose(self) -> None:
        current = str(self.rows.current) if self.rows.current is not None else ""
        if self.step is Step.MODEL and current:
            self._take_model(current)
        elif self.step is Step.BOARD:
            if not self.choice.boards and current:
                self.choice.boards = self._free([current])
            elif not current:
                self.choice.boards = {}
            self._go(Step.LEVEL)
        elif self.step is Step.LEVEL and self._row is not None:
            if self._row.level is None:
                self._problem = "It is quantized already: choose the F16 or BF16 model to make it."
                self.flush()
                return
            self.choice.level, self.choice.is_named = self._row.name, False
            self._name_output()
        elif self.step is Step.MAKE or self._can_retry:
            self._make()

    @property
    def _can_retry(self) -> bool:
        return self.step is Step.RUN and self.job is not None and self.job.made_nothing

    def _make(self) -> None:
        job, output = self.job, self.choice.output
        if self._app.served:
            self._problem = "Nothing is written from a browser."
        elif job is not None and job.state is JobState.RUNNING:
            self._problem = f"{job.output.name} is still being made."
        elif output is not None:
            self._app.quantizing = QuantizeJob(replace(self.choice), output)
            self._app.quantizing.start()
            self.step = Step.RUN
        self.flush()

    def action_mark(self) -> None:
        current = self.rows.current
        if self.step is Step.BOARD and current:
            if self.choice.boards.pop(str(current), "none") == "none":
                self.choice.boards |= self._free([str(current)])
            self.rows.move(1)
            self.flush()

    def action_context(self, step: int) -> None:
        self._change(context=wizard.next_of(wizard.CONTEXTS, self.serving.context, step))

    def action_slots(self) -> None:
        self._change(slots=wizard.next_of(wizard.SLOTS, self.serving.slots, 1, around=True))

    def action_kv_type(self) -> None:
        kinds = tuple(KvType)
        at = (kinds.index(self.serving.kv_type) + 1) % len(kinds)
        if self.step is Step.LEVEL:
            self.serving = replace(self.serving, kv_type=kinds[at])
            self._fit_levels()

    def _change(self, **changes: int) -> None:
        if self.step is Step.LEVEL:
            self.serving = replace(self.serving, **changes)  # type: ignore[arg-type]
            self._fit_levels()

    def action_search(self) -> None:
        if self.step in (Step.LEVEL, Step.MAKE):
            self.choice.by_search = not self.choice.by_search
            self._seconds = {}
            if self.step is Step.LEVEL:
                self._fit_levels()
            elif not self.choice.is_named:
                self._name_output()
            self.flush()

    def action_cancel(self) -> None:
        if self.step is Step.RUN and self.job is not None:
            self.job.cancel()
            self.flush()

    def action_copy(self) -> None:
        if self.choice.level:
            self.app.copy_to_clipboard(wizard.yaml_of(self.choice))
            self.notify("Copied as YAML: put it into cohete.yaml.", markup=False)

    def action_deploy(self) -> None:
        job, changes = self.job, self._app.changes
        if self.step is not Step.RUN or job is None or job.state is not JobState.DONE:
            return
        if not self.choice.boards or changes is None:
            text = "No board was chosen: n begins anew, or `cohete deploy` copies it."
            self.notify(text, severity="warning", markup=False)
        else:
            self._deploy(changes, job.output)

    @work(exclusive=True, group="deploy", exit_on_error=False)
    async def _deploy(self, changes: Changes, path: Path) -> None:
        from cohete.cli.deploy import put_of
        from cohete_tui.screens.change import agreed_to
        from cohete_tui.screens.running import RunningScreen, look_at_all

        try:
            action = await asyncio.to_thread(put_of, path, self.folder)
        except CoheteError as error:
            self._problem = str(error)
            self.flush()
            return
        devices = [device for device in self._devices if device.id in self.choice.boards]
        looked = await look_at_all(changes, devices, action)
        agreed = await agreed_to(self, action.intent, looked)
        if agreed is not None:
            screen = RunningScreen(changes, action, devices, looked, reboot=False)
            await self.app.push_screen_wait(screen)

    def action_anew(self) -> None:
        if self.step is Step.RUN and (self.job is None or self.job.state is not JobState.RUNNING):
            self._app.quantizing = None
            self.choice = Choice()
            self._go(Step.MODEL)

    def action_step(self, step: int) -> None:
        self.rows.move(step)
        self.flush()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose()
