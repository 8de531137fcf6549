"""The setup wizard: a fresh board led to a watched one, a step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from cohete.control.change import Action
from cohete.errors import CoheteError
from cohete.fleet.state import Device, State
from cohete_tui.actions import Scope, bindings
from cohete_tui.draw import Line
from cohete_tui.screens.asking import AskDialog
from cohete_tui.screens.base import CoheteScreen
from cohete_tui.setup_lines import OPTIONS, Shown, step_lines, step_row
from cohete_tui.widgets.keybar import KeyBar
from cohete_tui.widgets.lines import LinesPanel
from cohete_tui.widgets.rows import RowList

if TYPE_CHECKING:
    from cohete.fleet.changing import Changes
    from cohete.provision.record import SetupRecord
    from cohete.provision.setup import Local, SetupStep, Wishes

FLUSH_S = 0.5
LOGIN = "login"


def _looked_at(local: Local) -> Shown:
    is_done, words = local.state()
    return Shown("done", words) if is_done else Shown("to do", words, tuple(local.shown))


class SetupScreen(CoheteScreen[str]):
    """Dismissed with the path of the configuration to open; empty where it was left."""

    SCOPE = Scope.SETUP
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.SETUP)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as its base
    CSS = """
    SetupScreen { background: $background; }
    SetupScreen #below { height: auto; max-height: 9; }
    SetupScreen #beside { width: 60%; height: 1fr; }
    SetupScreen.-narrow #beside { display: none; }
    SetupScreen.-wide #below { display: none; }
    """

    def __init__(
        self, device_id: str, wishes: Wishes | None = None, *, config_path: Path | None = None
    ) -> None:
        super().__init__()
        self.device_id = device_id
        self._wishes = wishes
        self._config_path = config_path or Path("cohete.yaml")
        self._steps: list[SetupStep] = []
        self._shown: dict[str, Shown] = {}
        self._looked_at: State | None = None
        self._written = ""
        self._key_problem: str | None = None
        """Why a login by key alone fails, empty where it does not; None: not tried."""

    @property
    def device(self) -> Device:
        """The board that is set up."""
        return self._app.store_now[self.device_id]

    def compose(self) -> ComposeResult:
        yield LinesPanel(lambda cells: [self._title()], classes="plain", id="title")
        with Horizontal():
            yield RowList(id="rows")
            yield LinesPanel(lambda cells: self._about(cells), title="Step", id="beside")
        yield LinesPanel(lambda cells: self._about(cells)[:7], title="Step", id="below")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(RowList).focus()
        self.set_interval(FLUSH_S, self.flush)
        self.flush()

    def flush(self) -> None:
        """Draw; and look at the board once it is there, and each time it comes back."""
        if not self.is_current:
            return
        device = self.device
        is_ready = device.state is State.LIVE and device.facts is not None
        if is_ready and self._looked_at is not State.LIVE:
            self._looked_at = State.LIVE
            self._look()
        elif not is_ready:
            self._looked_at = None
        rows = self.query_one(RowList)
        cells = max(30, rows.size.width - 1)
        names = [(LOGIN, "Connection"), *((step.name, step.title) for step in self._steps)]
        rows.show([(name, step_row(title, self._state(name), cells)) for name, title in names])
        for panel in self.query(LinesPanel):
            if panel.display:
                panel.update()

    def _state(self, name: str) -> Shown:
        if name != LOGIN:
            return self._shown.get(name, Shown("looking"))
        device = self.device
        if device.state is State.LIVE:
            return Shown("done", f"{device.spec.target}, {device.module_name}")
        if device.state is State.REFUSED:
            return Shown("cannot", device.error)
        return Shown("looking", device.error or str(device.state))

    def _title(self) -> Line:
        names = [LOGIN, *(step.name for step in self._steps)]
        done = sum(self._state(name).state in ("done", "skipped") for name in names)
        of = f"  {done} of {len(names)} done or skipped" if self._steps else ""
        return [(f" Setting up {self.device_id}", "title"), (of, "dim")]

    def _about(self, cells: int) -> list[Line]:
        name = str(self.query_one(RowList).current)
        step = next((each for each in self._steps if each.name == name), None)
        about = step.about if step is not None else ""
        if name == LOGIN:
            about = self.device.hint or "Its host key is shown before it is trusted."
        return step_lines(about, self._state(name), cells)

    # Looking

    @work(exclusive=True, group="setup-look", exit_on_error=False)
    async def _look(self) -> None:
        """Every step as it is now; each board step in turn, for they share one connection."""
        from cohete.control.audit import default_folder
        from cohete.provision.record import SetupRecord
        from cohete.provision.setup import Wishes, own_key, setup_steps

        device = self.device
        changes = self._app.changes
        folder = changes.folder if changes is not None else default_folder()
        record = SetupRecord(folder, device.spec, device.facts)
        skipped = await asyncio.to_thread(record.skipped)
        if self._wishes is None:
            key = await asyncio.to_thread(own_key, Path.home() / ".ssh")
            wishes = Wishes(key_line=key, config_path=self._config_path)
            self._wishes = wishes.with_choices(await asyncio.to_thread(record.chosen))
        self._steps = setup_steps(device.spec, device.facts, self._wishes)
        for step in self._steps:
            if step.name in skipped:
                self._shown[step.name] = Shown("skipped", skipped[step.name])
            else:
                self._shown[step.name] = await self._look_at(step, changes)
            self.flush()
        self._to_next()

    def _to_next(self) -> None:
        """The cursor from what is done to what is to do."""
        rows = self.query_one(RowList)
        now = str(rows.current)
        if self._state(now).state in ("done", "skipped"):
            names = [step.name for step in self._steps]
            at = names.index(now) if now in names else 0
            # Whoever goes down the list goes on; what was passed over comes last.
            todo = [name for name in names[at:] + names[:at] if self._state(name).state == "to do"]
            rows.select(todo[0] if todo else "config")
            self.flush()

    async def _look_at(self, step: SetupStep, changes: Changes | None) -> Shown:
        try:
            if step.local is not None:
                return await asyncio.to_thread(_looked_at, step.local)
            if step.action is None or changes is None:
                return Shown("done" if step.is_well else "cannot", step.told)
            found = await changes.look(self.device, step.action)
        except CoheteError as error:
            from cohete.provision.disk import ConsentNeeded

            words = f"{error.what}. {error.hint}" if error.hint else error.what
            return Shown("to do" if isinstance(error, ConsentNeeded) else "cannot", words)
        if step.name == "key" and found.is_done:
            return await self._try_key(changes, found.before)
        return Shown("done" if found.is_done else "to do", found.before, found.lines)

    async def _try_key(self, changes: Changes, words: str) -> Shown:
        """That the key lies there is not yet a login."""
        if self._key_problem is None and changes.why_no_key is not None:
            self._key_problem = await changes.why_no_key(self.device)
        if self._key_problem:
            return Shown("cannot", f"it is there, and a login fails: {self._key_problem}")
        return Shown("done", f"{words}; tried: no password is asked for")

    # Actions, in the order of the registry.

    def action_back(self) -> None:
        self.dismiss(self._written)

    def action_choose(self) -> None:
        name = str(self.query_one(RowList).current)
        step = next((each for each in self._steps if each.name == name), None)
        if name == LOGIN:
            self._app.connect(self.device)
        elif step is not None:
            self._do(step)

    @work(exclusive=True, group="setup-do", exit_on_error=False)
    async def _do(self, step: SetupStep) -> None:
        changes = self._app.changes
        if changes is None or self._is_refused():
            return
        did = False
        if step.local is not None:
            did = await self._do_here(step)
        elif step.action is not None:
            did = await self._do_there(step, changes)
        if did:
            self._key_problem = None
            await self._keep(step.name, None)
        self._look()

    def _is_refused(self) -> bool:
        """Say so where nothing may be changed, on the board or here."""
        changes = self._app.changes
        why = changes.refusal(self.device) if changes is not None else "this is a recording"
        if why:
            self.notify(f"Nothing is changed: {why}.", severity="warning", markup=False)
        return bool(why)

    async def _do_here(self, step: SetupStep) -> bool:
        """A file of this person's: shown in full, asked about, written. Whether it was."""
        assert step.local is not None
        if self._state(step.name).state != "to do":
            if step.name == "config" and self._state(step.name).state == "done":
                self.dismiss(str(self._wishes.config_path) if self._wishes is not None else "")
            return False
        lines = [*self._state(step.name).lines[:12], "", "Type yes to write it."]
        if not await self._says_yes(step.title, lines):
            return False
        try:
            words = await asyncio.to_thread(step.local.apply)
        except CoheteError as error:
            self.notify(str(error), severity="error", markup=False)
            return False
        self.notify(words, markup=False)
        if step.name == "config" and self._wishes is not None:
            self._written = str(self._wishes.config_path)
        return True

    async def _says_yes(self, title: str, lines: list[str]) -> bool:
        typed = await self.app.push_screen_wait(AskDialog(title, lines))
        if typed is not None and typed.strip() != "yes":
            self.notify("Nothing was changed: that was not yes.", timeout=4, markup=False)
            return False
        return typed is not None

    async def _do_there(self, step: SetupStep, changes: Changes) -> bool:
        """Looked at, shown with its exact commands, agreed to, run, read back. Whether it ran."""
        assert step.action is not None
        return await self._run_there(step.action, changes)

    async def _run_there(self, action: Action, changes: Changes) -> bool:
        from cohete.provision.disk import ConsentNeeded
        from cohete_tui.screens.change import agreed_to
        from cohete_tui.screens.running import RunningScreen, look_at_all

        looked = await look_at_all(changes, [self.device], action)
        found = looked[self.device_id]
        if isinstance(found, ConsentNeeded):
            again = await self._with_consent(found)
            if again is None:
                return False
            action = again
            looked = await look_at_all(changes, [self.device], action)
            if isinstance(looked[self.device_id], ConsentNeeded):
                text = "Nothing was done: what you typed does not name this disk and its size."
                self.notify(text, severity="warning", markup=False)
                return False
        agreed = await agreed_to(self, action.intent, looked)
        if agreed is None:
            return False
        screen = RunningScreen(changes, action, [self.device], looked, reboot=agreed.reboot)
        await self.app.push_screen_wait(screen)
        return True

    async def _with_consent(self, found: CoheteError) -> Action | None:
        """A blank disk is used once its name and size were typed; nobody remembers that."""
        from cohete.provision.disk import PrepareDisk

        assert self._wishes is not None
        about = [found.what, "It gets a new partition table and file system.", found.hint]
        typed = await self.app.push_screen_wait(AskDialog("Use this disk?", about, "name and size"))
        return PrepareDisk(self._wishes.disk, self._wishes.mount, typed) if typed else None

    def action_undo(self) -> None:
        name = str(self.query_one(RowList).current)
        step = next((each for each in self._steps if each.name == name), None)
        if step is not None and not self._is_refused():
            self._undo(step)

    @work(exclusive=True, group="setup-do", exit_on_error=False)
    async def _undo(self, step: SetupStep) -> None:
        """The same way as it was done: shown, agreed to, run, looked at again."""
        from cohete.provision.undo import undo_of, why_not

        action = undo_of(step.action) if step.action is not None else None
        changes = self._app.changes
        if action is not None and changes is not None:
            await self._run_there(action, changes)
        elif step.local is not None and not step.local.why_kept:
            await self._undo_here(step.title, step.local)
        else:
            why = step.local.why_kept if step.local is not None else why_not(step.action)
            self.notify(f"Not taken back: {why}", markup=False)
            return
        self._key_problem = None
        self._look()

    async def _undo_here(self, title: str, local: Local) -> None:
        if not await self._says_yes(title, ["Type yes to take it back; a backup stays."]):
            return
        try:
            self.notify(await asyncio.to_thread(local.take_back), markup=False)
        except CoheteError as error:
            self.notify(str(error), severity="error", markup=False)

    def action_skip(self) -> None:
        name = str(self.query_one(RowList).current)
        if any(step.name == name for step in self._steps) and not self._is_refused():
            self._skip(name)

    @work(exclusive=True, group="setup-do", exit_on_error=False)
    async def _skip(self, name: str) -> None:
        is_skipped = self._state(name).state == "skipped"
        if is_skipped:
            await self._keep(name, None)
        else:
            why = await self.app.push_screen_wait(AskDialog("Skip it", ["Why?"], "not wanted"))
            if why is None:
                return
            await self._keep(name, why.strip() or "not wanted")
        self._look()

    async def _keep(self, name: str, reason: str | None) -> None:
        await self._remember(lambda record: record.skip(name, reason))

    async def _remember(self, what: Callable[[SetupRecord], None]) -> None:
        from cohete.control.audit import default_folder
        from cohete.provision.record import SetupRecord

        changes = self._app.changes
        folder = changes.folder if changes is not None else default_folder()
        try:
            record = SetupRecord(folder, self.device.spec, self.device.facts)
            await asyncio.to_thread(what, record)
        except CoheteError as error:
            self.notify(str(error), severity="error", markup=False)

    def action_option(self) -> None:
        if self._is_refused():
            return
        name = str(self.query_one(RowList).current)
        if self._wishes is not None and self._wishes.chosen(name):
            self._choose(name, self._wishes)
        else:
            self.notify("There is nothing to choose about this step.", timeout=3, markup=False)

    @work(exclusive=True, group="setup-do", exit_on_error=False)
    async def _choose(self, name: str, wishes: Wishes) -> None:
        title = next(step.title for step in self._steps if step.name == name)
        dialog = AskDialog(title, [OPTIONS.get(name, "")], text=wishes.chosen(name))
        typed = await self.app.push_screen_wait(dialog)
        if typed is None:
            return
        try:
            chosen = self._wishes = wishes.with_choice(name, typed)
        except CoheteError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        await self._remember(lambda record: record.choose(name, chosen.chosen(name)))
        self._look()

    def action_read(self) -> None:
        self._key_problem = None
        self._look()

    def action_shell(self) -> None:
        self._app.open_shell(self.device)

    def action_step(self, step: int) -> None:
        self.query_one(RowList).move(step)
        self.flush()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self.action_choose()
